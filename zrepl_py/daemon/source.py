"""The source's side of the daemon: groups that tick, snapshots that go; lanes.py follows.

All that is remembered here is a cache of the pools; an error throws the group's away, and the next
tick observes again. Unknown is unsafe: what is not known is not pruned. Runs as engines of one
agenda, so it needs no lock (engine/commands.py).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from zrepl_py.core.caps import Awaited, Caps, GivesWay, find_awaited, find_waiting
from zrepl_py.core.caution import Removal, plan_removal
from zrepl_py.core.pins import pin_bases, pin_running
from zrepl_py.core.retention import Votes, join_pins
from zrepl_py.daemon.courses import Courses, GroupKey
from zrepl_py.daemon.doubts import Doubts
from zrepl_py.daemon.lanes import Lanes, Target, Tell
from zrepl_py.daemon.leftovers import Leftovers
from zrepl_py.daemon.manifests import Manifests
from zrepl_py.daemon.rooms import Queue, Rooms
from zrepl_py.daemon.ticks import Ticks, Validity
from zrepl_py.engine.commands import Agenda, Engine, ask, run
from zrepl_py.engine.group import Course, Group, Member, observe_group
from zrepl_py.engine.last_look import LastLook, Planner, plan_freshly, still_doomed
from zrepl_py.engine.prune import prune
from zrepl_py.engine.tick import TickResult, take_tick
from zrepl_py.errors import Bug, Passing, ZrError
from zrepl_py.events import Event
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import Epoch, TickName, parse_tick
from zrepl_py.model.policy import Keep, Policy
from zrepl_py.model.site import Manifest, Node
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.peer import PeerPort
from zrepl_py.ports.zfs import ZfsPort

PRUNE_SECONDS = 60.0
TOLD_AGAIN = 100


class Source:
    """Every group of this node, with its lanes."""

    def __init__(
        self,
        *,
        node: Node,
        epoch: Epoch,
        policies: Iterable[Policy],
        targets: Iterable[Target],
        ports: dict[str, Any],
        clock: ClockPort,
        agenda: Agenda,
        tell: Tell,
        rescan_seconds: float,
        journalled: Sequence[Manifest] = (),
        reserved: Sequence[str] = (),
        lanes_agenda: Agenda | None = None,
        courses: Courses | None = None,
    ) -> None:
        """`journalled`: the ticks of an earlier run, oldest first. Their numbers are not given
        again, and the newest are told once more, for the targets may not have heard of them.
        `lanes_agenda`: for what waits for peers, so that ticks do not.
        `reserved`: datasets that are never selected, nor what is below: replicas of others.
        `courses`: where groups have roles; else `policies` says all."""
        self._reserved = tuple(reserved)
        waiting = lanes_agenda or agenda
        self.node = node
        self.groups: dict[GroupKey, Group] = {}
        self.courses = courses or Courses(node, epoch, policies)
        self.policies = self.courses.policies
        self.lanes = Lanes(
            node, ports, clock, waiting, tell, self.history_of, self._doubt, self.courses.sends,
            self.courses.beside,
        )  # fmt: skip
        self.last_tick: dict[GroupKey, float] = {}
        """Group → monotonic moment of its last tick that succeeded."""
        self.ticks: dict[GroupKey, Ticks] = {}
        self.manifests: dict[GroupKey, Manifest] = {}
        """Group → what its last tick said."""
        self._targets = {t.node.name: t for t in targets}
        self._unsent = {n: Manifests(t.node, t.port, waiting) for n, t in self._targets.items()}
        self._ports, self._clock, self._agenda, self._tell = ports, clock, agenda, tell
        self._seq = max((manifest.seq for manifest in journalled), default=0)
        for unsent in self._unsent.values():
            unsent.add(journalled[-TOLD_AGAIN:])
        self._valid = Validity()
        for manifest in journalled:
            self._valid.note(manifest)
        self._rescan_seconds = rescan_seconds
        self._scanned: dict[GroupKey, float] = {}
        self._pruned: dict[GroupKey, float] = {}
        self._gone: dict[GroupKey, set[int]] = {}
        """What is known to be gone since the group was last looked at: pruning does not wait for
        that look, which may have seen it just before."""
        self._unfinished: dict[GroupKey, tuple[str, ...]] = {}
        self._at_rest: dict[str, tuple[Any, LastLook]] = {}
        """Dataset → what its last plan followed from, where by that alone nothing was to go."""
        self._doubts, self._leftovers = Doubts(tell), Leftovers(tell)
        self.readers: Callable[[], Mapping[int, str]] = dict
        """guid → which proof reads it now."""
        self.rooms = Rooms(clock, tell)
        self._peers = {target.node.short: name for name, target in self._targets.items()}

    @property
    def cadences(self) -> dict[GroupKey, int]:
        """Group → seconds between its ticks."""
        return {key: policy.every_seconds for key, policy in self.policies.items()}

    @property
    def questions(self) -> list[dict[str, Any]]:
        """What retention asks here."""
        return self._doubts.questions

    @property
    def unpaired(self) -> list[str]:
        """Targets that a policy names and this node cannot reach: never paired, or unknown."""
        return sorted(self.courses.named() - self._targets.keys())

    def history_of(self, dataset: str) -> History | None:
        """The history of a member of any group, as it is known now."""
        for group in self.groups.values():
            if dataset in group.members:
                return group.members[dataset].history
        return None

    def valid_until(self, dataset: str, snapshot: Snapshot) -> int | None:
        """The last tick (seconds since 1970) at which this snapshot was all that the dataset had;
        what was written after it is not in the snapshot. None where its name says no time."""
        return self._valid.until(dataset, snapshot)

    def look_again(self, keys: Iterable[GroupKey]) -> None:
        """Observe these groups at their next tick, whatever is remembered."""
        for key in keys:
            self._scanned.pop(key, None)

    def port_of(self, target: str) -> PeerPort:
        """The way to a target, by name."""
        return self._targets[target].port

    def has_told(self, target: str, manifest: Manifest) -> bool:
        """Whether the target has journalled this tick."""
        return self._unsent[target].has_told(manifest)

    def wake(self, datasets: Collection[str] = (), target: str = "") -> None:
        """Somebody waits for these datasets (none named: all) on this target (or all), or it
        answers again: let whatever waits after a failure try now."""
        self.lanes.wake_all(
            lambda state: (
                bool(state.failures)
                and (not datasets or state.lane.dataset in datasets)
                and target in ("", state.lane.target.name)
            )
        )
        for name, unsent in self._unsent.items():
            if target in ("", name) and unsent.waiting:
                unsent.add(())

    @property
    def targets(self) -> tuple[str, ...]:
        """Those that a policy of this node names and that it is paired with."""
        return tuple(sorted(self.courses.named() & self._targets.keys()))

    def _doubt(self, group: str) -> None:
        for key, known in self.groups.items():
            if known.name == group:
                self._scanned.pop(key, None)

    def turn_round(self, key: GroupKey) -> None:
        """The group's role changed: what is remembered of it as its source is not true now. But for
        a group that begins to be handed over, in the same epoch: what its target has, it has, and
        nobody must wait until every lane has looked again."""
        group, course = self.groups.get(key), self.courses.find(key)
        sent_on = course is not None and not course.ticks and course.epoch
        if group is not None and sent_on == group.course.epoch:
            return
        self.groups.pop(key, None)
        if group is not None:
            self.lanes.ensure(group, [])
        for remembered in (self._scanned, self._gone, self.manifests, self.last_tick):
            remembered.pop(key, None)
        self.start_tick(key)

    def send_group(
        self, key: GroupKey, monitor: AbstractContextManager[Any], deadline_seconds: float,
        taken: Mapping[str, Snapshot] | None = None,
    ) -> None:  # fmt: skip
        """Let each lane of the group try once; also where it is not ticked any more. `taken`: what
        is new; else look. Blocks: without the monitor. Errors: observe_group's; role-closed."""
        with monitor:
            course = self._check_course(key)
            if taken is not None and key in self.groups:
                self.groups[key] = self.groups[key].adding(taken)
            else:
                self._scanned.pop(key, None)
        name = run(self._known(key, course), self._ports, monitor).name
        self.lanes.send_group(name, monitor, deadline_seconds)

    def start_tick(self, key: GroupKey) -> None:
        """Tick a group as soon as a thread is free, if this node ticks it then."""
        self._agenda.start(("tick", key), lambda: self.tick(key), self._ports)

    def tick(self, key: GroupKey) -> Engine[None]:
        """One tick of a group: snapshot, wake its lanes, now and then prune; tells its errors."""
        course = self.courses.ticked(key)
        if course is None:
            return
        ticks = self.ticks.setdefault(key, Ticks())
        ticks.begun += 1
        try:
            group = yield from self._known(key, course)
            result = (yield from self._take(key, group)) if group.members else None
            if result is not None:
                self._remember(key, result)
            self.last_tick[key] = self._clock.monotonic()
            ticks.error, ticks.taken = None, len(result.taken) if result is not None else 0
            if (over := ticks.trouble.end(self._clock.monotonic())) is not None:
                counts = {"missed": over[0], "seconds": over[1]}
                self._tell(Event.TICK_RECOVERED, group=key[0], pool=key[1], **counts)
        except Bug:
            raise  # the agenda ends the daemon
        except ZrError as error:
            ticks.error, ticks.taken = error, 0
            paused = error.reason == "low-space"
            event = Event.TICK_PAUSED if paused else Event.TICK_MISSED
            why = {"reason": error.reason, "message": str(error)}
            if ticks.trouble.is_news(error.reason, str(error), self._clock.monotonic()):
                self._tell(event, group=key[0], pool=key[1], **why)
            if not paused:
                self._scanned.pop(key, None)
        ticks.ended = ticks.begun
        if key in self.groups:
            self.lanes.wake(self.groups[key].name)
        if self._clock.monotonic() - self._pruned.get(key, -PRUNE_SECONDS) >= PRUNE_SECONDS:
            self._pruned[key] = self._clock.monotonic()
            self._agenda.start(("prune", key), lambda: self.prune(key), self._ports)

    def _known(self, key: GroupKey, course: Course) -> Engine[Group]:
        scanned = self._scanned.get(key)
        if scanned is not None and self._clock.monotonic() - scanned < self._rescan_seconds:
            return self.groups[key]
        gone = self._gone[key] = set()
        observed = yield from observe_group(self.policies[key], course, self._reserved)
        self._check_course(key, course)
        stale = {d: m.without(gone) for d, m in observed.members.items() if gone & m.guids}
        observed = observed.updated(stale)
        before = self.groups.get(key)
        self.groups[key] = observed
        self._scanned[key] = self._clock.monotonic()
        had = before.members.keys() if before else set[str]()
        for dataset in sorted(had - observed.members.keys()):
            self._tell(Event.DATASET_GONE, dataset=dataset, group=key[0])
            self._doubts.forget(dataset)
        for dataset, member in before.members.items() if before else ():
            seen = observed.members.get(dataset)
            if seen is not None and seen.dataset.guid == member.dataset.guid:
                self._leftovers.compare(dataset, member.history, seen.history)
        for dataset in sorted(observed.refused.keys() - (before.refused.keys() if before else ())):
            message = observed.refused[dataset]
            self._tell(Event.DATASET_REFUSED, dataset=dataset, group=key[0], message=message)
        names = course.targets
        self.lanes.ensure(observed, [self._targets[n] for n in names if n in self._targets])
        return observed

    def _check_course(self, key: GroupKey, before: Course | None = None) -> Course:
        now = self.courses.find(key)
        if now is None or (before and (now.epoch, now.ticks) != (before.epoch, before.ticks)):
            raise Passing("role-closed", "The group's role on this node changed.")
        return now

    def _take(self, key: GroupKey, group: Group) -> Engine[TickResult]:
        course = self._check_course(key, group.course)
        last = {name: member.last for name, member in group.members.items()}
        seqs = (tick.seq for s in last.values() if s and (tick := parse_tick(s.name)))
        self._seq = max(self._seq, course.seq, *seqs, 0) + 1
        name = TickName(course.epoch, self._seq, int(self._clock.now()))
        limits, labels = group.policy.limits, {d: course.called(d) for d in last}
        return (yield from take_tick(group.name, group.pool, last, name, limits, labels))

    def _remember(self, key: GroupKey, result: TickResult) -> None:
        known, self._unfinished[key] = self._unfinished.get(key, ()), result.unfinished
        for dataset in sorted(set(result.unfinished).difference(known)):
            message = (
                f"{dataset} is somebody's receive that has not ended: no snapshots until then."
            )
            self._tell(Event.DATASET_REFUSED, dataset=dataset, group=key[0], message=message)
        valid = replace(result.manifest, members=result.valid)
        self.courses.note_manifest(result.manifest)
        if (group := self.groups.get(key)) is None:
            return  # its role changed meanwhile
        self.groups[key] = group.adding(result.taken)
        self.manifests[key] = valid
        self._valid.note(valid)
        seq, at = result.manifest.seq, result.manifest.at
        counts = {"taken": len(result.taken), "members": len(group.members)}
        self._tell(Event.TICK_TAKEN, group=key[0], pool=key[1], seq=seq, tick_at=at, **counts)
        for name in group.course.targets:
            if name in self._targets:
                self._unsent[name].add([result.manifest])

    def prune(self, key: GroupKey) -> Engine[None]:
        """Destroy what nobody votes for in one group. Errors are told."""
        group = self.groups.get(key)
        if group is None or self.courses.ticked(key) is None:
            return
        looks: dict[str, tuple[LastLook, Planner]] = {}
        left: list[str] = []
        try:
            gives_way = yield from self._weigh(key, group)
            for name, member in group.members.items():
                looks[name] = yield from self._look(group, name, member, gives_way)
                left += self._note(key, name, looks[name][0])
            dooms = {n: doom for n, seen in looks.items() if (doom := still_doomed(*seen))}
            self._leftovers.begin(s.guid for doom in dooms.values() for s in doom.snapshots)
            pruned = yield from prune(dooms)
        except Bug:
            raise
        except ZrError as error:
            self._scanned.pop(key, None)
            self._tell(Event.PRUNE_FAILED, group=key[0], reason=error.reason, message=str(error))
            return
        for name, doom in dooms.items():
            gone = pruned.gone_of(name)
            self._forget(key, name, {s.guid for s in doom.snapshots if s.name in gone})
            self._leftovers.end(s.guid for s in doom.snapshots)
        if pruned.outcomes or left:
            self._tell(Event.PRUNED, group=key[0], **pruned.told(left))

    def _weigh(self, key: GroupKey, group: Group) -> Engine[GivesWay]:
        """What gives way now, by the pool's room; what waits in it is told."""
        try:
            view = yield from ask(ZfsPort.observe_pool, group.pool)
        except Bug:
            raise
        except ZrError:
            return GivesWay.NOTHING  # the tick says what is the matter
        waiting: dict[str, Queue] = {}
        for name, member in group.members.items():
            for awaited in self._awaited(group, name, member.history):
                if taken := find_waiting(member.history, awaited):
                    count, since, most = waiting.get(awaited.target, Queue(0, taken[0], 0))
                    waiting[awaited.target] = Queue(
                        count + len(taken), min(since, taken[0]), max(most, len(taken))
                    )
        return self.rooms.note(key, group.policy, view, waiting)

    def _awaited(self, group: Group, name: str, history: History) -> tuple[Awaited, ...]:
        lanes = self.lanes.of_dataset(name)
        arrived = {s.lane.target.name: s.arrived.guid for s in lanes if s.arrived}
        return find_awaited(history, group.course.targets, group.policy.keep, self._peers, arrived)

    def _look(
        self, group: Group, name: str, member: Member, gives_way: GivesWay
    ) -> Engine[tuple[LastLook, Planner]]:
        keep = group.policy.keep.get(self.node.name, Keep())
        limits, now = group.policy.limits, self._clock.now()

        def plan(history: History, found: Votes) -> tuple[Removal, Votes]:
            lanes = self.lanes.of_dataset(name)
            needed = (dict.fromkeys(s.pins, (f"needed by {s.lane.target.name}",)) for s in lanes)
            # By the cursors too: a peer that was not seen since the start may be away for months.
            bases = pin_bases(history, self._peers)
            pins = join_pins(found, bases, pin_running(self.readers()), *needed)
            told = self.manifests.get((group.policy.name, group.pool))
            expected = (told.members[name],) if told is not None and name in told.members else ()
            caps = Caps(self._awaited(group, name, history), gives_way)
            removal = plan_removal(
                history, keep, limits, pins, now=now, expected=expected, caps=caps
            )
            return removal, pins

        history, told = member.history, self.manifests.get((group.policy.name, group.pool))
        lanes = [(s.lane.target.name, s.pins, s.arrived) for s in self.lanes.of_dataset(name)]
        valid = told.members.get(name) if told is not None else None
        asked = (history, group.policy, gives_way, valid, dict(self.readers()), lanes)
        before = self._at_rest.get(name)
        if before is not None and before[0] == asked:
            return before[1], plan  # the clock is not asked: a doubt only ever keeps more
        look = yield from plan_freshly(name, history, limits, plan, self._peers, self.readers)
        self._at_rest.pop(name, None)
        if not look.looked:
            self._at_rest[name] = (asked, look)
        return look, plan

    def _note(self, key: GroupKey, name: str, look: LastLook) -> list[str]:
        """What was found; returns what stays against the plan, where that is news."""
        self._doubts.note(name, look.removal)
        self._forget(key, name, {s.guid for s in look.gone})
        return self._leftovers.note(name, look)

    def _forget(self, key: GroupKey, name: str, guids: Collection[int]) -> None:
        """These are not there any more."""
        group = self.groups.get(key)
        self._gone.setdefault(key, set()).update(guids)
        if (
            guids and group is not None and name in group.members
        ):  # else observed again meanwhile, and it is gone
            self.groups[key] = group.updated({name: group.members[name].without(guids)})
