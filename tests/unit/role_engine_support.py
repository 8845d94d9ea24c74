"""Two machines with roles, in memory, whose power can go before or after any command.

What a power loss keeps: pools (with properties, rights, snapshots), the journal. What it takes:
mounts, services, the address, keys, the RoleNode. Between any two commands nobody else may write,
and everything that was written must be somewhere.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from zrepl_py.engine.commands import Command, Engine
from zrepl_py.engine.role_node import RoleGroup, RoleNode, restore_role
from zrepl_py.engine.role_tick import take_role_tick
from zrepl_py.engine.role_tree import find_roots, observe_trees
from zrepl_py.engine.role_turn import Turn, take_turn
from zrepl_py.errors import Passing, ZrError
from zrepl_py.model.host import Address, Hosting, Service, ServiceKind, ServiceState
from zrepl_py.model.roles import Order, State
from zrepl_py.model.site import Node
from zrepl_py.testing.model_clock import ModelClock
from zrepl_py.testing.model_datasets import ModelDatasets
from zrepl_py.testing.model_host import OWN, ModelFileSystem, ModelHost, ModelLink
from zrepl_py.testing.model_journal import ModelJournal
from zrepl_py.testing.model_journal import PowerLostError as JournalCutError
from zrepl_py.testing.model_roles import (
    ModelAuthority,
    ModelRoleLanes,
    ModelRolePeer,
    RoleEnd,
    RoleWire,
)
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

GROUP = "radio"
UUID = "7f9d2f5e-0000-4000-8000-000000000001"
ALPHA = Node("aaaaaaaa-0000-4000-8000-000000000000", "alpha")
BETA = Node("bbbbbbbb-0000-4000-8000-000000000000", "beta")
MEMBERS = ("tank/audio", "tank/audio/raw", "tank/db")
SERVICE = "studio"
LOOKS = ("observe_", "read_", "records", "now", "monotonic", "sleep", "exchange", "answer", "tell_")
SERVING = (State.PRIMARY, State.PRIMARY_ALONE)


class PowerLostError(Exception):
    """The machine went off."""


@dataclass
class Machine:
    """One node: disks, kernel, journal; and the engine, while it is on."""

    site: "Site"
    here: Node
    peer: Node
    members: dict[str, str]
    receive_below: tuple[str, ...]
    pools: ModelPools
    journal: ModelJournal
    host: ModelHost
    zfs: ModelZfs = field(init=False)
    datasets: ModelDatasets = field(init=False)
    ports: dict[str, Any] = field(init=False)
    node: RoleNode | None = None
    boots: int = 0
    daemons: int = 0
    effects: int = 0
    """Commands so far that may change something."""
    cut: tuple[int, str] | None = None
    """(which effect, how): the power goes `before` or `after` it; or within it, where it is the
    journal's, and the record is `lost` or `kept`."""
    kept_unsynced: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    """How often which command was performed."""
    writes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.zfs, self.datasets = ModelZfs(self.pools), ModelDatasets(self.pools)
        wire = self.site.wire
        wire.ends[self.here.uuid] = RoleEnd(
            self.here.uuid, self.here.short, self.zfs, self.datasets, self.journal, self.site.clock
        )
        self.lanes = ModelRoleLanes(wire, self.here.uuid)
        self.ports = {
            "ZfsPort": self.zfs, "DatasetPort": self.datasets, "HostPort": self.host,
            "JournalPort": self.journal, "ClockPort": self.site.clock,
            "AuthorityPort": ModelAuthority(),
            "RolePeerPort": ModelRolePeer(wire, self.here.uuid), "RoleLanesPort": self.lanes,
        }  # fmt: skip

    def order(self, order: Order) -> None:
        assert self.node is not None
        self.node.give(order, who="anna")

    @property
    def on(self) -> bool:
        return self.node is not None

    def group(self) -> RoleGroup:
        return RoleGroup(
            f"{GROUP}/tank", UUID, self.here, self.peer, ALPHA.uuid, self.members, GROUP,
            (SERVICE,), True, self.receive_below, max_lag_seconds=10**6,
        )  # fmt: skip

    # Life.

    def start(self, reboot: bool = True) -> None:
        """The machine starts, or only the daemon."""
        self.reflect()
        self.boots += reboot
        self.daemons += 1
        node = self.run(restore_role(
            self.group(), f"daemon-{self.daemons}", f"boot-{self.boots}",
            lambda: f"{self.site.random():08x}",
        ))  # fmt: skip
        self.node = self.site.wire.ends[self.here.uuid].node = node

    def stop(self) -> None:
        """The daemon ends: the machine stays as it is."""
        self.node = self.site.wire.ends[self.here.uuid].node = None

    def lose_power(self) -> None:
        self.stop()
        self.cut = None
        self.host.reboot()
        self.journal.crash(keep_unsynced=self.kept_unsynced)
        self.kept_unsynced = 0
        for found in self.pools.pools["tank"].datasets.values():
            found.mounted = False
        self.reflect()

    # Work.

    def run(self, engine: Engine[Any]) -> Any:
        """Perform, command by command; the power may go."""
        outcome: Any = None
        failed: ZrError | None = None
        first = True
        while True:
            try:
                if first:
                    command = next(engine)
                elif failed is not None:
                    command = engine.throw(failed)
                else:
                    command = engine.send(outcome)
            except StopIteration as done:
                return done.value
            first, failed = False, None
            goes = self._power_goes(command)
            if goes == "before":
                engine.close()
                raise PowerLostError
            if goes in ("lost", "kept"):
                self.journal.lose_power_after(0)
            try:
                outcome = self.perform(command)
            except ZrError as error:
                failed = error
            except JournalCutError:
                self.kept_unsynced = int(goes == "kept")
                engine.close()
                raise PowerLostError from None
            if not command.verb.startswith(LOOKS):
                self.site.check()
            if goes:
                engine.close()
                raise PowerLostError

    def _power_goes(self, command: Command) -> str:
        """How, if it does at this command: only what changes something is counted."""
        if command.verb.startswith(LOOKS):
            return ""
        at, how = self.cut or (0, "")
        if how in ("lost", "kept") and command.port != "JournalPort":
            return ""
        self.effects += 1
        return how if self.effects == at else ""

    def perform(self, command: Command) -> Any:
        self.asked[command.verb] += 1
        verb = getattr(self.ports[command.port], command.verb)
        if command.verb.startswith(LOOKS):
            return verb(*command.args, **command.kwargs)
        try:
            outcome = verb(*command.args, **command.kwargs)
        finally:
            if command.port == "HostPort":
                self.absorb()
            self.reflect()
        if command.verb == "write_markers":
            for name in outcome:
                self.pools.write(name, ".zr/epoch", command.args[1].encode())
            self.reflect()
        return outcome

    def turn(self) -> Turn | None:
        """One turn, if the daemon runs; None where it failed, or the power went."""
        if self.node is None:
            return None
        try:
            turn: Turn = self.run(take_turn(self.node))
        except PowerLostError:
            self.lose_power()
            return None
        except Passing:
            return None
        return turn

    # The machine around the pools.

    def reflect(self) -> None:
        """What ZFS has changed shows in the kernel."""
        datasets = self.pools.pools["tank"].datasets
        for name in [n for n in self.host.file_systems if n not in datasets]:
            del self.host.file_systems[name]
        for found in datasets.values():
            system = self.host.file_systems.setdefault(found.name, ModelFileSystem())
            system.readonly = self.datasets._said(found, "readonly") == "on"
            marker = found.files.get(".zr/epoch")
            system.marker = marker.content.decode() if marker else ""
            own = any(mount.own for mount in system.mounts)
            if found.mounted and not own:
                self.host.add_mount(found.name, OWN, "/" + found.name)
            elif own and not found.mounted:
                system.mounts = [mount for mount in system.mounts if not mount.own]

    def absorb(self) -> None:
        """What the kernel has changed shows in ZFS."""
        for found in self.pools.pools["tank"].datasets.values():
            if (system := self.host.file_systems.get(found.name)) is not None:
                found.mounted = any(mount.own for mount in system.mounts)

    def can_write(self) -> bool:
        """Whether anything of the group is mounted for writing."""
        found = (self.host.file_systems.get(name) for name in self.members.values())
        return any(fs is not None and fs.mounts and not fs.readonly for fs in found)

    def write(self) -> None:
        """The service writes, where it runs; also what no snapshot will have yet."""
        state = self.host.services[GROUP, SERVICE].state
        if state is not ServiceState.RUNNING or not self.can_write():
            return
        for name in self.members.values():
            self.site.written += 1
            path = f"w{self.site.written}"
            self.pools.write(name, path, path.encode())
            self.writes.append(path)

    def tick(self) -> None:
        """What the ordinary source does now and then."""
        if self.node is None or self.node.state not in SERVING:
            return
        try:
            trees = self.run(observe_trees(self.node))
            self.run(take_role_tick(self.node, trees, whole=False))
        except PowerLostError:
            self.lose_power()

    def kept(self) -> set[str]:
        """Every write that is anywhere on these disks."""
        found: set[str] = set()
        for dataset in self.pools.pools["tank"].datasets.values():
            found |= dataset.files.keys()
            for version in dataset.snapshots:
                found |= version.files.keys()
        return {path for path in found if path.startswith("w")}

    def served(self) -> set[str]:
        """What clients see."""
        found: set[str] = set()
        for name in self.members.values():
            found |= self.pools.dataset(name).files.keys()
        return {path for path in found if path.startswith("w")}


class Site:
    """Both, and what they must never do."""

    def __init__(self, members: Sequence[str] = MEMBERS, *, inherited: bool = False) -> None:
        """`inherited`: alpha's members have their mount points from the pool."""
        self.clock = ModelClock()
        self.wire = RoleWire()
        self.written = 0
        self.seed = 1
        self.honest = True
        """Nobody said that a node is fenced that is not."""
        self.machines: list[Machine] = []
        link = ModelLink()
        below = "tank/zr/alpha"
        self.alpha = self._machine(
            ALPHA, BETA, {m: m for m in members}, find_roots(members), link, 1
        )
        self.beta = self._machine(
            BETA, ALPHA, {m: f"{below}/{m}" for m in members}, (below,), link, 2
        )
        for member in members:
            if self.alpha.pools.find(member.rpartition("/")[0]) is None:
                self.alpha.zfs.create_placeholder(member.rpartition("/")[0])
            own = {} if inherited else {"mountpoint": f"/{member}"}
            self.alpha.pools.make_dataset(member, properties=own)
        self.beta.zfs.create_placeholder(below)
        self.beta.datasets.may_receive.add(below)

    def _machine(
        self, here: Node, peer: Node, members: dict[str, str], below: tuple[str, ...],
        link: ModelLink, seed: int,
    ) -> Machine:  # fmt: skip
        service = Service(SERVICE, ServiceKind.UNIT, f"{SERVICE}.service")
        hosting = Hosting(GROUP, (service,), Address("192.0.2.10", 32, "eth0"))
        pools = ModelPools({"tank": 1 << 30}, seed=seed, now=self.clock.now)
        machine = Machine(
            self, here, peer, members, below, pools, ModelJournal(self.clock),
            ModelHost(self.clock, {GROUP: hosting}, name=here.name, link=link),
        )  # fmt: skip
        self.machines.append(machine)
        return machine

    def random(self) -> int:
        """Not random, but never twice."""
        self.seed = self.seed * 1103515245 + 12345 & 0xFFFFFFFF
        return self.seed

    def check(self) -> None:
        """At every moment."""
        writers = [m.here.name for m in self.machines if m.can_write()]
        owners = self.alpha.host.link.owners.get("192.0.2.10", set())
        if self.honest:
            assert len(writers) < 2, "two nodes can write"
            assert len(owners) < 2, "the address is on both"

    def check_nothing_lost(self) -> None:
        """primary ∪ rescue."""
        kept = self.alpha.kept() | self.beta.kept()
        lost = {w for m in self.machines for w in m.writes} - kept
        assert not lost, lost

    def round(self, *, writes: bool = False) -> bool:
        """Each node one turn; the lanes; a tick. Whether anything moved."""
        moved = False
        for machine in self.machines:
            turn = machine.turn()
            moved |= turn is not None and turn.moved
            self.check()
        for machine in self.machines:
            if writes:
                machine.write()
                machine.tick()
            before = self._total()
            if machine.node is not None and self.wire.up:
                try:
                    machine.lanes.send_all()
                except Passing:
                    continue
            moved |= self._total() != before
            for other in self.machines:
                other.reflect()  # what was received
        self.clock.advance(1.0)
        return moved

    def _total(self) -> int:
        pools = (m.pools.pools["tank"] for m in self.machines)
        return sum(len(d.snapshots) for pool in pools for d in pool.datasets.values())

    def rest(self, most: int = 150, until: Callable[[], bool] = lambda: False) -> None:
        """Until nothing moves, also when every deadline is over."""
        still = 0
        for _ in range(most):
            still = 0 if self.round() else still + 1
            if still >= 6 or until():
                return
            if still == 3:
                self.clock.advance(100.0)
        states = [m.node.state if m.node else "off" for m in self.machines]
        raise AssertionError(f"no rest: {states}")

    def restart_what_is_off(self) -> None:
        """From now on nothing more goes wrong."""
        for machine in self.machines:
            machine.cut = None
            if machine.node is None:
                machine.start()


def founded(members: Sequence[str] = MEMBERS, *, inherited: bool = False) -> Site:
    """alpha is primary, beta follows, both have the same."""
    site = Site(members, inherited=inherited)
    for machine in site.machines:
        machine.start()
    site.rest()
    assert site.alpha.node is not None
    site.alpha.node.give(Order.BEGIN, who="anna")
    site.rest()
    for _ in range(2):
        site.round(writes=True)
    site.rest()
    return site
