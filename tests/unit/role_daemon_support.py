"""Two nodes whose roles are kept by the daemon's own keepers, each on threads of its own, over
machines in memory: what one tells the other goes through the codec and the other one's desk.
"""

import os
import secrets
import threading
from collections.abc import Callable
from typing import Any

from tests.unit.role_engine_support import ALPHA, BETA, MEMBERS, SERVICE, Machine, Site
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.core.codec import decode, encode
from zrepl_py.core.role_words import Heartbeat, RoleWord, ShipOrder
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.role_desk import RoleDesk
from zrepl_py.daemon.role_groups import plan_roles
from zrepl_py.daemon.role_keeper import Keeper
from zrepl_py.daemon.role_lanes import RoleLanes
from zrepl_py.daemon.role_told import RoleTold
from zrepl_py.daemon.roles import GroupRole, Roles
from zrepl_py.engine.commands import Command
from zrepl_py.engine.role_tick import take_role_tick
from zrepl_py.engine.role_tree import observe_trees
from zrepl_py.engine.tick import take_tick
from zrepl_py.errors import Passing
from zrepl_py.events import Event
from zrepl_py.model.host import Address, Hosting, Service, ServiceKind
from zrepl_py.model.names import Epoch, TickName
from zrepl_py.model.policy import Limits, Policy, Selection
from zrepl_py.model.roles import State
from zrepl_py.model.site import Manifest

HOSTING = Hosting(
    "radio",
    (Service(SERVICE, ServiceKind.UNIT, f"{SERVICE}.service"),),
    Address("192.0.2.10", 32, "eth0"),
)
POLICY = Policy("radio", "alpha", Selection(("tank/audio/**", "tank/db")), 60, ("beta",))
CLOCK = MachineClock()


class Through:
    """A port of a machine in memory: one command at a time, kernel and ZFS kept alike."""

    def __init__(self, machine: Machine, port: str, lock: Any) -> None:
        self._machine, self._port, self._lock = machine, port, lock

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def perform(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                return self._machine.perform(Command(self._port, verb, args, kwargs))

        return perform


class Wire:
    """RolePeerPort: the other node's desk, over a wire that can be cut."""

    def __init__(self, here: "Daemon") -> None:
        self._here = here

    def _desk(self) -> RoleDesk:
        other = self._here.other
        if not self._here.up or other is None or not other.up:
            raise Passing("peer-silent", "The other node does not answer.")
        return other.desk

    def exchange(self, mine: RoleWord) -> RoleWord:
        said: RoleWord = decode(RoleWord, encode(mine))
        theirs = self._desk().exchange(self._here.machine.here.uuid, said)
        word: RoleWord = decode(RoleWord, encode(theirs))
        return word

    def tell_heartbeat(self, beat: Heartbeat) -> None:
        here = self._here
        self._desk().note_heartbeat(here.machine.here.uuid, here.role.plan.uuid, beat)

    def observe_shipped(self, label: str) -> frozenset[int]:
        here = self._here
        return self._desk().observe_shipped(here.machine.here.uuid, here.role.plan.uuid, label)

    def ship_rescue(self, snapshot: str, base: str | None, order: ShipOrder) -> None:
        here, desk = self._here, self._desk()
        here.shipped += 1
        here.shipping(order)
        reading, writing = os.pipe()
        here.ports["ZfsPort"].send(snapshot, base, raw=order.raw, fd=writing, resume=None)
        told: ShipOrder = decode(ShipOrder, encode(order))
        desk.receive_rescue(here.machine.here.uuid, here.role.plan.uuid, told, reading)


class Daemon:
    """What one node's daemon has of its roles."""

    def __init__(self, sites: Site, machine: Machine, lock: Any, boot: str = "1") -> None:
        self.sites, self.machine, self.lock = sites, machine, lock
        self.other: Daemon | None = None
        self.up = True
        self.told: list[tuple[Event, dict[str, Any]]] = []
        self.failed: list[BaseException] = []
        self.machine_boot = boot
        self.receiving: set[str] = set()
        self.shipped = 0
        self.shipping: Callable[[ShipOrder], object] = lambda order: None
        """Called before each rescue is sent: may take its time, or fail."""
        self.nonce = secrets.token_hex(4)
        self.service_of(None)

    def service_of(self, before: Roles | None) -> None:
        """What assemble makes; `before`: of the service before it, at a reload."""
        machine = self.machine
        peers = {n.name: n for n in (ALPHA, BETA) if n != machine.here}
        plans = plan_roles({"radio": HOSTING}, [POLICY], machine.here, peers, "tank/zr")
        self.roles = Roles(plans, self.nonce, self.machine_boot, lambda: secrets.token_hex(4))
        if before is not None:
            self.roles.adopt(before)
        self.role: GroupRole = self.roles.all[0]
        self.agenda = Agenda(CLOCK, 1, self.failed.append)
        own = {port: Through(machine, port, self.lock) for port in machine.ports}
        lanes = RoleLanes(
            self.role, CLOCK, lambda: frozenset(self.receiving), self.receiving.clear, self.send
        )
        self.ports: dict[str, Any] = {
            **own, "ClockPort": CLOCK, "RolePeerPort": Wire(self), "RoleLanesPort": lanes
        }  # fmt: skip
        tell = lambda event, **fields: self.told.append((event, fields))  # noqa: E731
        self.desk = RoleDesk(
            self.roles, self.agenda.monitor, self.agenda.run, self.ports, CLOCK, tell
        )
        self.streams = Agenda(CLOCK, 1, self.failed.append, self.agenda.monitor)
        self.keeper = Keeper(
            self.role, self.ports, self.agenda, CLOCK, tell, self.roles.changed, self.streams
        )
        links = {self.role.plan.uuid: Wire(self)}
        told = RoleTold(self.roles, self.agenda, self.ports, CLOCK, tell, links=links)
        self.verbs = told.verbs
        self.keeper.restore()

    def start(self) -> None:
        self.keeper.wake()

    def stop(self) -> None:
        self.agenda.stop(10.0)
        self.streams.stop(10.0)

    def reload(self) -> None:
        """The service is another one afterwards."""
        self.stop()
        self.service_of(self.roles)
        self.start()

    def restart(self, machine_boot: str | None = None) -> None:
        """The daemon is another one afterwards; with `machine_boot` the machine was, too."""
        self.stop()
        self.nonce = secrets.token_hex(4)
        self.machine_boot = machine_boot or self.machine_boot
        self.service_of(None)
        self.start()

    def tick(self) -> None:
        """As the source does, where the role lets it."""
        role = self.role
        with self.agenda.monitor:
            ticks, node, members = role.ticks, role.node, dict(role.node.group.members)
        if not ticks:
            return
        if node.memory.head is None:
            places = members or {m: m for m in MEMBERS}
            with self.lock:
                name = TickName(Epoch(0, "00000000"), role.newest_seq + 1, int(CLOCK.now()))
                made = self.machine.run(
                    take_tick("radio/tank", "tank", dict.fromkeys(places.values()), name, Limits())
                )
            with self.agenda.monitor:
                role.note_manifest(made.manifest)
            return
        self.agenda.run(self._role_tick(), self.ports)

    def _role_tick(self) -> Any:
        trees = yield from observe_trees(self.role.node)
        yield from take_role_tick(self.role.node, trees, whole=False)

    def send(self, seconds: float = 0.0, taken: object = None) -> None:
        """As the lanes do, where the roles let them: the model's."""
        other = self.other
        if other is None or not (self.up and other.up):
            return
        with self.lock, self.agenda.monitor, other.agenda.monitor:
            wire = self.sites.wire
            for each in (self, other):
                wire.ends[each.machine.here.uuid].node = each.role.node
            if self.role.sends:
                if other.role.plain and self.role.plain:
                    self._send_plain(other)
                else:
                    self.machine.lanes.send_all()
            for each in (self, other):
                each.machine.reflect()

    def _send_plain(self, other: "Daemon") -> None:
        """Before there is an epoch: what was ticked is told."""
        for manifest in self.role.node.manifests:
            if manifest not in other.role.node.manifests:
                told = {"source": self.machine.here.uuid, "manifest": encode(manifest)}
                other.machine.journal.append("manifest", told)
                other.role.note_manifest(decode(Manifest, encode(manifest)))
        if other.role.node.group.members:
            self.machine.lanes.send_all()

    def words(self, event: Event) -> list[dict[str, Any]]:
        return [fields for told, fields in self.told if told is event]


class Pair:
    """alpha and beta."""

    def __init__(self) -> None:
        self.site, self.lock = Site(), threading.RLock()
        self.alpha = Daemon(self.site, self.site.alpha, self.lock)
        self.beta = Daemon(self.site, self.site.beta, self.lock)
        self.alpha.other, self.beta.other = self.beta, self.alpha
        for daemon in (self.alpha, self.beta):
            daemon.start()

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in (self.alpha, self.beta):
            daemon.stop()
            assert not daemon.failed, daemon.failed

    @property
    def states(self) -> tuple[State, State]:
        return self.alpha.role.state, self.beta.role.state

    def until(self, done: Callable[[], bool], seconds: float = 20.0) -> None:
        """The lanes work, and the roles turn, until it is so."""
        until = CLOCK.monotonic() + seconds
        while not done():
            for daemon in (self.alpha, self.beta):
                daemon.send()
            assert CLOCK.monotonic() < until, self.explain()
            CLOCK.sleep(0.05)

    def explain(self) -> str:
        """Where it stands."""
        return "\n".join(
            f"{d.machine.here.name}: {d.role.state} {d.role.what!r} {d.role.error!r} {d.failed}\n"
            f"  {d.told[-8:]}"
            for d in (self.alpha, self.beta)
        )

    def found(self) -> None:
        """alpha is primary, beta follows."""
        self.alpha.tick()
        self.until(lambda: self.states == (State.INIT, State.INIT) and self.both_looked())
        self.alpha.verbs["role_order"](order="begin", who="anna")
        self.until(lambda: self.states == (State.PRIMARY, State.STANDBY))

    def both_looked(self) -> bool:
        return all(d.role.look is not None and d.role.look.theirs is not None
                   for d in (self.alpha, self.beta))  # fmt: skip
