"""Words between nodes about roles; streams that a role lets in; greetings of nodes with roles."""

from dataclasses import replace

import pytest

from tests.unit.peer_support import ALPHA, BETA, hello_of
from zrepl_py.adapters.peer.greeting import ROLES, judge_hello
from zrepl_py.core.codec import decode, encode
from zrepl_py.core.handshake import GroupWord, MemberWord
from zrepl_py.core.promotion import MOST_PENDING, Pending
from zrepl_py.core.role_words import (
    LONGEST_PATH,
    MOST_MEMBERS,
    Heartbeat,
    RoleWord,
    bound_heartbeat,
    check_word,
    judge_stream,
)
from zrepl_py.core.roles import RIGHTS
from zrepl_py.core.siteview import PeerWord
from zrepl_py.errors import Corrupt, Passing, Refused
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.lineage import Entry, Handover, Intent, Memory, Taking
from zrepl_py.model.names import Epoch
from zrepl_py.model.roles import Record, State

ONE, TWO = Epoch(1, "0" * 8), Epoch(2, "a" * 8)
LINEAGE = (
    Entry(ONE, "a", Taking.FOUNDED, {"tank/a": 7}, 5, "", "anna"),
    Entry(TWO, "b", Taking.FORCED, {"tank/a": 2**64 - 1}, 6, "2026-11-21T09:14:23Z", "", ONE),
)
MEMORY = Memory("b", "g", LINEAGE, TWO, False, Intent(Epoch(3, "c" * 8), "a"),
                Handover(Epoch(3, "d" * 8), "a", {"tank/a": 9}))  # fmt: skip


def word() -> RoleWord:
    history = History((Snapshot(7, 1, "s", 0),))
    member = MemberWord(history, 12, True)
    group = GroupWord("b", "g", LINEAGE, "a", "manual", frozenset({"x", "y"}), {"tank/a": member})
    said = PeerWord(State.STANDBY, Record.STANDBY, None, MEMORY.handover)
    return RoleWord("boot", said, group, MEMORY.intent)


def test_a_memory_and_a_word_survive_the_codec_whole() -> None:
    memory: Memory = decode(Memory, encode(MEMORY))
    assert memory == MEMORY
    assert [(e.taking, e.bases, e.at, e.accepted, e.who, e.over) for e in memory.lineage] == [
        (e.taking, e.bases, e.at, e.accepted, e.who, e.over) for e in LINEAGE
    ]
    assert memory.handover is not None
    assert memory.handover.finals == {"tank/a": 9}
    assert decode(RoleWord, encode(word())) == word()


def test_a_word_that_no_honest_node_says_is_damage() -> None:
    assert check_word(word()) == word()
    good = word().group
    member = good.members["tank/a"]
    many = {f"tank/{n}": member for n in range(MOST_MEMBERS + 1)}
    for group in (
        replace(good, members=many),
        replace(good, lineage=LINEAGE[::-1]),
        replace(good, lineage=(LINEAGE[0], LINEAGE[0])),
    ):
        with pytest.raises(Corrupt):
            check_word(replace(word(), group=group))


def test_a_heartbeat_keeps_the_count_and_drops_the_rest() -> None:
    long = Pending("/" + "x" * LONGEST_PATH, 1)
    many = tuple(Pending(str(n), n) for n in range(MOST_PENDING + 1))
    kept = bound_heartbeat(Heartbeat("b", 1, (long, *many), 3))
    assert kept.pending == many[: MOST_PENDING - 1]
    assert kept.pending_count == MOST_PENDING + 2


def test_only_the_newest_epochs_primary_is_received_from_and_only_by_who_follows() -> None:
    follower = replace(MEMORY, node="a")
    for state in State:
        if RIGHTS[state].accepts:
            judge_stream(state, follower, "b", TWO)
            continue
        with pytest.raises(Passing) as closed:
            judge_stream(state, follower, "b", TWO)
        assert closed.value.reason == "role-closed"
    for source, epoch, seen in (("b", ONE, TWO), ("c", TWO, TWO), ("b", TWO, Epoch(3, "0" * 8))):
        with pytest.raises(Refused) as other:
            judge_stream(State.STANDBY, replace(follower, seen=seen), source, epoch)
        assert other.value.reason == "peer-epoch"


def test_other_epochs_may_speak_only_where_both_have_roles() -> None:
    mine, theirs = hello_of(ALPHA), replace(hello_of(BETA), epoch="2-aaaaaaaa")
    with pytest.raises(Refused):
        judge_hello(mine, theirs, BETA.uuid)
    with_roles = replace(theirs, features=(*theirs.features, ROLES))
    with pytest.raises(Refused):
        judge_hello(mine, with_roles, BETA.uuid)
    judge_hello(replace(mine, features=(*mine.features, ROLES)), with_roles, BETA.uuid)
