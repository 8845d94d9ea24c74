"""judge_leftovers: what a sweep may take away."""

from tests.unit.histories import TARGET, own_name, parse_history
from zrepl_py.core.tenure import Tenure, judge_leftovers
from zrepl_py.model.names import render_hold

TAG = render_hold(TARGET)


def holds_of(*guids: int, tag: str = TAG) -> dict[str, frozenset[str]]:
    return {own_name(guid): frozenset({tag}) for guid in guids}


def test_base_and_in_flight_stay() -> None:
    history = parse_history("1# 2@# 3 4")
    found = judge_leftovers(history, holds_of(2, 3, 4), {TARGET: Tenure(2, 3)})
    assert [s.guid for s, _ in found.holds] == [4]
    assert [b.guid for b in found.bookmarks] == [1]


def test_unknown_targets_and_foreign_tags_are_left_alone() -> None:
    history = parse_history("1@# 2")
    assert judge_leftovers(history, holds_of(1, 2), {}) == judge_leftovers(
        history, holds_of(1, 2, tag="backup"), {}
    )
    assert not judge_leftovers(history, holds_of(1, 2), {}).holds


def test_without_a_known_base_no_bookmark_goes() -> None:
    assert not judge_leftovers(parse_history("1#"), {}, {TARGET: Tenure(None)}).bookmarks
