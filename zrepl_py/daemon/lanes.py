"""The lanes of this node: one per dataset and target; run, retried, and asked what they pin.

A lane's view is only a cache: any error throws it away, and the next run observes both sides.
Runs as engines of one agenda, so it needs no lock (engine/commands.py).
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from zrepl_py.core.diff import explain_conflict, newest_own
from zrepl_py.core.replication import LaneView, rests_on_memory
from zrepl_py.core.retention import would_drop_on_target
from zrepl_py.daemon.troubles import Trouble
from zrepl_py.engine.commands import Agenda, Engine
from zrepl_py.engine.group import Group
from zrepl_py.engine.lane import LaneResult, carry_properties, replicate_lane
from zrepl_py.errors import Bug, Passing, ZrError
from zrepl_py.events import Event
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.plan import Conflict, NothingToSend, Skipped
from zrepl_py.model.policy import Keep
from zrepl_py.model.site import Lane, Node, lane_uuid
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.peer import PeerPort

Tell = Callable[..., None]
"""tell(event, **fields): see events.py."""
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
STANDING_SECONDS = 60.0
LOOK_SECONDS = 3600.0
"""A lane with nothing to send looks at its target all the same, after so long: a replica that is
gone there (a pool made anew, a person's mistake) must not be called safe for ever."""
DOUBT_SECONDS = 60.0
"""The same where the source has lost its base: was it rolled back?"""
SEND_STEP_SECONDS = 0.1
STAYING = ("lane-mismatch", "bad-name", "target-exists")
"""Reasons for which a target refuses a lane until a person acts."""


@dataclass(frozen=True, slots=True)
class Target:
    """A node that keeps copies of this node's datasets."""

    node: Node
    port: PeerPort


@dataclass
class LaneState:
    """One lane, and what is remembered of it."""

    lane: Lane
    group: str
    keep: Keep
    """The target's retention of this dataset, as far as this node's policies say."""
    parent: str | None
    """uuid of the nearest selected ancestor's lane: its replica must exist before ours can."""
    view: LaneView | None = None
    looked_at: float = 0.0
    """Monotonic moment at which both sides were last observed."""
    replica_exists: bool = False
    """The target was last seen to have at least one snapshot."""
    properties: Mapping[str, str] | None = None
    """Those that the target was told; None: it must be told."""
    look_at_properties: bool = True
    conflict: Conflict | None = None
    error: ZrError | None = None
    failures: int = 0
    """Tries that failed in a row, since a person last asked for one."""
    trouble: Trouble = field(default_factory=Trouble)
    """What was told of them."""
    committed: Snapshot | None = None
    """The newest snapshot that the target had when the lane was last up to date."""
    arrived: Snapshot | None = None
    """The newest that it has, as far as is known: also in the midst of a run, and after one that
    failed. What came after it waits for the target."""
    transfers: int = 0
    remembered_pins: frozenset[int] = frozenset()
    """What it needed when it was last known: unknown is unsafe."""

    @property
    def pins(self) -> frozenset[int]:
        """guids that this lane needs on the source: base, in flight, resumable."""
        if self.view is None:
            return self.remembered_pins
        replica, guids = self.view.replica, set(self.view.held)
        base = newest_own(replica.history)
        if base is not None:
            guids.add(base.guid)
        if replica.resume is not None:
            guids.add(replica.resume.to_guid)
        return frozenset(guids)

    def note(self, view: LaneView) -> None:
        """Both sides are so: retention on the source asks what the target has, at any time."""
        self.arrived = newest_own(view.replica.history)


@dataclass
class Lanes:
    """All lanes. `history_of` gives the source's history of a dataset as it is known now."""

    node: Node
    ports: dict[str, Any]
    clock: ClockPort
    agenda: Agenda
    tell: Tell
    history_of: Callable[[str], History | None]
    doubt: Callable[[str], None]
    """doubt(group): what is remembered of the group was found wrong; observe it again soon."""
    sends: Callable[[str], bool] = lambda _: True
    """sends(group): whether its streams may leave this node."""
    beside: Callable[[str, str], Mapping[str, str]] = lambda *_: {}
    """beside(group, dataset): what is carried of it besides what is set on it."""
    states: dict[str, LaneState] = field(default_factory=dict)
    _peers: dict[str, PeerPort] = field(default_factory=dict)

    def ensure(self, group: Group, targets: list[Target]) -> None:
        """Make the lanes of a group those that its members and targets ask for."""
        wanted: dict[str, LaneState] = {}
        for target in targets:
            keep, course = group.policy.keep.get(target.node.name, Keep()), group.course
            roles = {"epoch": str(course.epoch)} if course.roles else {}
            above: dict[str, str] = {}
            for name, member in group.members.items():
                uuid = lane_uuid(self.node.uuid, member.dataset.guid, target.node.uuid)
                ancestors = [a for a in above if name.startswith(a + "/")]
                parent = above[max(ancestors, key=len)] if ancestors else None
                above[name] = uuid
                raw = member.dataset.encrypted
                squeezable = not raw and not member.dataset.compressed
                label = {"label": course.called(name)} if course.roles else {}
                lane = Lane(uuid, name, target.node, raw, squeezable, **label, **roles)
                known = self.states.get(uuid)
                if known is not None and known.lane == lane:
                    known.keep, known.parent, known.look_at_properties = keep, parent, True
                    wanted[uuid] = known
                else:
                    wanted[uuid] = LaneState(lane, group.name, keep, parent)
        others = {u: s for u, s in self.states.items() if s.group != group.name}
        self.states = {**others, **wanted}
        self._peers.update({t.node.uuid: t.port for t in targets})

    def wake(self, group: str) -> None:
        """Let every lane of a group look whether there is something to send."""
        for uuid, state in list(self.states.items()):
            if state.group == group and not state.failures and not self._rests(state):
                self._ask(uuid)

    def _rests(self, state: LaneState) -> bool:
        """What its last run left is all there is, and is still believed: nothing is to be done."""
        view, history = state.view, self.history_of(state.lane.dataset)
        return (
            view is not None
            and history is not None
            and view.source.snapshots is history.snapshots  # the very ones: nothing was taken since
            and not state.look_at_properties
            and self.clock.monotonic() - state.looked_at < LOOK_SECONDS
            and not rests_on_memory(view)
        )

    def wake_all(self, wanted: Callable[[LaneState], bool] = lambda _: True) -> None:
        """Let every lane that is wanted look now, also those that wait after a failure; should
        they fail again, they wait as short as after a first one."""
        for uuid, state in list(self.states.items()):
            if wanted(state):
                state.failures = 0
                self._ask(uuid)

    def doubt_target(self, target: str) -> None:
        """Its daemon is another one by now. What is remembered of its replicas may be wrong, and it
        knows of none before it is asked: retention and `zr status` there wait for that."""
        for state in self.states.values():
            if state.lane.target.name == target:
                state.remembered_pins |= state.pins
                # The moment too: a run that is about to end will leave the view that it had.
                state.view, state.looked_at = None, float("-inf")
        self.wake_all(lambda state: state.lane.target.name == target)

    def send_group(
        self, group: str, monitor: AbstractContextManager[Any], deadline_seconds: float
    ) -> None:
        """Let each lane of a group that has not sent all there is try now, those that wait after a
        failure too; returns when each has, or failed, or at the deadline. The others are left
        alone: whoever waits for this must not wait for their looks. Blocks: call it without the
        agenda's monitor."""
        with monitor:
            for state in self.states.values():
                state.failures = 0 if state.group == group else state.failures
            due = [u for u, s in self.states.items() if s.group == group and self._is_sending(u)]
            for uuid in due:
                self._ask(uuid)
        until = self.clock.monotonic() + deadline_seconds
        while due and self.clock.monotonic() < until:
            self.clock.sleep(SEND_STEP_SECONDS)
            with monitor:
                due = [uuid for uuid in due if self._is_sending(uuid)]

    def _is_sending(self, uuid: str) -> bool:
        state = self.states.get(uuid)
        history = self.history_of(state.lane.dataset) if state is not None else None
        if state is None or history is None or state.failures:
            return False
        newest, committed = newest_own(history), state.committed
        return newest is not None and (committed is None or committed.guid != newest.guid)

    def of_dataset(self, dataset: str) -> list[LaneState]:
        """The lanes of one dataset."""
        return [s for s in self.states.values() if s.lane.dataset == dataset]

    def _ask(self, uuid: str, after_seconds: float = 0.0) -> None:
        state = self.states.get(uuid)
        if state is None:
            return  # its dataset went, or got another lane, while it ran
        ports = {**self.ports, "PeerPort": self._peers[state.lane.target.uuid]}
        self.agenda.start(("lane", uuid), lambda: self.run_lane(uuid), ports, after_seconds)

    def run_lane(self, uuid: str) -> Engine[None]:
        """Run one lane once; errors are remembered, told and retried, never raised."""
        state = self.states.get(uuid)
        history = self.history_of(state.lane.dataset) if state else None
        if state is None or history is None or not self.sends(state.group):
            return
        if not self._may_start(state):
            state.failures = 0  # every tick may ask again, and the parent's commit will
            return
        view = state.view
        believed = DOUBT_SECONDS if view and rests_on_memory(view) else LOOK_SECONDS
        if self.clock.monotonic() - state.looked_at >= believed:
            view = None
        if view is None:
            state.looked_at = self.clock.monotonic()
            state.properties, state.look_at_properties = None, True
        elif view.source.snapshots is not history.snapshots:
            view = view.with_source(view.source.with_snapshots(history.snapshots))
        try:
            lane = replace(state.lane, parent=self._parent_to_wait_for(state))
            skip = self._skip_rule(state.keep)
            result = yield from replicate_lane(lane, view, skip, state.note)
            if state.look_at_properties and result.view.replica.history.snapshots:
                beside = self.beside(state.group, state.lane.dataset)
                state.properties = yield from carry_properties(state.lane, state.properties, beside)
                state.look_at_properties = False
        except Bug:
            raise  # the agenda ends the daemon
        except ZrError as error:
            self._failed(uuid, state, error)
        else:
            self._succeeded(uuid, state, result)

    def _may_start(self, state: LaneState) -> bool:
        """A parent's first, full stream cannot be received over a placeholder made for a child. But
        a parent that is refused for good must not keep its children unprotected."""
        parent = self.states.get(self._parent_to_wait_for(state))
        return parent is None or parent.replica_exists

    def _parent_to_wait_for(self, state: LaneState) -> str:
        parent = self.states.get(state.parent) if state.parent else None
        refused = parent is not None and parent.error and parent.error.reason in STAYING
        return state.parent or "" if parent is not None and not refused else ""

    def _skip_rule(self, keep: Keep) -> Callable[..., tuple[Skipped, ...]]:
        return lambda pending, replica: would_drop_on_target(pending, replica, keep)

    def _succeeded(self, uuid: str, state: LaneState, result: LaneResult) -> None:
        state.remembered_pins = state.pins
        state.replica_exists = bool(result.view.replica.history.snapshots)
        lane = {"dataset": state.lane.dataset, "target": state.lane.target.name}
        if result.conflict is not None and not isinstance(result.conflict, NothingToSend):
            state.conflict, state.view = result.conflict, None
            state.error, state.failures = None, 1
            evidence = explain_conflict(result.conflict)
            kind = type(result.conflict).__name__
            if state.trouble.is_news(kind, evidence, self.clock.monotonic()):
                self.tell(Event.LANE_CONFLICT, **lane, kind=kind, evidence=evidence)
            self._ask(uuid, STANDING_SECONDS)
            return
        if (over := state.trouble.end(self.clock.monotonic())) is not None:
            self.tell(Event.LANE_RECOVERED, **lane, failures=over[0], seconds=over[1])
        if result.resumed:
            self.tell(Event.LANE_RESUMED, **lane)
        if result.skipped:
            first, count = result.skipped[0], len(result.skipped)
            self.tell(Event.SNAPSHOTS_SKIPPED, **lane, count=count, why=first.why)
        if result.committed:
            state.transfers += len(result.committed)
            last, count = result.committed[-1], len(result.committed)
            self.tell(Event.LANE_COMMITTED, **lane, snapshot=last.name, count=count)
        # Last: who waits for the lane to be in sync finds all that was told of it.
        state.view, state.conflict, state.error, state.failures = result.view, None, None, 0
        state.committed = state.arrived = newest_own(result.view.replica.history)
        seen, known = newest_own(result.view.source), self.history_of(state.lane.dataset)
        if seen is not None and known is not None and known.snapshot(seen.guid) is None:
            self.doubt(state.group)  # a change of roles took a tick of its own, for one
        for child, other in self.states.items():
            # One that failed comes when it said, unless something new is there for it.
            ready = not other.failures or result.committed
            if other.parent == uuid and not other.replica_exists and ready:
                self._ask(child)

    def _look_again(self, uuid: str | None) -> None:
        """What was believed of this lane's replica is wrong."""
        state = self.states.get(uuid) if uuid else None
        if state is not None:
            state.view, state.replica_exists = None, False
            self._ask(state.lane.uuid)

    def _failed(self, uuid: str, state: LaneState, error: ZrError) -> None:
        state.remembered_pins |= state.pins
        state.view, state.error = None, error
        retries = RETRY_SECONDS if isinstance(error, Passing) else (STANDING_SECONDS,)
        delay = retries[min(state.failures, len(retries) - 1)]
        state.failures += 1
        if not isinstance(error, Passing):
            self.doubt(state.group)
        if error.reason == "parent-missing":
            state.replica_exists = False
            self._look_again(state.parent)
        if state.trouble.is_news(error.reason, str(error), self.clock.monotonic()):
            self.tell(
                Event.LANE_FAILED,
                dataset=state.lane.dataset,
                target=state.lane.target.name,
                reason=error.reason,
                message=str(error),
                retry_seconds=delay,
            )
        self._ask(uuid, delay)
