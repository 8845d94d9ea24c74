"""One configuration at work: parts started in order, stopped in order, and what can be asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from zrepl_py.adapters.control import Verb
from zrepl_py.adapters.events import EventLog
from zrepl_py.adapters.peer import PeerServer
from zrepl_py.adapters.peer.client import PeerClient
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.contacts import Contacts
from zrepl_py.daemon.progress import Progress
from zrepl_py.daemon.proof_told import ToldProofs
from zrepl_py.daemon.proofs import Proofs
from zrepl_py.daemon.receipts import Receipts
from zrepl_py.daemon.receiver import Receiver
from zrepl_py.daemon.role_assembly import RoleService
from zrepl_py.daemon.role_health import HealthDoor
from zrepl_py.daemon.schedule import Schedule
from zrepl_py.daemon.source import Source
from zrepl_py.daemon.status import describe
from zrepl_py.daemon.syncs import Syncs
from zrepl_py.daemon.ticks import Ticks
from zrepl_py.errors import Refused, ZrError
from zrepl_py.events import Event
from zrepl_py.model.site import Node
from zrepl_py.ports.clock import ClockPort

PRUNE_SECONDS = 60.0
CUT_SECONDS = 15.0


@dataclass
class Service:
    """What a node's daemon does under one configuration; started once, stopped once."""

    node: Node
    source: Source
    receiver: Receiver
    server: PeerServer | None
    clients: Sequence[PeerClient]
    agendas: tuple[Agenda, ...]
    """For ticks, for lanes, for contacts, for proofs, for roles; they share a monitor."""
    clock: ClockPort
    log: EventLog
    zfs: Any
    progress: Progress
    syncs: Syncs
    receipts: Receipts
    contacts: Contacts
    proofs: Proofs
    told: ToldProofs
    """What sources said of the copies here."""
    roles: RoleService
    """Of the groups that have any."""
    health: HealthDoor
    """Where load balancers ask."""
    _schedule: Schedule = field(init=False)

    @property
    def verbs(self) -> dict[str, Verb]:
        """What the control socket offers."""
        return {
            "status": self.status,
            "snapshot": self.snapshot,
            "replicate": self.replicate,
            "counters": self.counters,
            "sync_begin": self.syncs.begin,
            "sync_look": self.syncs.look,
            "receipt_show": self.receipts.show,
            "receipt_verify": self.receipts.verify,
            "proof_begin": self.proofs.begin,
            "proof_look": self.proofs.look,
            "proof_end": self.proofs.end,
            **self.roles.told.verbs,
        }

    def start(self) -> None:
        """Listen for peers and tick. Errors: those of PeerServer.start and of HealthDoor.start;
        nothing runs then."""
        self._schedule = Schedule(
            self.source.cadences, self.source.start_tick, self.clock, self.agendas[0], self.log.tell
        )
        self.roles.restore()
        self.health.start()
        if self.server is not None:
            try:
                self.server.start()
            except ZrError:
                self.health.stop()
                raise
        self.roles.start()
        self._schedule.start()
        self.contacts.start()
        self.proofs.start()
        self.agendas[0].ask("prune-replicas", self._prune_replicas, PRUNE_SECONDS)
        for policy in sorted({key[0] for key in self.source.policies}):
            self.log.tell(Event.POLICY_LOADED, policy=policy)

    def stop(self, patience_seconds: float) -> bool:
        """Begin nothing more, finish what ends soon, cut the streams that do not (they are resumed
        later). Returns whether everything has ended; bounded."""
        self._schedule.stop()
        self.health.stop()
        self.proofs.stop()
        if self.server is not None:
            self.server.stop()
        whole = [agenda.stop(patience_seconds) for agenda in self.agendas]
        for client in self.clients:
            client.close()
        return all(whole) or all(agenda.stop(CUT_SECONDS) for agenda in self.agendas)

    def status(self) -> dict[str, Any]:
        """See daemon/status.py."""
        with self.agendas[0].monitor:
            replicas = self.receiver.replicas
            return describe(
                self.node,
                self.source,
                replicas,
                self.clock,
                self.progress,
                self.contacts,
                self.proofs.last,
                self.told.last,
                self.roles.roles,
            )

    def counters(self) -> dict[str, dict[str, int]]:
        """What the workers did so far: verbs called, forks."""
        counted: dict[str, dict[str, int]] = self.zfs.observe_counters()
        return counted

    def snapshot(self, policy: str | None = None) -> dict[str, int]:
        """Tick now; returns the groups that were asked to, and which of their ticks, counted as
        `ticks_ended` of the status is, began after this call."""
        keys = [key for key in self.source.courses.ticking() if policy in (None, key[0])]
        if not keys and any(policy in (None, key[0]) for key in self.source.policies):
            raise Refused(
                "not-primary",
                "The other node serves, and takes the snapshots.",
                "`zr status` names it; type it there.",
            )
        if not keys:
            known = ", ".join(sorted({key[0] for key in self.source.policies})) or "none"
            raise Refused("no-policy", f"There is no policy {policy!r} here.", f"Known: {known}.")
        with self.agendas[0].monitor:
            self.source.look_again(keys)  # datasets made since the last look, perhaps
            begun = {key: self.source.ticks.get(key, Ticks()).begun for key in keys}
        for key in keys:
            self.source.start_tick(key)
        return {f"{name}/{pool}": begun[name, pool] + 1 for name, pool in keys}

    def replicate(self) -> None:
        """Let every lane look now, also those that wait after a failure."""
        with self.agendas[0].monitor:
            self.source.wake()
            self.source.lanes.wake_all()

    def _prune_replicas(self) -> None:
        self.receiver.prune()
        self.agendas[0].ask("prune-replicas", self._prune_replicas, PRUNE_SECONDS)
