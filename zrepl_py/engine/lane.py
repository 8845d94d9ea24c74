"""Bring one lane up to date: observe if nothing is known, plan, perform step by step.

What is known of a lane is only a cache: any error throws it away, and the next run observes both
sides again. That is the whole recovery from a crash.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from zrepl_py.core.diff import find_in_origin
from zrepl_py.core.replication import (
    LaneView,
    Skip,
    apply_step,
    plan_lane,
    plan_protection,
    skip_nothing,
)
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.errors import Bug, Refused, Standing
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import join_snapshot, parse_tick, render_cursor, render_hold
from zrepl_py.model.plan import (
    AbortPartial,
    Base,
    Conflict,
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
    Unrelated,
)
from zrepl_py.model.site import Lane
from zrepl_py.ports.journal import JournalPort
from zrepl_py.ports.peer import PeerPort
from zrepl_py.ports.zfs import ZfsPort


@dataclass(frozen=True, slots=True)
class LaneResult:
    """Where a lane stands after a run."""

    view: LaneView
    conflict: Conflict | None = None
    committed: tuple[Snapshot, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    resumed: bool = False


def observe_lane(lane: Lane) -> Engine[LaneView]:
    """Look at both sides of a lane."""
    source = yield from ask(ZfsPort.observe_history, lane.dataset)
    own = {join_snapshot(lane.dataset, s.name): s for s in source.snapshots if parse_tick(s.name)}
    holds = yield from ask(ZfsPort.observe_holds, tuple(own))
    tag = render_hold(lane.target.short)
    held = frozenset(own[name].guid for name, tags in holds.items() if tag in tags)
    replica = yield from ask(PeerPort.observe_replica, lane)
    return LaneView(lane.target.short, lane.raw, source, held, replica)


def _unnoted(view: LaneView) -> None:
    pass


def replicate_lane(
    lane: Lane,
    view: LaneView | None,
    skip: Skip = skip_nothing,
    noted: Callable[[LaneView], None] = _unnoted,
) -> Engine[LaneResult]:
    """Run a lane until its target has committed the source's newest snapshot, or a conflict.

    `view` is what the last run returned, brought up to date with new snapshots, or None.
    `noted(view)` hears of each look at both sides and of each commit, before anything follows from
    it: what the target lost, or has by now, must be known while it is sent the rest, which may take
    days, and may fail.
    """
    fresh = view is None
    if view is None:
        view = yield from observe_lane(lane)
        noted(view)
    plan = plan_lane(view, skip)
    if fresh and isinstance(plan, Unrelated) and (yield from _mark_origin(lane, view)):
        view = yield from observe_lane(lane)
        plan = plan_lane(view, skip)
    if not isinstance(plan, Plan):
        if fresh:
            for step in plan_protection(view, plan):
                yield from perform_step(lane, view, step)
            return LaneResult(view, conflict=plan)
        # A conflict found in what is remembered is believed only when both sides still show it.
        return (yield from replicate_lane(lane, None, skip, noted))
    committed: list[Snapshot] = []
    for step in plan.steps:
        try:
            createtxg = yield from perform_step(lane, view, step)
        except (Standing, Refused) as error:
            # Retention or a person took a snapshot while the plan ran, or since what is remembered
            # (`zfs promote` of a clone moves them): plan what is left.
            gone = error.reason == "snapshot-missing" and (isinstance(step, Hold) or not fresh)
            # A refusal of what was planned from memory: look what is the matter.
            stale = isinstance(error, Refused) and not fresh
            if not (gone or stale):
                raise
            rest = yield from replicate_lane(lane, None, skip, noted)
            return _join(committed, plan, rest)
        view = apply_step(view, step, createtxg)
        if isinstance(step, SendFull | SendIncrement | Resume):
            committed.append(step.to)
            noted(view)
    return _join(committed, plan, LaneResult(view))


def _mark_origin(lane: Lane, view: LaneView) -> Engine[bool]:
    """Where the dataset's versions went to a clone that was promoted: put the cursor at the newest
    that the replica has of them. ZFS allows bookmarks of what a clone was made of."""
    origin = yield from ask(ZfsPort.observe_origin, lane.dataset)
    if origin is None:
        return False
    dataset, _, name = origin.partition("@")
    above = yield from ask(ZfsPort.observe_history, dataset)
    shared = find_in_origin(view.replica.history, above, name)
    if shared is None:
        return False
    cursor = f"{lane.dataset}#{render_cursor(lane.target.short, shared.guid)}"
    yield from ask(ZfsPort.bookmark, join_snapshot(dataset, shared.name), cursor)
    return True


def _join(committed: list[Snapshot], plan: Plan, rest: LaneResult) -> LaneResult:
    """The result of a plan that was performed so far, and of what came after it."""
    return replace(
        rest,
        committed=(*committed, *rest.committed),
        skipped=(*plan.skipped, *rest.skipped),
        resumed=rest.resumed or any(isinstance(s, Resume) for s in plan.steps),
    )


def carry_properties(
    lane: Lane, told: Mapping[str, str] | None, beside: Mapping[str, str]
) -> Engine[Mapping[str, str]]:
    """Tell the target the properties that belong to the data, unless they are those it was told.

    Its replica must exist. `beside`: those that are not set on it. Returns what the target knows.
    """
    properties = {**beside, **(yield from ask(ZfsPort.observe_properties, lane.dataset))}
    if properties != told:
        yield from ask(PeerPort.tell_properties, lane, properties)
    return properties


def perform_step(lane: Lane, view: LaneView, step: Step) -> Engine[int]:
    """Perform one step; returns the receiver's createtxg for transfers, else 0."""
    tag = render_hold(lane.target.short)
    match step:
        case Hold(snapshot):
            yield from ask(ZfsPort.hold, (join_snapshot(lane.dataset, snapshot.name),), tag)
        case Release(snapshot):
            yield from ask(ZfsPort.release, (join_snapshot(lane.dataset, snapshot.name),), tag)
        case SetCursor(base):
            yield from _set_cursor(lane, view, base)
        case HoldBase(base):
            yield from ask(PeerPort.hold_base, lane, base.guid)
        case AbortPartial(to_guid):
            yield from ask(PeerPort.abort_partial, lane, to_guid)
        case SendFull(to) | SendIncrement(_, to) | Resume(_, to, _, _):
            committed = yield from ask(PeerPort.transfer, lane, step)
            if committed.guid != to.guid:
                raise Bug(
                    "wrong-commit",
                    f"{lane.target.name} acknowledged guid {committed.guid} for {to.name} "
                    f"({to.guid}) of {lane.dataset}.",
                )
            yield from ask(
                JournalPort.append,
                "committed",
                {
                    "lane": lane.uuid,
                    "dataset": lane.dataset,
                    "target": lane.target.uuid,
                    "guid": to.guid,
                    "name": to.name,
                },
            )
            return committed.createtxg
    return 0


def _set_cursor(lane: Lane, view: LaneView, base: Base) -> Engine[None]:
    mark = "@" if isinstance(base, Snapshot) else "#"
    name = render_cursor(lane.target.short, base.guid)
    bookmark = f"{lane.dataset}#{name}"
    yield from ask(ZfsPort.bookmark, f"{lane.dataset}{mark}{base.name}", bookmark)
    old = {f"{lane.dataset}#{c.name}": c.guid for c in view.cursors() if c.name != name}
    if old:
        yield from ask(ZfsPort.destroy_bookmarks, old)
