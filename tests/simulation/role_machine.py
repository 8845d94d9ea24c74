"""One machine of a story with roles: disks, mounts, programs, services; what a power loss takes.

Glue between the two models that make up a machine: `ModelDatasets` knows what ZFS says, `ModelHost`
what the kernel does. Programs write here, where and as long as the kernel lets them: also after an
unmount that left another mount namespace behind, and into mapped files under readonly=on.
"""

from random import Random

from tests.simulation.loop import Loop, NodeClock
from tests.simulation.role_truth import RoleTruth, path_of
from zrepl_py.model.host import Address, Holding, Hosting, Service, ServiceKind, ServiceState
from zrepl_py.testing.model_datasets import ModelDatasets
from zrepl_py.testing.model_host import OWN, ModelFileSystem, ModelHost, ModelLink
from zrepl_py.testing.model_zfs_state import ModelPools

GROUP = "radio"
SERVICE = Service("studio", ServiceKind.UNIT, "studio.service")
POOL_BYTES = 1 << 30
OTHER_NAMESPACE = 7
MARKER = ".zr/epoch"


class RoleClock(NodeClock):
    """A machine's clock; what waits on it takes no simulated time."""

    def sleep(self, seconds: float) -> None:
        """The models of services and addresses wait; their latency is drawn like any other."""


class RoleMachine:
    """Everything but zr."""

    def __init__(
        self, loop: Loop, name: str, pool: str, starts_at: float, link: ModelLink, seed: int
    ) -> None:
        self.loop, self.name, self.pool = loop, name, pool
        self.random = Random(f"{seed}/{name}/machine")
        self.clock = RoleClock(loop, starts_at)
        self.pools = ModelPools({pool: POOL_BYTES}, seed=seed, now=self.clock.now)
        self.datasets = ModelDatasets(self.pools)
        address = Address("192.0.2.10", 32, "eth0")
        hosting = Hosting(GROUP, (SERVICE,), address)
        self.host = ModelHost(self.clock, {GROUP: hosting}, name=name, link=link)
        self.on = True
        self.paused = 0
        """The whole machine stands still, programs too (a VM that is migrated)."""
        self.starts_by_itself = False
        """A container engine starts the service at boot, whatever zr thinks (restart: always)."""
        self.stubborn = 0.0
        """How often a program keeps a mount namespace of its own, and heeds no service's stop."""
        self._names: dict[int, str] = {}

    def reflect(self) -> None:
        """What ZFS has changed shows in the kernel: names, mounts, readonly."""
        host, datasets = self.host, self.pools.pools[self.pool].datasets
        moved = {self._names[d.guid]: d for d in datasets.values() if d.guid in self._names}
        renamed = {old: d.name for old, d in moved.items() if old != d.name}
        if renamed:
            systems = {renamed.get(n, n): fs for n, fs in host.file_systems.items()}
            host.file_systems.clear()
            host.file_systems.update(systems)
            for program in host.programs.values():
                program.holdings = {renamed.get(n, n): h for n, h in program.holdings.items()}
        for name in [n for n in host.file_systems if n not in datasets]:
            del host.file_systems[name]
        for found in datasets.values():
            self._names[found.guid] = found.name
            system = host.file_systems.setdefault(found.name, ModelFileSystem())
            system.readonly = self.datasets._said(found, "readonly") == "on"
            marker = found.files.get(MARKER)
            system.marker = marker.content.decode() if marker else ""
            own = any(mount.own for mount in system.mounts)
            if found.mounted and not own:
                host.add_mount(found.name, OWN, "/" + found.name)
            elif own and not found.mounted:
                system.mounts = [mount for mount in system.mounts if not mount.own]
        held = {n for p in host.programs.values() if p.namespace == OWN for n in p.holdings}
        self.datasets.users = held

    def absorb(self) -> None:
        """What the kernel has changed shows in ZFS."""
        for found in self.pools.pools[self.pool].datasets.values():
            system = self.host.file_systems.get(found.name)
            if system is not None:
                found.mounted = any(mount.own for mount in system.mounts)
        held = {n for p in self.host.programs.values() if p.namespace == OWN for n in p.holdings}
        self.datasets.users = held

    # Programs.

    def follow_service(self, members: dict[str, str]) -> None:
        """A service that runs has programs in what is mounted; one that stopped has none, but for
        those that do not care."""
        state = self.host.services[GROUP, SERVICE.name].state
        programs = self.host.programs
        if state is ServiceState.RUNNING:
            have = {d for p in programs.values() for d in p.holdings}
            for name in members.values():
                system = self.host.file_systems.get(name)
                if name not in have and system and any(m.own for m in system.mounts):
                    self._start_program(name)
        elif state in (ServiceState.STOPPED, ServiceState.FAILED):
            for pid in [i for i, p in programs.items() if p.command == SERVICE.name]:
                del programs[pid]
        self.absorb()

    def _start_program(self, dataset: str) -> None:
        random, host = self.random, self.host
        if random.random() < self.stubborn:
            way = random.choice((Holding.FD, Holding.MAPS))
            namespace = random.choice((OWN, OTHER_NAMESPACE))
            if namespace != OWN:
                host.add_mount(dataset, namespace, "/" + dataset)
            host.add_program(
                "stubborn", {dataset: {way: "f"}}, namespace=namespace,
                heeds_term=random.random() < 0.5,
            )  # fmt: skip
            if random.random() < 0.3:
                host.unmount_lazily(dataset)
                self.absorb()
        else:
            host.add_program(SERVICE.name, {dataset: {Holding.FD: "f"}})

    def can_write(self, name: str) -> bool:
        """Whether some program's write into this dataset would return."""
        found, system = self.pools.find(name), self.host.file_systems.get(name)
        if not self.on or self.paused or found is None or system is None or not found.key_loaded:
            return False
        pool = self.pools.pools[self.pool]
        if pool.health != "ONLINE" or pool.used_bytes() >= pool.size_bytes:
            return False
        for program in self.host.programs.values():
            ways = program.holdings.get(name)
            if ways is not None and (Holding.MAPS in ways or not system.readonly):
                return True
        return False

    def write(self, member: str, name: str, truth: RoleTruth) -> int:
        """One write() that returns."""
        write = truth.wrote(member, self.name, self.loop.now)
        content = b"x" * (1 + self.random.randrange(40))
        self.pools.write(name, path_of(write.number), content)
        return write.number

    # Power.

    def lose_power(self) -> None:
        """Memory is gone; the disks stay."""
        self.on = False
        self.host.reboot()
        for found in self.pools.pools[self.pool].datasets.values():
            found.mounted = False
            found.key_loaded = not found.encrypted
        self.datasets.users = set()

    def start(self, members: dict[str, str]) -> None:
        """The system starts: it mounts what says so, and may start services before zr."""
        self.on = True
        for found in self.pools.pools[self.pool].datasets.values():
            if found.local.get("canmount", "on") == "on" and found.key_loaded:
                found.mounted = self.pools.has_mountpoint(found.name)
        self.reflect()
        if self.starts_by_itself:
            self.host.services[GROUP, SERVICE.name].state = ServiceState.RUNNING
            self.follow_service(members)
