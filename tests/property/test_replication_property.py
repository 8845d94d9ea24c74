"""plan_lane's promises, over any pair of histories, holds, cursors and partial receives.

What a plan does is followed here step by step with another book-keeping than production's.
"""

from dataclasses import dataclass, replace
from random import Random

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.unit.histories import TARGET, own_name
from zrepl_py.core.replication import LaneView, Skip, plan_lane
from zrepl_py.model.history import Bookmark, History, Snapshot
from zrepl_py.model.names import parse_tick, render_cursor
from zrepl_py.model.observation import ReplicaView, ResumePoint
from zrepl_py.model.plan import (
    AbortPartial,
    Base,
    Covered,
    Diverged,
    Hold,
    HoldBase,
    NothingToSend,
    Plan,
    Release,
    Resume,
    SendFull,
    SendIncrement,
    SetCursor,
    Skipped,
    Step,
    TargetAhead,
    Unrelated,
)

OTHER = "0123abcd"
BOTH = 6
"""Versions that both sides may have."""
SEEDS = st.integers(0, 2**40)


def version(guid: int, own: bool, txg: int, at: int) -> Snapshot:
    return Snapshot(guid, txg, own_name(guid) if own else f"foreign{guid}", at)


def draw_view(seed: int) -> LaneView:
    """Dice of its own: Hypothesis' favour what is small, and then hardly anything fits together.
    Neither guids nor times of creation say anything of the order; guids above 100 are the replica's
    alone."""
    dice = Random(seed)
    here, marks, there = list[Snapshot](), list[Bookmark](), list[Snapshot]()
    for place, guid in enumerate(dice.sample(range(1, 100), dice.randint(0, BOTH + 3)), 1):
        ours, kept, at = dice.random() < 0.6, dice.randint(0, 3), dice.randint(0, 9999)
        if kept & 1:
            here.append(version(guid, ours, 10 * place, at))
        if kept & 2:
            names = render_cursor(TARGET, guid), render_cursor(OTHER, guid), f"somebodys{guid}"
            marks.append(Bookmark(guid, 10 * place, dice.choice(names), at))
        if place <= BOTH and dice.random() < 0.4:
            there.append(version(guid, ours, 5000 + 10 * place, at))
    for guid in range(101, 101 + dice.choice((0, 0, 0, 1, 2))):
        txg = 5000 + 10 * dice.randint(0, BOTH + 1) + guid - 100
        there.append(version(guid, dice.random() < 0.4, txg, dice.randint(0, 9999)))
    there.sort(key=lambda s: s.createtxg)
    held, held_there = (
        frozenset(s.guid for s in some if dice.random() < 0.5) for some in (here, there)
    )
    replica = ReplicaView(bool(there), History(tuple(there)), None, held_there)
    source = History(tuple(here), tuple(marks))
    view = LaneView(TARGET, dice.random() < 0.5, source, held, replica)
    if dice.random() < 0.5:
        return view
    return view.with_replica(replace(replica, resume=draw_point(dice, view)))


def draw_point(dice: Random, view: LaneView) -> ResumePoint:
    """Of anybody's making, and more often than not from the right version; a stream leads on."""
    base, source = last_common(view), view.source
    if dice.random() < 0.3:
        base = dice.choice((None, *source.snapshots))
    start = place_of(view, base)
    end = dice.choice((*[s.guid for s in source.snapshots if s.createtxg > start], 999))
    raw = view.raw ^ (dice.random() < 0.2)
    return ResumePoint(end, base.guid if base else 0, 5, 131_072, 200_000, raw)


@dataclass
class Book:
    """What both sides have while a plan is performed."""

    view: LaneView
    at: int | None
    """guid of the version that the target was last given, and the source knows."""
    held: set[int]
    held_there: set[int]
    cursors: set[int]
    partial: ResumePoint | None
    sent: list[Snapshot]

    def perform(self, step: Step) -> None:
        match step:
            case Hold(snapshot):
                assert snapshot in self.view.source.snapshots
                self.held.add(snapshot.guid)
            case Release(snapshot):
                assert snapshot.guid != self.at, "the base is let go"
                assert self.cursors == {self.at}, "no cursor stands at the base yet"
                self.held.discard(snapshot.guid)
            case SetCursor(base):
                assert base.guid == self.at, "the cursor says what was not committed"
                self.cursors = {base.guid}
            case HoldBase(base):
                assert base.guid == self.at
                self.held_there = settled(self.view, base)
            case AbortPartial():
                assert self.partial is not None
                self.partial = None
            case SendFull(to):
                assert self.at is None
                self._receive(None, to)
            case SendIncrement(base, to):
                self._receive(base, to)
            case Resume(base, to, place, offset):
                point = self.partial
                assert point is not None
                assert (point.object, point.offset) == (place, offset)
                assert point.to_guid == to.guid, "a stale token"
                assert point.from_guid == (base.guid if base else 0), "a stale token"
                assert point.raw == self.view.raw
                self.partial = None
                self._receive(base, to)

    def _receive(self, base: Base | None, to: Snapshot) -> None:
        assert self.partial is None, "ZFS refuses another stream"
        assert (base.guid if base else None) == self.at, "the target has another version"
        assert to in self.view.source.snapshots
        assert to.guid in self.held, "on its way without a hold"
        assert parse_tick(to.name), "not ours to send"
        assert base is None or base.createtxg < to.createtxg
        self.at = to.guid
        self.held_there = {to.guid}  # the receiver's own doing, with each commit
        self.sent.append(to)


def last_common(view: LaneView) -> Snapshot | None:
    here, marks = view.source.snapshots, view.source.bookmarks
    known = {s.guid for s in here} | {b.guid for b in marks}
    common = [s for s in view.replica.history.snapshots if s.guid in known]
    return common[-1] if common else None


def place_of(view: LaneView, common: Snapshot | None) -> int:
    """The source's createtxg of a version that it knows; 0 of none."""
    versions: tuple[Base, ...] = (*view.source.snapshots, *view.source.bookmarks)
    return next((v.createtxg for v in versions if common and v.guid == common.guid), 0)


def to_send(view: LaneView, common: Snapshot | None) -> list[Snapshot]:
    after = place_of(view, common)
    return [s for s in view.source.snapshots if s.createtxg > after and parse_tick(s.name)]


def settled(view: LaneView, base: Snapshot) -> set[int]:
    """What a target holds that has nothing to receive: the base, and its newest of zr's."""
    own = [s.guid for s in view.replica.history.snapshots if parse_tick(s.name)]
    return {base.guid, *own[-1:]}


def fits(view: LaneView, start: int | None) -> bool:
    """Is the partial receive what would be sent?"""
    point = view.replica.resume
    ours = {s.guid for s in view.source.snapshots if parse_tick(s.name)}
    return point is not None and (point.to_guid, point.from_guid, point.raw) in {
        (guid, start or 0, view.raw) for guid in ours
    }


def leaving_out(odd: bool) -> Skip:
    """Some rule of retention: every other one, but never the newest."""

    def skip(pending: tuple[Snapshot, ...], _: History) -> tuple[Skipped, ...]:
        return tuple(Skipped(s, "odd") for s in pending[:-1] if odd and s.guid % 2)

    return skip


@settings(max_examples=1000)
@given(SEEDS, st.booleans())
def test_a_plan_sends_what_is_lacking_in_order_and_never_lets_go_too_early(
    seed: int, odd: bool
) -> None:
    view = draw_view(seed)
    note(str(view))
    plan = plan_lane(view, leaving_out(odd))
    if not isinstance(plan, Plan):
        return  # below
    common = last_common(view)
    start = common.guid if common else None
    cursors = {b.guid for b in view.source.bookmarks if b.name == render_cursor(TARGET, b.guid)}
    replica = view.replica
    book = Book(view, start, set(view.held), set(replica.held), cursors, replica.resume, [])
    for step in plan.steps:
        book.perform(step)
    lacking = to_send(view, common)
    assert book.at == (lacking[-1].guid if lacking else start)
    left_out = {s.snapshot.guid for s in plan.skipped}
    first = lacking.index(book.sent[0]) if book.sent else 0  # what is resumed may jump
    assert [s for s in lacking[first:] if s.guid not in left_out or s in book.sent] == book.sent
    if not any(isinstance(s, Resume) for s in plan.steps):
        assert {s.guid for s in lacking} - {s.guid for s in book.sent} == left_out
    assert book.partial is None
    assert book.cursors == {book.at}
    assert book.held_there == ({book.at} if book.sent else settled(view, common or lacking[-1]))
    here = {s.guid for s in view.source.snapshots}
    waiting = {s.guid for s in lacking} - {s.guid for s in book.sent}
    assert {book.at} & here <= book.held <= {book.at} | waiting
    assert any(isinstance(s, Resume) for s in plan.steps) == fits(view, start)


@settings(max_examples=400)
@given(SEEDS)
def test_what_differs_is_a_conflict_and_nothing_else_is(seed: int) -> None:
    view = draw_view(seed)
    note(str(view))
    plan = plan_lane(view)
    there, common = view.replica.history.snapshots, last_common(view)
    lacking = to_send(view, common)
    later = [s for s in there if common and s.createtxg > common.createtxg]
    ahead = [s for s in later if parse_tick(s.name)]
    if not there:
        assert isinstance(plan, Plan if lacking else NothingToSend)
    elif common is None:
        assert plan == Unrelated(view.source.newest, there[-1])
    elif ahead:
        evidence = (tuple(lacking), tuple(ahead)) if lacking else (tuple(ahead),)
        assert plan == (Diverged if lacking else TargetAhead)(common, *evidence)
    elif view.raw and later and lacking:
        assert plan == Covered(common, tuple(later))
    else:
        assert isinstance(plan, Plan)
