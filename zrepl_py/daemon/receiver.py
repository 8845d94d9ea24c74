"""The target's side of the daemon, as the peer server calls it: from several threads.

Gives each lane its turns (one thing at a time), and runs the engines of replicas.py.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.replicas import Known, Replicas
from zrepl_py.errors import Passing
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.receipt import Receipt
from zrepl_py.model.site import Manifest
from zrepl_py.model.wire import Begin, Committed, LaneName

BUSY_SECONDS = 30.0
PRUNE_TURN_SECONDS = 3.0
"""At most so long per stream in flight: with frequent ticks, a lane is rarely found idle."""


def _ignore(source: str) -> None:
    return None


class Receiver:
    """Implements ports.peer.ReceiverPort on this node's pool."""

    def __init__(
        self, replicas: Replicas, agenda: Agenda, arrived: Callable[[str], None] = _ignore
    ) -> None:
        """`arrived(source)`: something of this node is journalled here now; must be quick."""
        self.replicas = replicas
        self._arrived = arrived
        self._agenda = agenda
        self._turns: dict[str, threading.Lock] = {}
        self._receiving: list[str] = []

    def observe_replica(self, source: str, lane: LaneName) -> ReplicaView:
        """See ReceiverPort."""
        with self._turn(source, lane) as known:
            return self._agenda.run(self.replicas.observe(known, lane), self.replicas.ports)

    def receive(self, source: str, begin: Begin, fd: int) -> Committed:
        """See ReceiverPort."""
        run, ports = self._agenda.run, self.replicas.ports
        handed_over = False
        try:
            with self._turn(source, begin.lane) as known:
                replica = run(self.replicas.prepare(known, begin), ports)
                with self._noted(replica.name):
                    self.replicas.check_open(known)  # noted first: who ends receives sees it
                    handed_over = True
                    committed = run(self.replicas.receive(known, replica, begin, fd), ports)
                self._arrived(source)
                return committed
        finally:
            if not handed_over:
                os.close(fd)

    @contextmanager
    def _noted(self, replica: str) -> Iterator[None]:
        with self._agenda.monitor:
            self._receiving.append(replica)
        try:
            yield
        finally:
            with self._agenda.monitor:
                self._receiving.remove(replica)

    def running(self) -> frozenset[str]:
        """Datasets into which a stream is being received at this moment."""
        with self._agenda.monitor:
            return frozenset(self._receiving)

    def abort_partial(self, source: str, lane: LaneName, to_guid: int) -> None:
        """See ReceiverPort."""
        with self._turn(source, lane) as known:
            self._agenda.run(self.replicas.abort_partial(known, lane, to_guid), self.replicas.ports)

    def hold_base(self, source: str, lane: LaneName, guid: int) -> None:
        """See ReceiverPort."""
        with self._turn(source, lane) as known:
            self._agenda.run(self.replicas.hold_base(known, lane, guid), self.replicas.ports)

    def store_manifest(self, source: str, manifest: Manifest) -> None:
        """See ReceiverPort."""
        self._agenda.run(self.replicas.store_manifest(source, manifest), self.replicas.ports)
        self._arrived(source)

    def store_receipt(self, source: str, receipt: Receipt) -> None:
        """See ReceiverPort."""
        self._agenda.run(self.replicas.store_receipt(source, receipt), self.replicas.ports)

    def store_properties(self, source: str, lane: LaneName, properties: Mapping[str, str]) -> None:
        """See ReceiverPort."""
        with self._turn(source, lane) as known:
            self._agenda.run(
                self.replicas.store_properties(known, lane, properties), self.replicas.ports
            )

    def prune(self) -> None:
        """Destroy what nobody votes for among the replicas that are known. Errors are told."""
        with self._agenda.monitor:
            lanes = [
                (self._turns.setdefault(uuid, threading.Lock()), known)
                for uuid, known in self.replicas.lanes.items()
                if not self.replicas.is_pruned(known)
            ]
        for turn, known in lanes:
            # Increments are short; only behind a long stream the next round has to do.
            if not turn.acquire(timeout=PRUNE_TURN_SECONDS):
                continue
            try:
                self._agenda.run(self.replicas.prune(known), self.replicas.ports)
            finally:
                turn.release()

    @contextmanager
    def _turn(self, source: str, lane: LaneName) -> Iterator[Known]:
        with self._agenda.monitor:
            known = self.replicas.find(source, lane)
            turn = self._turns.setdefault(lane.lane, threading.Lock())
        if not turn.acquire(timeout=BUSY_SECONDS):
            raise Passing("busy", f"The replica of {lane.dataset} is still busy with a stream.")
        try:
            yield known
        finally:
            turn.release()
