"""The running daemon: its parts started in order, stopped in order, and what can be asked of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zrepl_py.adapters.control import ControlServer, Verb
from zrepl_py.adapters.events import EventLog
from zrepl_py.adapters.peer import PeerServer
from zrepl_py.adapters.worker.notify import notify
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.ending import Ending
from zrepl_py.daemon.receiver import Receiver
from zrepl_py.daemon.schedule import Schedule
from zrepl_py.daemon.source import Source
from zrepl_py.daemon.status import describe
from zrepl_py.errors import Refused
from zrepl_py.events import Event
from zrepl_py.model.site import Node
from zrepl_py.ports.clock import ClockPort

CONTROL_SOCKET = "control.sock"
PRUNE_SECONDS = 60.0
WATCHDOG_SECONDS = 10.0
STOP_SECONDS = 20.0


@dataclass
class Service:
    """One node's daemon."""

    node: Node
    source: Source
    receiver: Receiver
    server: PeerServer | None
    agendas: tuple[Agenda, Agenda]
    """For ticks, and for lanes; they share a monitor."""
    clock: ClockPort
    log: EventLog
    zfs: Any
    control_path: Path
    ending: Ending

    def run(self) -> None:
        """Serve until it should end; then finish what can be finished soon, and return."""
        schedule = Schedule(
            self.source.cadences, self.source.start_tick, self.clock, self.agendas[0], self.log.tell
        )
        verbs: dict[str, Verb] = {
            "status": self.status,
            "snapshot": self.snapshot,
            "replicate": self.replicate,
            "counters": self.counters,
        }
        if self.server is not None:
            self.server.start()
        control = ControlServer(self.control_path, verbs)
        schedule.start()
        self.agendas[0].ask("prune-replicas", self._prune_replicas, PRUNE_SECONDS)
        self.log.tell(Event.DAEMON_STARTED, node=self.node.name, uuid=self.node.uuid)
        for policy in sorted({key[0] for key in self.source.policies}):
            self.log.tell(Event.POLICY_LOADED, policy=policy)
        notify("READY=1")
        try:
            while not self.ending.wait(WATCHDOG_SECONDS):
                notify("WATCHDOG=1")
        finally:
            notify("STOPPING=1")
            schedule.stop()
            control.close()
            if self.server is not None:
                self.server.stop()
            stopped = [agenda.stop(STOP_SECONDS) for agenda in self.agendas]
            error = self.ending.error
            why = {"reason": error.reason, "message": str(error)} if error else {}
            self.log.tell(Event.DAEMON_STOPPED, node=self.node.name, whole=all(stopped), **why)

    def status(self) -> dict[str, Any]:
        """See daemon/status.py."""
        with self.agendas[0].monitor:
            return describe(self.node, self.source, self.receiver.replicas, self.clock)

    def counters(self) -> dict[str, dict[str, int]]:
        """What the workers did so far: verbs called, forks."""
        counted: dict[str, dict[str, int]] = self.zfs.observe_counters()
        return counted

    def snapshot(self, policy: str | None = None) -> list[str]:
        """Tick now; returns the groups that were asked to."""
        keys = [key for key in self.source.policies if policy in (None, key[0])]
        if not keys:
            known = ", ".join(sorted({key[0] for key in self.source.policies})) or "none"
            raise Refused("no-policy", f"There is no policy {policy!r} here.", f"Known: {known}.")
        for key in keys:
            self.source.start_tick(key)
        return [f"{name}/{pool}" for name, pool in keys]

    def replicate(self) -> None:
        """Let every lane look now, also those that wait after a failure."""
        with self.agendas[0].monitor:
            self.source.lanes.wake_all()

    def _prune_replicas(self) -> None:
        self.receiver.prune()
        self.agendas[0].ask("prune-replicas", self._prune_replicas, PRUNE_SECONDS)
