"""The target's side of the daemon: what this node does when its peers ask. Called by the server.

Per lane it remembers where the replica is and what it has; the memory is dropped on any error and
observed again. A lane does one thing at a time.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from zrepl_py.core.codec import decode, encode
from zrepl_py.core.retention import judge
from zrepl_py.core.selection import select_datasets
from zrepl_py.engine.commands import run
from zrepl_py.engine.prune import Doom, prune
from zrepl_py.engine.receive import (
    Place,
    Replica,
    observe_replica,
    prepare_receive,
    receive_stream,
    store_properties,
)
from zrepl_py.errors import Bug, Passing, Refused, ZrError
from zrepl_py.events import Event
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import parse_tick
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.policy import Policy
from zrepl_py.model.site import Manifest
from zrepl_py.model.wire import Begin, Committed, LaneName

Tell = Callable[..., None]
BUSY_SECONDS = 30.0


@dataclass
class Known:
    """One lane as this node knows it."""

    place: Place
    dataset: str
    """The source's name of it."""
    replica: Replica | None = None
    """None: to be observed before it is believed."""
    turn: threading.Lock = field(default_factory=threading.Lock)


class Receiver:
    """Implements ports.peer.ReceiverPort on this node's pool."""

    def __init__(
        self,
        *,
        name: str,
        places: Iterable[Place],
        policies: Iterable[Policy],
        ports: Mapping[str, Any],
        tell: Tell,
    ) -> None:
        self.lanes: dict[str, Known] = {}
        self._name = name
        self._places = {p.source.uuid: p for p in places}
        self._policies = tuple(policies)
        self._ports, self._tell = dict(ports), tell
        self._told: dict[tuple[str, str, str], int] = {}
        """(source, group, epoch) → the newest tick that is journalled here."""
        for record in ports["JournalPort"].records("manifest"):
            known: Manifest = decode(Manifest, record["manifest"])
            self._told[record["source"], known.group, known.epoch] = known.seq
        self._lock = threading.Lock()

    def observe_replica(self, source: str, lane: LaneName) -> ReplicaView:
        """See ReceiverPort."""
        with self._turn(source, lane) as known:
            known.replica = None
            return self._replica(known, lane).view

    def receive(self, source: str, begin: Begin, fd: int) -> Committed:
        """See ReceiverPort."""
        handed_over = False
        try:
            with self._turn(source, begin.lane) as known:
                replica = self._replica(known, begin.lane)
                known.replica = None  # until it is known how this ends
                run(prepare_receive(known.place, replica.name, begin), self._ports)
                before = replica.view.history
                engine = receive_stream(known.place, replica.name, begin, fd, before.newest)
                handed_over = True
                committed = run(engine, self._ports)
                tick = parse_tick(begin.to_name)
                taken_at = tick.at if tick else 0
                landed = Snapshot(committed.guid, committed.createtxg, begin.to_name, taken_at)
                after = replace(before, snapshots=(*before.snapshots, landed))
                known.replica = Replica(replica.name, ReplicaView(True, after))
        except ZrError as error:
            self._tell(
                Event.RECEIVE_REFUSED,
                dataset=begin.lane.dataset,
                snapshot=begin.to_name,
                reason=error.reason,
                message=str(error),
            )
            raise
        finally:
            if not handed_over:
                os.close(fd)
        self._tell(Event.RECEIVED, dataset=begin.lane.dataset, snapshot=begin.to_name)
        return committed

    def abort_partial(self, source: str, lane: LaneName, to_guid: int) -> None:
        """See ReceiverPort."""
        with self._turn(source, lane) as known:
            name = self._replica(known, lane).name
            known.replica = None
            self._ports["ZfsPort"].abort_receive(name, to_guid)
            self._tell(Event.RECEIVE_ABORTED, dataset=lane.dataset, guid=to_guid)

    def store_manifest(self, source: str, manifest: Manifest) -> None:
        """See ReceiverPort."""
        self._place(source)
        key = (source, manifest.group, manifest.epoch)
        with self._lock:
            if manifest.seq <= self._told.get(key, 0):
                return  # told again after a restart, or because an answer was lost
        record = {"source": source, "manifest": encode(manifest)}
        self._ports["JournalPort"].append("manifest", record)
        with self._lock:
            self._told[key] = max(manifest.seq, self._told.get(key, 0))

    def store_properties(self, source: str, lane: LaneName, properties: Mapping[str, str]) -> None:
        """See ReceiverPort."""
        with self._turn(source, lane) as known:
            name = self._replica(known, lane).name
            run(store_properties(known.place, name, properties), self._ports)

    def prune(self) -> None:
        """Destroy what nobody votes for among the replicas that are known. Errors are told."""
        for known in list(self.lanes.values()):
            if not known.turn.acquire(blocking=False):
                continue  # receiving just now; the next round will do
            try:
                self._prune(known)
            except Bug:
                raise
            except ZrError as error:
                known.replica = None
                name = known.dataset
                self._tell(
                    Event.PRUNE_FAILED, dataset=name, reason=error.reason, message=str(error)
                )
            finally:
                known.turn.release()

    def _prune(self, known: Known) -> None:
        policy = self._policy_of(known)
        if policy is None or known.replica is None or self._name not in policy.keep:
            return
        name, view = known.replica.name, known.replica.view
        newest = view.history.newest
        pins = {newest.guid: ("last common base",)} if newest else {}
        if view.resume is not None:
            pins[view.resume.from_guid] = ("base of a partial receive",)
        verdicts = judge(view.history, policy.keep[self._name], policy.limits, pins)
        doomed = tuple(v.snapshot for v in verdicts if not v.keep)
        if not doomed:
            return
        doom = Doom(doomed, view.history, frozenset(pins))
        outcomes = run(prune({name: doom}), self._ports)
        gone = {o.name for o in outcomes if o.destroyed or o.cause == "gone"}
        kept = tuple(s for s in view.history.snapshots if f"{name}@{s.name}" not in gone)
        known.replica = Replica(name, replace(view, history=replace(view.history, snapshots=kept)))
        left = [f"{o.name}: {o.cause}" for o in outcomes if not o.destroyed]
        self._tell(Event.PRUNED, dataset=name, destroyed=len(gone), left=left[:5])

    def _policy_of(self, known: Known) -> Policy | None:
        source = known.place.source.name
        for policy in self._policies:
            if policy.source == source and known.dataset in (
                select_datasets(policy.selection, (known.dataset,)).names
            ):
                return policy
        return None

    def _replica(self, known: Known, lane: LaneName) -> Replica:
        if known.replica is None:
            engine = observe_replica(known.place, lane.lane, lane.dataset)
            known.replica = run(engine, self._ports)
        return known.replica

    def _place(self, source: str) -> Place:
        place = self._places.get(source)
        if place is None:
            raise Refused(
                "not-a-target",
                f"{self._name} is not configured to keep replicas of node {source}.",
                "Name a replica parent in zr.toml on the target.",
            )
        return place

    @contextmanager
    def _turn(self, source: str, lane: LaneName) -> Iterator[Known]:
        place = self._place(source)
        with self._lock:
            known = self.lanes.setdefault(lane.lane, Known(place, lane.dataset))
            known.dataset = lane.dataset
        if known.place != place:
            raise Refused("lane-mismatch", f"Lane {lane.lane} belongs to another source.")
        if not known.turn.acquire(timeout=BUSY_SECONDS):
            raise Passing("busy", f"The replica of {lane.dataset} is still busy with a stream.")
        try:
            yield known
        finally:
            known.turn.release()
