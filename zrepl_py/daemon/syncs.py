"""`zr sync`: is everything that was written before the call committed on every target?

Begun with a tick that starts after the call; then looked at as often as the caller likes. "Done" is
said only with a receipt of each target: it has looked at its own pool, and both nodes have
journalled it. Lanes that wait after a failure are woken; nothing here waits: whoever asks, does.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zrepl_py.core.codec import encode
from zrepl_py.core.diff import explain_conflict
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.courses import GroupKey
from zrepl_py.daemon.lanes import LaneState
from zrepl_py.daemon.source import Source
from zrepl_py.daemon.ticks import Ticks
from zrepl_py.engine.receipt import issue_receipt
from zrepl_py.errors import Passing, Refused, Standing, ZrError
from zrepl_py.model.history import EMPTY, Snapshot
from zrepl_py.model.receipt import FORMAT, Holding, Receipt
from zrepl_py.model.site import Manifest
from zrepl_py.ports.clock import ClockPort

KEPT = 100
"""Syncs that are remembered; the oldest are forgotten first."""


@dataclass
class Sync:
    """One call of `zr sync`."""

    datasets: tuple[str, ...]
    """Empty: all."""
    begun: dict[GroupKey, int]
    """Group → which of its ticks, counted as Ticks.ended is, began after the call."""
    manifests: dict[GroupKey, Manifest] | None = None
    """What those ticks said; None until all have ended."""
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Target's name → what is shown of its receipt."""


class Syncs:
    """All that were begun."""

    def __init__(
        self,
        source: Source,
        agenda: Agenda,
        clock: ClockPort,
        ports: Mapping[str, Any],
        silent: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`silent(target)`: it does not answer now, so that asking it would only take long."""
        self._source, self._agenda, self._clock, self._ports = source, agenda, clock, dict(ports)
        self._silent = silent
        self._known: dict[str, Sync] = {}

    def begin(self, datasets: list[str] | None = None) -> dict[str, str]:
        """Tick now; returns what `look` wants to be told. Errors: Refused(not-protected)."""
        source = self._source
        with self._agenda.monitor:
            wanted = tuple(datasets or ())
            pools = {name.split("/")[0] for name in wanted}
            courses = source.courses
            here = {key: courses.find(key) for key in source.policies}
            keys = [k for k, c in here.items() if c and c.ticks and (not wanted or c.pool in pools)]
            if not keys:
                raise _not_protected(", ".join(wanted))
            if any(source.history_of(name) is None for name in wanted):
                source.look_again(keys)  # made since the last look, perhaps
            begun = {key: source.ticks.get(key, Ticks()).begun + 1 for key in keys}
            token = secrets.token_hex(8)
            self._known[token] = Sync(wanted, begun)
            while len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
            source.wake(wanted)
        for key in keys:
            source.start_tick(key)
        return {"sync": token}

    def look(self, sync: str) -> dict[str, Any]:
        """How far it is. Errors: Refused(no-sync, not-protected, no-target); Standing(sync-blocked)
        where a lane needs a person; the tick's own error."""
        with self._agenda.monitor:
            known = self._known.get(sync)
            if known is None:
                raise Refused("no-sync", "The daemon does not know of this call of zr sync.")
            if not self._ticked(known):
                return {"done": False, "arrived": 0, "lanes": 0, "waiting": ["the snapshots"]}
            lanes = self._lanes_of(known)
            holdings = {state.lane.uuid: self._holding(known, state) for state in lanes}
            waiting = [
                f"{state.lane.dataset} on {state.lane.target.name}"
                for state in lanes
                if holdings[state.lane.uuid] is None
            ]
        for target in sorted({state.lane.target.name for state in lanes}):
            mine = [s for s in lanes if s.lane.target.name == target]
            held = [h for s in mine if (h := holdings[s.lane.uuid]) is not None]
            if target not in known.receipts and len(held) == len(mine):
                waiting += self._issue(known, mine, tuple(held))
        whole = {state.lane.target.name for state in lanes} == known.receipts.keys()
        return {
            "done": whole,
            "arrived": sum(h is not None for h in holdings.values()),
            "lanes": len(lanes),
            "waiting": waiting,
            "receipts": list(known.receipts.values()),
        }

    def _ticked(self, known: Sync) -> bool:
        if known.manifests is not None:
            return True
        ticks = {key: self._source.ticks.get(key, Ticks()) for key in known.begun}
        if any(ticks[key].ended < number for key, number in known.begun.items()):
            return False
        for ended in ticks.values():
            if ended.error is not None:
                raise ended.error
        manifests = self._source.manifests
        known.manifests = {key: manifests[key] for key in known.begun if key in manifests}
        # What failed since the call waits again, and a tick does not wake it.
        self._source.wake(known.datasets)
        return True

    def _lanes_of(self, known: Sync) -> list[LaneState]:
        members = {name for m in (known.manifests or {}).values() for name in m.members}
        unknown = [name for name in known.datasets if name not in members]
        if unknown or not members:
            raise _not_protected(", ".join(unknown))
        self._check_targets(known)
        lanes = []
        for name in known.datasets or sorted(members):
            found = self._source.lanes.of_dataset(name)
            if not found:
                raise Refused(
                    "no-target",
                    f"{name} is snapshotted, but sent to no other node: it cannot be safe on one.",
                    "Name a peer in `targets` of its policy.",
                )
            lanes += found
        return lanes

    def _check_targets(self, known: Sync) -> None:
        named = {t for key in known.begun for t in self._source.courses.targets(key)}
        away = sorted(named.intersection(self._source.unpaired))
        if away:
            raise Standing(
                "sync-blocked",
                f"The policy names {', '.join(away)}, with which this node is not paired.",
                "`zr pair` joins two nodes; or take the name out of `targets`.",
            )

    def _holding(self, known: Sync, state: LaneState) -> Holding | None:
        """What the target has that is as new as what the tick said, or None."""
        name = state.lane.dataset
        history = self._source.history_of(name) or EMPTY
        guid = next(m.members[name] for m in (known.manifests or {}).values() if name in m.members)
        wanted, there = history.snapshot(guid), state.committed
        here = history.version(there.guid) if there else None
        if there is not None and (
            there.guid == guid or (wanted and here and here.createtxg >= wanted.createtxg)
        ):
            return Holding(state.lane.uuid, state.lane.called, there.guid, there.name)
        _check_not_blocked(state, wanted)
        return None

    def _issue(
        self, known: Sync, lanes: Sequence[LaneState], held: tuple[Holding, ...]
    ) -> list[str]:
        """Let the target of these lanes confirm; returns what still has to be waited for."""
        source, target = self._source, lanes[0].lane.target
        sent = {state.lane.dataset for state in lanes}  # of other groups it knows nothing
        manifests = [m for m in (known.manifests or {}).values() if sent & m.members.keys()]
        courses = [source.courses.find(key) for key in known.begun]
        if any(course is None for course in courses) or not all(
            source.courses.confirms(key) for key in known.begun
        ):
            return [f"{target.name} to follow: a node that serves alone confirms nothing"]
        if self._silent(target.name):
            return [f"{target.name} to confirm it"]
        if not all(source.has_told(target.name, manifest) for manifest in manifests):
            return [f"{target.name} to note the tick"]
        receipt = Receipt(
            FORMAT,
            source.node.uuid,
            source.node.name,
            target.uuid,
            target.name,
            str(max((c.epoch for c in courses if c is not None), key=lambda epoch: epoch.n)),
            min(manifest.at for manifest in manifests),
            int(self._clock.now()),
            {manifest.group: manifest.seq for manifest in manifests},
            held,
        )
        ports = {**self._ports, "PeerPort": source.port_of(target.name)}
        try:
            known_as = self._agenda.run(issue_receipt(receipt), ports)
        except (Passing, Refused) as error:
            return [f"{target.name} to confirm it ({error.message})"]
        known.receipts[target.name] = {"id": known_as, "receipt": encode(receipt)}
        return []


def _check_not_blocked(state: LaneState, wanted: Snapshot | None) -> None:
    why: str | None = None
    if state.conflict is not None:
        why = explain_conflict(state.conflict)
    elif isinstance(state.error, ZrError) and not isinstance(state.error, Passing):
        why = state.error.message
    if why is not None:
        raise Standing(
            "sync-blocked",
            f"{state.lane.dataset} does not reach {state.lane.target.name} by itself: {why}",
            "`zr status` shows it; docs/runbooks/lane-conflict.md says what to do.",
        )


def _not_protected(what: str) -> Refused:
    sentence = f"{what} is not protected:" if what else "Nothing is protected here:"
    return Refused(
        "not-protected",
        f"{sentence} no policy has this node as its source.",
        "`zr policy explain DATASET` says why; then `zr reload`.",
    )
