"""Words about roles: whatever is said in whatever order is heard; whatever is odd is damage."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.peer_support import ALPHA, EPOCH
from tests.unit.test_peer_roles import GROUP, history_of_many, word_of
from zrepl_py.adapters.peer.framing import FrameType
from zrepl_py.adapters.peer.messages import parse_message, render_message
from zrepl_py.adapters.peer.role_messages import AskRoles, parse_asked
from zrepl_py.adapters.peer.role_told import Listener, Teller, ToldWord, _digest
from zrepl_py.adapters.peer.role_trim import _trim, share_version
from zrepl_py.core.diff import diff
from zrepl_py.core.role_words import check_word
from zrepl_py.engine.role_tree import _newest_of
from zrepl_py.errors import Corrupt
from zrepl_py.model.history import Bookmark, History, Snapshot

HISTORIES = st.builds(history_of_many, st.integers(0, 4), st.integers(1, 3))
SAYINGS = st.lists(
    st.tuples(
        st.sampled_from([GROUP, "another"]),
        st.dictionaries(st.sampled_from(["tank/a", "tank/a/b", "tank/c"]), HISTORIES, max_size=3),
    ),
    max_size=12,
)


def over_the_wire(told: Any) -> Any:
    payload = render_message(FrameType.CALL, AskRoles(told))[5:]
    asked: AskRoles = parse_message(AskRoles, payload)
    return asked.told


@settings(max_examples=60)
@given(SAYINGS)
def test_every_word_is_heard_as_it_was_said(sayings: list[tuple[str, dict[str, Any]]]) -> None:
    teller, listener = Teller(), Listener()
    for group, members in sayings:
        word = word_of(ALPHA, members)
        word = replace(word, group=replace(word.group, group=group))
        assert listener.hear(over_the_wire(teller.tell(word, {}, asks=True))) == word


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [at]
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            found += places(inner, (*at, key))
    return found


def put(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[at[0]] = put(value[at[0]], at[1:], new)
    return changed


WORD = json.loads(
    render_message(
        FrameType.CALL,
        AskRoles(Teller().tell(word_of(ALPHA, {"tank/a": history_of_many(3)}), {}, asks=True)),
    )[5:]
)
PLACES = places(WORD)
ODD = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.just([]) | st.just({})
    | st.sampled_from(["../..", "a@b", "x\ny", "AAAAAAAAAAA=", 2**64, -1, {"a": 1}, "x" * 5000])
)  # fmt: skip


@settings(max_examples=400)
@given(st.sampled_from(PLACES), ODD)
def test_a_word_with_one_thing_changed_is_one_or_damage(at: tuple[Any, ...], odd: Any) -> None:
    payload = json.dumps(put(WORD, at, odd)).encode()
    try:
        asked = parse_asked(payload)
        assert isinstance(asked, AskRoles)
        word = Listener().hear(with_right_digests(asked.told))
    except Corrupt as error:
        raised: Corrupt | None = error
    else:
        raised = None
    if raised is not None:
        assert raised.reason in ("protocol", "malformed")
        return
    assert check_word(word) == word
    for name, member in word.group.members.items():
        assert "@" not in name
        assert all(0 < s.guid < 2**64 and "/" not in s.name for s in member.history.snapshots)


def with_right_digests(told: ToldWord) -> ToldWord:
    """So that what is in a history is looked at, too."""
    members = {
        name: replace(m, digest=_digest(m.history)) if m.history else m
        for name, m in told.members.items()
    }
    return replace(told, members=members)


def test_a_reference_to_what_was_not_said_here_is_damage() -> None:
    teller = Teller()
    word = word_of(ALPHA, {"tank/a": history_of_many(3)})
    teller.tell(word, {}, asks=True)
    with pytest.raises(Corrupt, match="never said"):
        Listener().hear(over_the_wire(teller.tell(word, {}, asks=True)))


def versions(guids: list[int]) -> History:
    """Every third only a bookmark, in the order that is given."""
    numbered = list(enumerate(guids, 1))
    return History(
        tuple(Snapshot(g, n, f"zr_{EPOCH}_{n}_20261121T081500Z", 0) for n, g in numbered if g % 3),
        tuple(Bookmark(g, n, f"b{g}", 0) for n, g in numbered if not g % 3),
    )


@settings(max_examples=300)
@given(
    st.lists(st.integers(1, 40), unique=True, max_size=20).map(sorted),
    st.lists(st.integers(1, 40), unique=True, max_size=20).map(sorted),
    st.integers(1, 5),
)
def test_what_is_left_out_changes_no_comparison(
    mine: list[int], theirs: list[int], newest: int
) -> None:
    here, there = versions(mine), versions(theirs)
    told = _trim(here, there, newest)
    assert {s.guid for s in told.snapshots} <= {s.guid for s in here.snapshots}
    if not share_version(here, there):
        return
    for raw in (False, True):
        assert diff(there, told, raw=raw) == diff(there, here, raw=raw)
        assert diff(told, there, raw=raw) == diff(here, there, raw=raw)
    assert _newest_of(there.snapshots, told) == _newest_of(there.snapshots, here)
    assert told.newest == here.newest
