"""Which steps bring a replica up to date? Observation in, Plan or Conflict out.

Invariants, each with a property test:
- The order is that of the source's createtxg; every increment starts at what the target has
  committed, never at what we meant to send.
- Before a stream begins, its snapshot is held; before an old base is let go, the target has
  committed a newer one, and the cursor bookmark stands there.
- A partial receive is resumed only if its snapshot, one of zr's, its base and its rawness are what
  we would send; otherwise it is aborted, whoever began it in our replica, and sent anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from zrepl_py.core.diff import Agreement, diff, newest_own
from zrepl_py.model.history import Bookmark, History, Snapshot
from zrepl_py.model.names import parse_cursor, parse_tick, render_cursor
from zrepl_py.model.observation import ReplicaView, ResumePoint
from zrepl_py.model.plan import (
    AbortPartial,
    Base,
    Conflict,
    Covered,
    Diverged,
    Hold,
    HoldBase,
    Plan,
    Release,
    Resume,
    SendFull,
    SendIncrement,
    SetCursor,
    Skipped,
    Step,
    TargetAhead,
)

Skip = Callable[[tuple[Snapshot, ...], History], tuple[Skipped, ...]]
"""(pending, replica's history) → which pending snapshots need not be sent; never the newest."""


@dataclass(frozen=True, slots=True)
class LaneView:
    """All that is known of a lane: what planning needs, and what performing keeps up to date."""

    target: str
    """The target node's 8 hex digits, as in our holds and cursors."""
    raw: bool
    source: History
    held: frozenset[int]
    """guids of source snapshots that carry our hold for this target."""
    replica: ReplicaView

    def with_source(self, source: History) -> "LaneView":
        """With what the source has now."""
        return LaneView(self.target, self.raw, source, self.held, self.replica)

    def with_held(self, held: frozenset[int]) -> "LaneView":
        """With what the source holds now."""
        return LaneView(self.target, self.raw, self.source, held, self.replica)

    def with_replica(self, replica: ReplicaView) -> "LaneView":
        """With what the target has now."""
        return LaneView(self.target, self.raw, self.source, self.held, replica)

    def cursors(self) -> tuple[Bookmark, ...]:
        """Our cursor bookmarks for this target."""
        return tuple(b for b in self.source.bookmarks if _is_cursor_of(b, self.target))


def skip_nothing(pending: tuple[Snapshot, ...], replica: History) -> tuple[Skipped, ...]:
    """The rule that sends everything."""
    return ()


def plan_lane(view: LaneView, skip: Skip = skip_nothing) -> Plan | Conflict:
    """Steps that bring the target to the source's newest snapshot, and tidy holds and cursor."""
    agreement = diff(view.source, view.replica.history, raw=view.raw)
    if not isinstance(agreement, Agreement):
        return agreement
    steps: list[Step] = []
    base, pending = agreement.base, agreement.pending
    point = view.replica.resume
    if point is not None:
        resumed = _judge_resume(view, point, base)
        if isinstance(resumed, AbortPartial):
            steps.append(resumed)
        else:
            steps += _transfer(resumed, resumed.to, base)
            base = resumed.to
            pending = tuple(s for s in pending if s.createtxg > base.createtxg)
    skipped = skip(pending, view.replica.history)
    left_out = {s.snapshot.guid for s in skipped}
    steps = _settle(view, agreement.base) + steps
    for to in pending:
        if to.guid in left_out:
            continue
        step = SendFull(to) if base is None else SendIncrement(base, to)
        steps += _transfer(step, to, base)
        base = to
    steps += _release_stale(view, keep=_guids(agreement.base, *agreement.pending))
    count = sum(isinstance(s, SendFull | SendIncrement | Resume) for s in steps)
    why = f"{count} to send from {base_name(agreement.base)}" if count else "in sync"
    return Plan(tuple(steps), why, skipped)


def plan_protection(view: LaneView, conflict: Conflict) -> tuple[Step, ...]:
    """While a lane is in conflict: hold its last common version on both sides, and nothing else.

    With it a person can still choose either side and send only what differs.
    """
    if not isinstance(conflict, Diverged | TargetAhead | Covered):
        return ()
    here = view.source.snapshot(conflict.last_common.guid)
    steps = [] if here is None or here.guid in view.held else [Hold(here)]
    return (*steps, *_settle_target(view, conflict.last_common.guid))


def rests_on_memory(view: LaneView) -> bool:
    """Whether the source has lost the snapshot that the target had last. It goes on from the cursor
    then, if that is still there: when the source was rolled back, it is not, and they differ."""
    newest = newest_own(view.replica.history)
    return newest is not None and view.source.snapshot(newest.guid) is None


def apply_step(view: LaneView, step: Step, createtxg: int = 0) -> LaneView:
    """The view after a step was performed; `createtxg` is the receiver's, of what it committed."""
    match step:
        case SendFull(to) | SendIncrement(_, to) | Resume(_, to, _, _):
            landed = Snapshot(to.guid, createtxg, to.name, to.created_at)
            before = view.replica.history
            history = before.with_snapshots((*before.snapshots, landed))
            held = frozenset({to.guid})
            return view.with_replica(ReplicaView(True, history, None, held))
        case AbortPartial():
            return view.with_replica(replace(view.replica, resume=None))
        case HoldBase():
            held = _held_on_target(view, step.base.guid)
            return view.with_replica(replace(view.replica, held=held))
        case Hold(snapshot):
            return view.with_held(view.held | {snapshot.guid})
        case Release(snapshot):
            return view.with_held(view.held - {snapshot.guid})
        case SetCursor(base):
            name = render_cursor(view.target, base.guid)
            cursor = Bookmark(base.guid, base.createtxg, name, base.created_at)
            cursors = view.cursors()
            others = tuple(b for b in view.source.bookmarks if b not in cursors)
            marks = tuple(sorted((*others, cursor), key=lambda b: (b.createtxg, b.name)))
            return view.with_source(History(view.source.snapshots, marks))


def base_name(base: Base | None) -> str:
    """For people: `@name`, `#name` or `nothing`."""
    if base is None:
        return "nothing"
    return ("@" if isinstance(base, Snapshot) else "#") + base.name


def _transfer(
    step: SendFull | SendIncrement | Resume, to: Snapshot, base: Base | None
) -> list[Step]:
    steps: list[Step] = [Hold(to), step, SetCursor(to)]
    if isinstance(base, Snapshot):
        steps.append(Release(base))
    return steps


def _judge_resume(view: LaneView, point: ResumePoint, base: Base | None) -> Resume | AbortPartial:
    to = view.source.snapshot(point.to_guid)
    if to is None:
        return AbortPartial(point.to_guid, "its snapshot is gone on the source")
    if parse_tick(to.name) is None:
        return AbortPartial(point.to_guid, "its snapshot is not one of zr's")
    if point.raw != view.raw:
        return AbortPartial(point.to_guid, "it was begun with another kind of stream")
    if point.from_guid != (base.guid if base else 0):
        return AbortPartial(point.to_guid, "it starts from another version than the replica's")
    return Resume(base, to, point.object, point.offset)


def _settle(view: LaneView, base: Base | None) -> list[Step]:
    """What an earlier run left undone for the base: its hold, the cursor."""
    if base is None:
        return []
    steps: list[Step] = []
    if isinstance(base, Snapshot) and base.guid not in view.held:
        steps.append(Hold(base))
    if [c.guid for c in view.cursors()] != [base.guid]:
        steps.append(SetCursor(base))
    return steps + _settle_target(view, base.guid)


def _settle_target(view: LaneView, guid: int) -> list[Step]:
    base = view.replica.history.snapshot(guid)
    if base is None or view.replica.held == _held_on_target(view, guid):
        return []
    return [HoldBase(base)]


def _held_on_target(view: LaneView, guid: int) -> frozenset[int]:
    newest = newest_own(view.replica.history)
    return frozenset({guid, newest.guid} if newest else {guid})


def _release_stale(view: LaneView, keep: set[int]) -> list[Step]:
    stale = view.held - keep
    return [Release(s) for s in view.source.snapshots if s.guid in stale] if stale else []


def _guids(*versions: Base | None) -> set[int]:
    return {v.guid for v in versions if v is not None}


def _is_cursor_of(bookmark: Bookmark, target: str) -> bool:
    parsed = parse_cursor(bookmark.name)
    return parsed is not None and parsed[0] == target
