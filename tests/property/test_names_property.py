"""Names: parse∘render is the identity, and what is not ours is never taken for ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zrepl_py.errors import Refused
from zrepl_py.model.names import (
    Epoch,
    TickName,
    check_dataset_name,
    join_snapshot,
    parse_cursor,
    parse_epoch,
    parse_hold,
    parse_tick,
    render_cursor,
    render_hold,
    render_tick,
)

HEX = st.text("0123456789abcdef", min_size=8, max_size=8)
EPOCH = st.builds(Epoch, st.integers(0, 10**10 - 1), HEX)
TICK = st.builds(TickName, EPOCH, st.integers(0, 10**12 - 1), st.integers(0, 253_402_300_799))
GUID = st.integers(0, 2**64 - 1)
COMPONENT = st.text("abcXYZ019_.: -", min_size=1, max_size=12).filter(lambda c: c.strip("."))
ALMOST = st.text("zr_0123456789abcdef-TZcusorbe", max_size=50)


@given(TICK)
def test_ticks(tick: TickName) -> None:
    assert parse_tick(render_tick(tick)) == tick


@given(EPOCH)
def test_epochs(epoch: Epoch) -> None:
    assert parse_epoch(str(epoch)) == epoch


@given(HEX, GUID)
def test_cursors_and_holds(target: str, guid: int) -> None:
    assert parse_cursor(render_cursor(target, guid)) == (target, guid)
    assert parse_hold(render_hold(target)) == target


@given(st.text() | ALMOST | st.builds(lambda t, junk: render_tick(t) + junk, TICK, st.text()))
def test_nothing_else_is_ours(text: str) -> None:
    """Whatever is recognised is exactly what we would write: so a name can be destroyed by it."""
    tick = parse_tick(text)
    assert tick is None or render_tick(tick) == text
    cursor = parse_cursor(text)
    assert cursor is None or render_cursor(*cursor) == text
    hold = parse_hold(text)
    assert hold is None or render_hold(hold) == text


@given(st.lists(COMPONENT, min_size=1, max_size=6), TICK)
def test_datasets(components: list[str], tick: TickName) -> None:
    name = "/".join(components)
    assert check_dataset_name(name) == name
    assert join_snapshot(name, render_tick(tick)).partition("@")[0] == name


@pytest.mark.parametrize("wrong", ["", "/a", "a/", "a//b", "a/..", ".", "a@b", "a#b", "a%b", "a\n"])
def test_what_is_no_dataset(wrong: str) -> None:
    with pytest.raises(Refused):
        check_dataset_name(wrong)


@given(st.integers(230, 300))
def test_too_long_is_refused(length: int) -> None:
    if length > 255:
        with pytest.raises(Refused):
            check_dataset_name("a" * length)
    with pytest.raises(Refused):
        join_snapshot("a" * length, "zr_1-9f3a21cc_42_20261121T081500Z")
