"""The rules H1 to H10, lineages, and what a peer's word is worth."""

from dataclasses import replace
from itertools import product

import pytest

from zrepl_py.core.handshake import Finding, GroupWord, MemberWord, judge_group
from zrepl_py.core.lineage import (
    Relation,
    believe,
    compare,
    may_speak,
    next_number,
    note,
    recall,
)
from zrepl_py.core.remember import Circumstances, hand_over, hear_epoch, remember
from zrepl_py.core.siteview import PeerWord, answer_by_hand, hear, judge_fit
from zrepl_py.errors import Bug
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.lineage import Entry, Handover, Intent, Lineage, Memory
from zrepl_py.model.names import Epoch, TickName, render_tick
from zrepl_py.model.roles import Authority, Claim, Fit, Order, Record, State, Verdict, Write
from zrepl_py.model.site import Manifest


def epoch(n: int, fork: str) -> Epoch:
    return Epoch(n, fork * 8)


ONE = Entry(epoch(1, "0"), "a")
TWO_B, TWO_A = Entry(epoch(2, "b"), "b"), Entry(epoch(2, "a"), "a")
THREE_A = Entry(epoch(3, "a"), "a")
OLD: Lineage = (ONE,)
NEW: Lineage = (ONE, TWO_B)


def history(*guids: int, foreign: tuple[int, ...] = ()) -> History:
    def name(guid: int) -> str:
        known = TickName(epoch(1, "0"), guid, 10**9 + guid)
        return "by-hand" if guid in foreign else render_tick(known)

    return History(tuple(Snapshot(g, i + 1, name(g), 0) for i, g in enumerate(guids)))


def word(node: str, lineage: Lineage, *guids: int, written: int | None = 0) -> GroupWord:
    return GroupWord(node, "g", lineage, members={"x": MemberWord(history(*guids), written)})


def judge(mine: GroupWord, theirs: GroupWord) -> tuple[str, Verdict]:
    first = judge_group(mine, theirs)[0]
    return first.rule, first.verdict


def test_lineages() -> None:
    assert compare((), ()) is Relation.EQUAL
    assert compare((), OLD) is Relation.MINE_IS_PREFIX
    assert compare(OLD, NEW) is Relation.MINE_IS_PREFIX
    assert compare(NEW, OLD) is Relation.THEIRS_IS_PREFIX
    assert compare(NEW, (ONE, TWO_A)) is Relation.FORKED
    assert compare(NEW, (ONE, THREE_A)) is Relation.FORKED, "a higher n alone decides nothing"
    assert compare(OLD, (Entry(epoch(1, "9"), "a"),)) is Relation.UNRELATED


def test_a_persons_choice_makes_the_other_side_a_prefix() -> None:
    chosen = (ONE, TWO_A, replace(THREE_A, over=TWO_B.epoch))
    assert compare(NEW, chosen) is Relation.MINE_IS_PREFIX
    assert compare(chosen, NEW) is Relation.THEIRS_IS_PREFIX
    went_on = (*NEW, Entry(epoch(4, "b"), "b"))
    assert compare(went_on, chosen) is Relation.FORKED, "it decided over what it knew, not more"


ALL: tuple[Lineage, ...] = ((), OLD, NEW, (ONE, TWO_A), (ONE, TWO_A, THREE_A), (TWO_B,))


@pytest.mark.parametrize(("mine", "theirs"), list(product(ALL, ALL)))
def test_both_sides_come_to_the_mirrored_relation(mine: Lineage, theirs: Lineage) -> None:
    mirror = {
        Relation.MINE_IS_PREFIX: Relation.THEIRS_IS_PREFIX,
        Relation.THEIRS_IS_PREFIX: Relation.MINE_IS_PREFIX,
    }
    here = compare(mine, theirs)
    assert compare(theirs, mine) is mirror.get(here, here)
    if here in mirror:
        assert believe(mine, theirs) == believe(theirs, mine)
    else:
        assert believe(mine, theirs) == mine


def test_what_was_seen_only_grows_and_silences() -> None:
    seen: Epoch | None = None
    for told in (None, epoch(1, "0"), epoch(3, "a"), epoch(2, "b"), epoch(3, "b"), None):
        before, seen = seen, note(seen, told)
        assert before is None or (seen is not None and seen.n >= before.n)
    assert seen == epoch(3, "a")
    assert may_speak(epoch(3, "a"), seen)
    assert may_speak(epoch(4, "b"), seen)
    assert not may_speak(epoch(3, "b"), seen), "another fork of the same n"
    assert not may_speak(epoch(2, "b"), seen)
    assert may_speak(epoch(1, "0"), None)


MEMORY = Memory("a", "g", OLD, ONE.epoch, opened=True)


def test_what_the_journal_says() -> None:
    assert recall(Memory("a")) is Record.NOTHING
    assert recall(MEMORY) is Record.PRIMARY
    assert recall(replace(MEMORY, opened=False)) is Record.PROMOTING
    assert recall(replace(MEMORY, node="b")) is Record.STANDBY
    assert recall(replace(MEMORY, seen=epoch(2, "b"))) is Record.OVERTAKEN
    given = hand_over(replace(MEMORY, intent=Intent(epoch(2, "b"), "b")), {"x": 1})
    assert recall(given) is Record.HANDED_OVER
    assert recall(hear_epoch(given, epoch(2, "b"))) is Record.HANDED_OVER
    assert given.intent is None
    assert next_number(given) == 3, "what was given away is not taken again"


def test_writes() -> None:
    now = Circumstances(fork="f" * 8, peer="b", theirs=NEW)
    assert remember(MEMORY, Write.NOTHING, now) == MEMORY
    prepared = remember(MEMORY, Write.PREPARE, now)
    assert prepared.intent == Intent(epoch(2, "f"), "b")
    assert remember(prepared, Write.FORGET, now) == MEMORY
    adopted = remember(MEMORY, Write.ADOPT, now)
    assert (adopted.lineage, adopted.seen) == (NEW, TWO_B.epoch)
    assert remember(adopted, Write.ADOPT, replace(now, theirs=OLD)) == adopted, "never shorter"
    forced = remember(adopted, Write.PROMOTE, now)
    assert forced.lineage[-1] == Entry(epoch(3, "f"), "a")
    assert forced.lineage[-1].over is None
    founded = remember(Memory("a", "g"), Write.FOUND, Circumstances(fork="0" * 8))
    assert recall(founded) is Record.PRIMARY
    given = replace(now, given=Handover(epoch(2, "f"), "a"))
    taken = remember(MEMORY, Write.TAKE, given)
    assert recall(taken) is Record.PROMOTING
    assert recall(remember(taken, Write.OPENED, now)) is Record.PRIMARY
    split = replace(MEMORY, lineage=(ONE, TWO_A), seen=TWO_A.epoch)
    resolved = remember(split, Write.RESOLVE, now)
    assert resolved.lineage[-1].over == TWO_B.epoch
    assert compare(NEW, resolved.lineage) is Relation.MINE_IS_PREFIX
    overtaken = remember(hear_epoch(MEMORY, TWO_B.epoch), Write.PROMOTE, now)
    assert overtaken.lineage[-1].over == TWO_B.epoch
    with pytest.raises(Bug):
        remember(MEMORY, Write.TAKE, now)
    with pytest.raises(Bug):
        remember(MEMORY, Write.RESOLVE, Circumstances())
    with pytest.raises(Bug):
        hand_over(MEMORY, {})


CASES = {
    "H2": (word("a", OLD, 1, 2), word("b", OLD, 1, 2), "H2", Verdict.SYNC),
    "H3": (word("a", OLD, 1, 2), word("b", OLD, 1), "H3", Verdict.SYNC),
    "H3 first copy": (word("a", OLD, 1), word("b", OLD), "H3", Verdict.SYNC),
    "H3 rolled back": (word("a", OLD, 1), word("b", OLD, 1, 2), "H3", Verdict.REFUSED),
    "H4 there": (word("a", OLD, 1), word("b", OLD, 1, written=9), "H4", Verdict.PEER_YIELDS),
    "H4 here": (word("b", OLD, 1, written=9), word("a", OLD, 1), "H4", Verdict.WRITTEN),
    "H4 unknown": (word("b", OLD, 1, written=None), word("a", OLD, 1), "H4", Verdict.UNJUDGED),
    "H5": (word("a", OLD, 1), word("b", NEW, 1, 2), "H5", Verdict.FORWARD),
    "H5 older": (word("a", OLD, 1), word("b", NEW, 1, 2, 3), "H5", Verdict.FORWARD),
    "H5 empty": (word("a", OLD), word("b", NEW, 1), "H5", Verdict.FORWARD),
    "H6 snapshots": (word("a", OLD, 1, 9), word("b", NEW, 1, 2), "H6", Verdict.RETURNING),
    "H6 written": (word("a", OLD, 1, written=1), word("b", NEW, 1), "H6", Verdict.RETURNING),
    "H6 unknown": (word("a", OLD, 1, written=None), word("b", NEW, 1), "H6", Verdict.RETURNING),
    "H7": (word("b", NEW, 1, 2), word("a", OLD, 1, 9), "H7", Verdict.PEER_YIELDS),
    "H8": (word("a", (ONE, TWO_A), 1, 9, written=1), word("b", NEW, 1, 2, written=1), "H8",
           Verdict.SPLIT),
    "H8 idle": (word("a", (ONE, TWO_A), 1), word("b", NEW, 1), "H8", Verdict.SPLIT),
    "H9": (word("a", OLD, 1), word("b", OLD, 7), "H9", Verdict.UNRELATED),
    "H9 old": (word("a", OLD, 1), word("b", NEW, 7), "H9", Verdict.RETURNING),
    "H9 lineage": (word("a", OLD, 1), word("b", (TWO_B,), 1), "H9", Verdict.UNRELATED),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_rules(case: str) -> None:
    mine, theirs, rule, verdict = CASES[case]
    assert judge(mine, theirs) == (rule, verdict)


def test_another_group_is_never_believed_and_another_contract_hides_no_longer_lineage() -> None:
    mine, theirs = word("a", OLD, 1), word("b", OLD, 1)
    assert judge(mine, replace(theirs, group="other", lineage=NEW)) == ("H1", Verdict.REFUSED)
    for unlike in (
        replace(theirs, authority="witness"),
        replace(theirs, stream_flags=frozenset({"embed"})),
        replace(theirs, members={"x": replace(theirs.members["x"], raw=True)}),
    ):
        assert judge(mine, unlike) == ("H10", Verdict.REFUSED)
        assert judge(mine, replace(unlike, lineage=NEW))[1] is Verdict.FORWARD


def test_a_foreign_snapshot_hides_no_writes() -> None:
    mine = GroupWord("a", "g", OLD, members={"x": MemberWord(history(1, 5, foreign=(5,)), 3)})
    assert judge(mine, word("b", NEW, 1, 2)) == ("H6", Verdict.RETURNING)


def test_the_group_is_as_bad_as_its_worst_member() -> None:
    both = {"x": MemberWord(history(1), 0), "y": MemberWord(history(4), 0)}
    tail = {"x": MemberWord(history(1), 0), "y": MemberWord(history(4, 9), 0)}
    found = judge_group(
        GroupWord("a", "g", OLD, members=tail), GroupWord("b", "g", NEW, members=both)
    )
    assert [(f.member, f.verdict) for f in found] == [
        ("y", Verdict.RETURNING), ("x", Verdict.FORWARD),
    ]  # fmt: skip
    only_here = judge_group(GroupWord("a", "g", OLD, members=both), word("b", NEW, 1))
    assert only_here[0].verdict is Verdict.RETURNING, "a member that only this node has is a tail"


def test_the_verdict_is_mirrored_wherever_one_side_must_yield() -> None:
    mirror = {
        Verdict.FORWARD: Verdict.PEER_YIELDS,
        Verdict.RETURNING: Verdict.PEER_YIELDS,
        Verdict.WRITTEN: Verdict.PEER_YIELDS,
    }
    for mine, theirs, _, verdict in CASES.values():
        back = judge_group(theirs, mine)[0].verdict
        if verdict is not Verdict.PEER_YIELDS:
            assert back is mirror.get(verdict, verdict)
        else:
            assert back in mirror


def test_a_rescue_that_was_begun_counts_as_a_tail_until_it_is_whole() -> None:
    """In the middle of it a member has no dataset under its name: that is not "nothing of its
    own"."""
    begun = GroupWord("a", "g", OLD, rescuing=True)
    assert judge(begun, word("b", NEW, 1, 2)) == ("H6", Verdict.RETURNING)
    assert judge(replace(begun, node="b"), word("a", OLD, 1)) == ("H4", Verdict.WRITTEN)
    assert judge(word("a", OLD, 1), replace(begun, node="b")) == ("H4", Verdict.PEER_YIELDS)
    assert judge(word("b", NEW, 1), begun)[1] is Verdict.PEER_YIELDS


def test_an_empty_group_is_judged_by_its_lineage() -> None:
    empty = GroupWord("a", "g", OLD)
    assert judge_group(empty, GroupWord("b", "g", NEW)) == (
        Finding(Verdict.FORWARD, "H2", "", "There is no member yet."),
    )


def test_a_returning_primary_with_a_tail_diverges_and_one_without_follows() -> None:
    from zrepl_py.core.roles import decide
    from zrepl_py.model.roles import Advance, Progress, SiteView

    for guids, state in (((1,), State.CATCHING_UP), ((1, 9), State.DIVERGED)):
        found = judge_group(word("a", OLD, *guids), word("b", NEW, 1, 2))
        memory = hear_epoch(MEMORY, TWO_B.epoch)
        view = SiteView(
            State.UNKNOWN, recall(memory), claim=Claim.PRIMARY, verdict=found[0].verdict
        )
        closes = decide(view)
        assert isinstance(closes, Advance)
        assert closes.to is State.FENCED
        outcome = decide(replace(view, state=State.FENCED, progress=Progress.DONE))
        assert isinstance(outcome, Advance)
        assert outcome.to is state


HANDED = Handover(epoch(2, "b"), "b", {"x": 7})
WORDS = [
    (None, Claim.SILENT),
    (PeerWord(State.PRIMARY, Record.PRIMARY, True), Claim.PRIMARY),
    (PeerWord(State.DRAINING, Record.PRIMARY, False), Claim.PRIMARY),
    (PeerWord(State.PROMOTING, Record.PROMOTING, False), Claim.TAKING),
    (PeerWord(State.FAULTED, Record.PRIMARY, None), Claim.ASIDE),
    (PeerWord(State.STANDBY, Record.STANDBY, False), Claim.STANDBY),
    (PeerWord(State.STANDBY, Record.STANDBY, None), Claim.PRIMARY),
    (PeerWord(State.STANDBY, Record.STANDBY, True), Claim.PRIMARY),
    (PeerWord(State.CATCHING_UP, Record.STANDBY, False), Claim.BEHIND),
    (PeerWord(State.FENCED, Record.OVERTAKEN, None), Claim.PRIMARY),
    (PeerWord(State.FENCED, Record.OVERTAKEN, False), Claim.ASIDE),
    (PeerWord(State.UNKNOWN, Record.PRIMARY, False), Claim.WAS_PRIMARY),
    (PeerWord(State.UNKNOWN, Record.PRIMARY, True), Claim.PRIMARY),
    (PeerWord(State.UNKNOWN, Record.STANDBY, False), Claim.WAS_STANDBY),
    (PeerWord(State.UNKNOWN, Record.OVERTAKEN, False), Claim.ASIDE),
    (PeerWord(State.UNKNOWN, Record.HANDED_OVER, False, HANDED), Claim.HANDED),
    (PeerWord(State.DEMOTED, Record.HANDED_OVER, False, HANDED), Claim.HANDED),
    (PeerWord(State.DEMOTED, Record.HANDED_OVER, None, HANDED), Claim.PRIMARY),
    (PeerWord(State.DEMOTED, Record.HANDED_OVER, False, replace(HANDED, to="c")), Claim.ASIDE),
    (PeerWord(State.DEMOTED, Record.HANDED_OVER, False, replace(HANDED, finals={"x": 8})),
     Claim.ASIDE),
]  # fmt: skip


@pytest.mark.parametrize(("said", "claim"), WORDS)
def test_what_a_word_is_worth(said: PeerWord | None, claim: Claim) -> None:
    assert hear(said, "b", {"x": (6, 7)}) is claim


def test_every_state_is_heard_as_something() -> None:
    for state, record, writable in product(State, Record, (None, False, True)):
        assert hear(PeerWord(state, record, writable), "b", {}) in Claim


def test_fit_and_the_manual_authority() -> None:
    whole = Manifest("g", 1, "1-00000000", 0, {})
    assert judge_fit(False, whole, 0, 5) is Fit.BROKEN
    assert judge_fit(True, None, 0, 5) is Fit.SEEDING
    assert judge_fit(True, whole, None, 5) is Fit.LAGGING
    assert judge_fit(True, whole, 6, 5) is Fit.LAGGING
    assert judge_fit(True, whole, 5, 5) is Fit.FRESH
    granted = {order for order in Order if answer_by_hand(order) is Authority.GRANTED}
    assert granted == {Order.FORCE, Order.CONTINUE, Order.RESOLVE}
    assert {answer_by_hand(order) for order in Order} == {Authority.GRANTED, Authority.UNKNOWN}
