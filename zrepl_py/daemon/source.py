"""The source's side of the daemon: groups that tick, snapshots that go; lanes.py follows.

All that is remembered here is a cache of the pools; an error throws the group's away, and the next
tick observes again. Unknown is unsafe: what is not known is not pruned. Runs as engines of one
agenda, so it needs no lock (engine/commands.py).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from zrepl_py.core.caution import plan_removal
from zrepl_py.core.pins import pin_bases
from zrepl_py.core.retention import join_pins
from zrepl_py.daemon.doubts import Doubts
from zrepl_py.daemon.lanes import Lanes, Target, Tell
from zrepl_py.daemon.manifests import Manifests
from zrepl_py.daemon.troubles import Trouble
from zrepl_py.engine.commands import Agenda, Engine
from zrepl_py.engine.group import Group, Member, observe_group, pools_of
from zrepl_py.engine.prune import Doom, prune
from zrepl_py.engine.tick import TickResult, take_tick
from zrepl_py.errors import Bug, ZrError
from zrepl_py.events import Event
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import Epoch, TickName, parse_tick
from zrepl_py.model.policy import Keep, Policy
from zrepl_py.model.site import Manifest, Node
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.peer import PeerPort

GroupKey = tuple[str, str]
"""(policy's name, pool)"""
PRUNE_SECONDS = 60.0
TOLD_AGAIN = 100
VALID_KEPT = 1000


@dataclass
class Ticks:
    """What became of the ticks of one group since the daemon's start, counted from 1."""

    begun: int = 0
    ended: int = 0
    taken: int = 0
    """Snapshots that the last one took."""
    error: ZrError | None = None
    """Why the last one took none."""
    trouble: Trouble = field(default_factory=Trouble)
    """What was told of those that took none."""


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
    ) -> None:
        """`journalled`: the ticks of an earlier run, oldest first. Their numbers are not given
        again, and the newest are told once more, for the targets may not have heard of them.
        `lanes_agenda`: for what waits for peers, so that ticks do not.
        `reserved`: datasets that are never selected, nor what is below: replicas of others."""
        self._reserved = tuple(reserved)
        waiting = lanes_agenda or agenda
        self.node, self.epoch = node, epoch
        self.groups: dict[GroupKey, Group] = {}
        self.policies = {
            (p.name, pool): p for p in policies if p.source == node.name for pool in pools_of(p)
        }
        self.lanes = Lanes(node, ports, clock, waiting, tell, self.history_of, self._doubt)
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
        self._valid: dict[str, dict[int, int]] = {}
        for manifest in journalled:
            self._note_valid(manifest)
        self._rescan_seconds = rescan_seconds
        self._scanned: dict[GroupKey, float] = {}
        self._pruned: dict[GroupKey, float] = {}
        self._unfinished: dict[GroupKey, tuple[str, ...]] = {}
        self._doubts = Doubts(tell)
        self._peers = {target.node.short: name for name, target in self._targets.items()}

    @property
    def cadences(self) -> dict[GroupKey, int]:
        """Group → seconds between its ticks."""
        return {key: policy.every_seconds for key, policy in self.policies.items()}

    @property
    def unpaired(self) -> list[str]:
        """Targets that a policy names and this node cannot reach: never paired, or unknown."""
        named = {target for policy in self.policies.values() for target in policy.targets}
        return sorted(named - self._targets.keys())

    def history_of(self, dataset: str) -> History | None:
        """The history of a member of any group, as it is known now."""
        for group in self.groups.values():
            if dataset in group.members:
                return group.members[dataset].history
        return None

    def valid_until(self, dataset: str, snapshot: Snapshot) -> int | None:
        """The last tick (seconds since 1970) at which this snapshot was all that the dataset had;
        what was written after it is not in the snapshot. None where its name says no time."""
        tick = parse_tick(snapshot.name)
        return self._valid.get(dataset, {}).get(snapshot.guid, tick.at if tick else None)

    def _note_valid(self, manifest: Manifest) -> None:
        for dataset, guid in manifest.members.items():
            known = self._valid.setdefault(dataset, {})
            known[guid] = manifest.at
            while len(known) > VALID_KEPT:  # of older ones the name says when they were taken
                del known[next(iter(known))]

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
        named = {target for policy in self.policies.values() for target in policy.targets}
        return tuple(sorted(named & self._targets.keys()))

    def _doubt(self, group: str) -> None:
        for key, known in self.groups.items():
            if known.name == group:
                self._scanned.pop(key, None)

    def start_tick(self, key: GroupKey) -> None:
        """Tick a group as soon as a thread is free."""
        self._agenda.start(("tick", key), lambda: self.tick(key), self._ports)

    def tick(self, key: GroupKey) -> Engine[None]:
        """One tick of a group: snapshot, wake its lanes, now and then prune; tells its errors."""
        ticks = self.ticks.setdefault(key, Ticks())
        ticks.begun += 1
        try:
            group = yield from self._known(key)
            result = (yield from self._take(group)) if group.members else None
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

    def _known(self, key: GroupKey) -> Engine[Group]:
        scanned = self._scanned.get(key)
        if scanned is not None and self._clock.monotonic() - scanned < self._rescan_seconds:
            return self.groups[key]
        before = self.groups.get(key)
        observed = yield from observe_group(self.policies[key], key[1], self._reserved)
        self.groups[key] = observed
        self._scanned[key] = self._clock.monotonic()
        for dataset in (before.members.keys() if before else set()) - observed.members.keys():
            self._tell(Event.DATASET_GONE, dataset=dataset, group=key[0])
        for dataset in observed.refused.keys() - (before.refused.keys() if before else set()):
            message = observed.refused[dataset]
            self._tell(Event.DATASET_REFUSED, dataset=dataset, group=key[0], message=message)
        names = observed.policy.targets
        self.lanes.ensure(observed, [self._targets[n] for n in names if n in self._targets])
        return observed

    def _take(self, group: Group) -> Engine[TickResult]:
        last = {name: member.last for name, member in group.members.items()}
        seqs = (tick.seq for s in last.values() if s and (tick := parse_tick(s.name)))
        self._seq = max(self._seq, *seqs, 0) + 1
        name = TickName(self.epoch, self._seq, int(self._clock.now()))
        limits = group.policy.limits
        return (yield from take_tick(group.name, group.pool, last, name, limits))

    def _remember(self, key: GroupKey, result: TickResult) -> None:
        known = self._unfinished.get(key, ())
        self._unfinished[key] = result.unfinished
        for dataset in sorted(set(result.unfinished).difference(known)):
            message = (
                f"{dataset} is somebody's receive that has not ended: no snapshots until then."
            )
            self._tell(Event.DATASET_REFUSED, dataset=dataset, group=key[0], message=message)
        group = self.groups[key]
        changes = {d: group.members[d].adding(s) for d, s in result.taken.items()}
        self.groups[key] = group.updated(changes)
        self.manifests[key] = result.manifest
        self._note_valid(result.manifest)
        seq, at = result.manifest.seq, result.manifest.at
        counts = {"taken": len(result.taken), "members": len(group.members)}
        self._tell(Event.TICK_TAKEN, group=key[0], pool=key[1], seq=seq, tick_at=at, **counts)
        for name in group.policy.targets:
            if name in self._targets:
                self._unsent[name].add([result.manifest])

    def prune(self, key: GroupKey) -> Engine[None]:
        """Destroy what nobody votes for in one group. Errors are told."""
        group = self.groups.get(key)
        if group is None:
            return
        dooms = {n: d for n, m in group.members.items() if (d := self._doom(group, n, m))}
        try:
            pruned = yield from prune(dooms)
        except Bug:
            raise
        except ZrError as error:
            self._scanned.pop(key, None)
            self._tell(Event.PRUNE_FAILED, group=key[0], reason=error.reason, message=str(error))
            return
        group = self.groups[key]
        changes = {}
        for name, doom in dooms.items():
            if name not in group.members:
                continue  # observed again meanwhile, and it is gone
            gone = pruned.gone_of(name)
            guids = {s.guid for s in doom.snapshots if s.name in gone}
            changes[name] = group.members[name].without(guids)
        self.groups[key] = group.updated(changes)
        if pruned.outcomes:
            self._tell(Event.PRUNED, group=key[0], **pruned.told())

    def _doom(self, group: Group, name: str, member: Member) -> Doom | None:
        lanes = self.lanes.of_dataset(name)
        needed = (dict.fromkeys(s.pins, (f"needed by {s.lane.target.name}",)) for s in lanes)
        # By the cursors too: a peer that was not seen since the start may be away for months.
        bases = pin_bases(member.history, self._peers)
        pins = join_pins(dict.fromkeys(member.held, ("held",)), bases, *needed)
        keep = group.policy.keep.get(self.node.name, Keep())
        told = self.manifests.get((group.policy.name, group.pool))
        expected = (told.members[name],) if told is not None and name in told.members else ()
        limits, now = group.policy.limits, self._clock.now()
        removal = plan_removal(member.history, keep, limits, pins, now=now, expected=expected)
        self._doubts.note(name, removal)
        doomed = tuple(v.snapshot for v in removal.doomed)
        return Doom(doomed, member.history, frozenset(pins)) if doomed else None
