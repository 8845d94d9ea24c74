"""A machine in memory: mounts, programs that hold them, services, an address on a link.

What the real one does to whoever trusts it, this one does too: a mount in another namespace that
survives, a file system that is mounted nowhere and still written, a program that heeds no signal,
a service that says it stopped and runs on, a neighbour that has the address already. A test or the
simulator sets these up; every verb then behaves as HostPort says.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from zrepl_py.errors import Passing, Refused, Standing
from zrepl_py.model.host import (
    Address,
    AddressState,
    AddressView,
    Ending,
    Holder,
    Holding,
    Hosting,
    MountSeen,
    Process,
    ProcessEnd,
    ServiceOutcome,
    ServiceState,
    VolumeSeen,
)
from zrepl_py.ports.clock import ClockPort

OWN = 1
"""The namespace in which zr mounts."""
KILL_SECONDS = 5.0
_DOWN = (ServiceState.STOPPED, ServiceState.FAILED)


@dataclass
class ModelProgram:
    """A program that runs."""

    process: Process
    command: str
    holdings: dict[str, dict[Holding, str]]
    """Dataset → how it is held → the file."""
    namespace: int = OWN
    heeds_term: bool = True
    heeds_kill: bool = True
    """False: it hangs in the kernel."""


@dataclass
class ModelFileSystem:
    """A dataset that can be mounted. Whoever plays ZFS sets `readonly`, and mounts."""

    readonly: bool = False
    """The property."""
    mounts: list[MountSeen] = field(default_factory=list)
    locked: set[int] = field(default_factory=set)
    """Namespaces out of which nobody can unmount it."""
    pinned: bool = False
    """The kernel itself keeps it in use: an NFS export, a loop device."""
    marker: str = ""


@dataclass
class ModelService:
    """A service and its manners."""

    state: ServiceState = ServiceState.STOPPED
    takes_seconds: float = 0.1
    starts: bool = True
    stops: bool = True
    """False: its stopping command says it did, and it runs on."""
    start_hangs: bool = False
    """Its starting command ends only at its limit, without any effect."""
    stop_hangs: bool = False
    can_be_killed: bool = False
    """Its keeper ends it at the limit, as systemd and Docker do."""


@dataclass
class ModelLink:
    """What machines on one wire see of each other. A machine that is cut off answers nobody."""

    owners: dict[str, set[str]] = field(default_factory=dict)
    """Address → names of the machines that have it."""
    cut: set[str] = field(default_factory=set)
    announced: list[tuple[str, str]] = field(default_factory=list)
    """(address, machine), in order."""

    def others(self, ip: str, asking: str) -> list[str]:
        """Who answers a probe."""
        if asking in self.cut:
            return []
        return sorted(self.owners.get(ip, set()) - {asking} - self.cut)


class ModelHost:
    """HostPort in memory. The attributes are the machine's state, for tests to set up."""

    def __init__(
        self,
        clock: ClockPort,
        settings: Mapping[str, Hosting] | None = None,
        *,
        name: str = "alpha",
        link: ModelLink | None = None,
    ) -> None:
        self._clock, self.settings = clock, dict(settings or {})
        self.name, self.link = name, link or ModelLink()
        self.file_systems: dict[str, ModelFileSystem] = {}
        self.volumes: dict[str, VolumeSeen] = {}
        self.programs: dict[int, ModelProgram] = {}
        self.services: dict[tuple[str, str], ModelService] = {
            (h.group, s.name): ModelService() for h in self.settings.values() for s in h.services
        }
        self.stuck = False
        """Every look at the pool hangs."""
        self._next = 100

    # --- setting up -------------------------------------------------------------------------

    def add_mounted(self, dataset: str, point: str) -> None:
        """A file system, mounted."""
        self.file_systems.setdefault(dataset, ModelFileSystem())
        self.add_mount(dataset, OWN, point)

    def add_mount(self, dataset: str, namespace: int, point: str, *, locked: bool = False) -> None:
        """Mounted, in some namespace."""
        found = self.file_systems[dataset]
        own, pid = namespace == OWN, 1 if namespace == OWN else self._next
        found.mounts.append(MountSeen(dataset, point, "/", found.readonly, namespace, pid, own))
        if locked:
            found.locked.add(namespace)

    def add_program(
        self,
        command: str,
        holdings: dict[str, dict[Holding, str]],
        *,
        namespace: int = OWN,
        heeds_term: bool = True,
        heeds_kill: bool = True,
    ) -> Process:
        """A program starts."""
        self._next += 1
        process = Process(self._next, self._next * 100)
        self.programs[process.pid] = ModelProgram(
            process, command, holdings, namespace, heeds_term, heeds_kill
        )
        return process

    def unmount_lazily(self, dataset: str) -> None:
        """`umount -l`: no list of mounts has it any more; who has it open goes on."""
        self.file_systems[dataset].mounts.clear()

    def reboot(self) -> None:
        """Nothing is mounted, runs, or has an address, until somebody does it again."""
        for found in self.file_systems.values():
            found.mounts.clear()
            found.locked.clear()
            found.pinned = False
        self.programs.clear()
        for service in self.services.values():
            service.state = ServiceState.STOPPED
        for owners in self.link.owners.values():
            owners.discard(self.name)

    # --- looking ----------------------------------------------------------------------------

    def observe_mounts(self, datasets: Sequence[str]) -> list[MountSeen]:
        """See HostPort."""
        found = [m for d in datasets if d in self.file_systems for m in self.file_systems[d].mounts]
        return sorted(found, key=lambda mount: not mount.own)

    def observe_objsets(self, pool: str) -> frozenset[str]:
        """See HostPort."""
        self._check_awake()
        used = {d for d in self.file_systems if self._in_use(d)} | self.volumes.keys()
        return frozenset(d for d in used if d.split("/")[0] == pool)

    def observe_holders(self, datasets: Sequence[str]) -> list[Holder]:
        """See HostPort."""
        self._check_awake()
        return [
            Holder(p.process, p.command, d, tuple(ways), next(iter(ways.values())))
            for _, p in sorted(self.programs.items())
            for d, ways in sorted(p.holdings.items())
            if d in datasets
        ]

    def observe_volumes(self, datasets: Sequence[str]) -> list[VolumeSeen]:
        """See HostPort."""
        return [self.volumes[d] for d in sorted(datasets) if d in self.volumes]

    # --- mounts -----------------------------------------------------------------------------

    def end_holders(
        self, datasets: Sequence[str], processes: Sequence[Process], patience_seconds: float
    ) -> list[ProcessEnd]:
        """See HostPort."""
        holding = {h.process for h in self.observe_holders(datasets)}
        if any(process.pid == 1 for process in holding):
            raise Refused("system-dataset", "The first process uses one of these datasets.")
        ends = [ProcessEnd(p, self._end(p, holding)) for p in processes]
        endings = {end.ending for end in ends}
        if endings & {Ending.KILLED, Ending.SURVIVED}:
            self._clock.sleep(patience_seconds)
        if Ending.SURVIVED in endings:
            self._clock.sleep(KILL_SECONDS)
        return ends

    def unmount_everywhere(self, datasets: Sequence[str]) -> list[MountSeen]:
        """See HostPort."""
        self._check_awake()
        for dataset in sorted(datasets, reverse=True):
            if (found := self.file_systems.get(dataset)) is not None:
                found.mounts = [m for m in found.mounts if self._is_busy(m, found)]
        return self.observe_mounts(datasets)

    def apply_readonly(self, datasets: Sequence[str], readonly: bool) -> list[str]:
        """See HostPort. The property is whoever's sets `ModelFileSystem.readonly`."""
        for dataset in datasets:
            if (found := self.file_systems.get(dataset)) is not None:
                found.mounts = [
                    replace(m, readonly=found.readonly) if m.own else m for m in found.mounts
                ]
        wrong = {m.dataset for m in self.observe_mounts(datasets) if m.readonly != readonly}
        wrong |= {v.dataset for v in self.observe_volumes(datasets) if v.readonly != readonly}
        return [dataset for dataset in datasets if dataset in wrong]

    def replay_logs(self, datasets: Sequence[str]) -> list[str]:
        """See HostPort. There are no intent logs here: what was written is in the next snapshot."""
        self._check_awake()
        return [dataset for dataset in datasets if dataset in self.file_systems]

    def write_markers(self, datasets: Sequence[str], text: str) -> list[str]:
        """See HostPort."""
        self._check_awake()
        found = {d: self.file_systems[d] for d in self._mounted_here(datasets)}
        written = {d: fs for d, fs in found.items() if not fs.readonly}
        for system in written.values():
            system.marker = text
        return list(written)

    def read_markers(self, datasets: Sequence[str]) -> dict[str, str]:
        """See HostPort."""
        self._check_awake()
        said = {d: self.file_systems[d].marker for d in self._mounted_here(datasets)}
        return {d: text for d, text in said.items() if text}

    def _mounted_here(self, datasets: Sequence[str]) -> list[str]:
        found = ((d, self.file_systems.get(d)) for d in datasets)
        return [d for d, fs in found if fs is not None and any(m.own for m in fs.mounts)]

    # --- services ---------------------------------------------------------------------------

    def observe_service(self, group: str, service: str) -> ServiceState:
        """See HostPort."""
        return self._service(group, service)[0].state

    def start_service(self, group: str, service: str) -> ServiceOutcome:
        """See HostPort."""
        found, limit_seconds = self._service(group, service)
        if found.state is ServiceState.RUNNING:
            return ServiceOutcome(service, found.state, 0, 0.0, "")
        if found.start_hangs:
            return self._outcome(service, found, None, limit_seconds)
        found.state = ServiceState.RUNNING if found.starts else ServiceState.FAILED
        return self._outcome(service, found, 0 if found.starts else 1, found.takes_seconds)

    def stop_service(self, group: str, service: str) -> ServiceOutcome:
        """See HostPort."""
        found, limit_seconds = self._service(group, service, stopping=True)
        code = None if found.stop_hangs else 0
        if found.state not in _DOWN and (found.stop_hangs or not found.stops):
            if found.can_be_killed:
                found.state = ServiceState.FAILED
            return self._outcome(service, found, code, limit_seconds)
        if found.state not in _DOWN:
            found.state = ServiceState.STOPPED
        return self._outcome(service, found, code, found.takes_seconds)

    # --- the address ------------------------------------------------------------------------

    def observe_address(self, group: str) -> AddressView:
        """See HostPort."""
        address = self._address(group)
        if address is None:
            return AddressView("", AddressState.ABSENT)
        here = self.name in self.link.owners.get(address.ip, set())
        return AddressView(address.ip, AddressState.HERE if here else AddressState.ABSENT)

    def add_address(self, group: str) -> AddressView:
        """See HostPort."""
        seen, address = self.observe_address(group), self._address(group)
        if address is None or seen.state is AddressState.HERE:
            return seen
        self._clock.sleep(1.0)
        if others := self.link.others(address.ip, self.name):
            return AddressView(address.ip, AddressState.ABSENT, others[0])
        self.link.owners.setdefault(address.ip, set()).add(self.name)
        return self.observe_address(group)

    def announce_address(self, group: str) -> bool:
        """See HostPort."""
        seen = self.observe_address(group)
        if seen.state is not AddressState.HERE:
            return False
        if self.name not in self.link.cut:
            self.link.announced.append((seen.ip, self.name))
        return True

    def remove_address(self, group: str) -> AddressView:
        """See HostPort."""
        if (address := self._address(group)) is not None:
            self.link.owners.get(address.ip, set()).discard(self.name)
        return self.observe_address(group)

    # --- how things are ---------------------------------------------------------------------

    def _check_awake(self) -> None:
        if self.stuck:
            raise Passing("worker-stuck", "The host worker did not answer in time.")

    def _in_use(self, dataset: str) -> bool:
        found = self.file_systems[dataset]
        held = any(dataset in p.holdings for p in self.programs.values())
        return bool(found.mounts) or found.pinned or held

    def _is_busy(self, mount: MountSeen, found: ModelFileSystem) -> bool:
        if found.pinned or mount.namespace in found.locked:
            return True
        below = mount.dataset + "/"
        return any(
            p.namespace == mount.namespace and mount.dataset in p.holdings
            for p in self.programs.values()
        ) or any(m.namespace == mount.namespace for m in _mounts_below(self.file_systems, below))

    def _end(self, process: Process, holding: set[Process]) -> Ending:
        program = self.programs.get(process.pid)
        if program is None or program.process != process:
            return Ending.GONE
        if process.pid == 1:
            return Ending.PROTECTED
        if process not in holding:
            return Ending.RELEASED
        if not program.heeds_kill:
            return Ending.SURVIVED
        del self.programs[process.pid]
        return Ending.ENDED if program.heeds_term else Ending.KILLED

    def _service(
        self, group: str, name: str, *, stopping: bool = False
    ) -> tuple[ModelService, float]:
        hosting = self.settings.get(group)
        found = {s.name: s for s in hosting.services}.get(name) if hosting is not None else None
        if found is None:
            raise Standing("service-missing", f"There is no service {name!r} of {group!r}.")
        limit_seconds = found.stop_seconds if stopping else found.start_seconds
        return self.services.setdefault((group, name), ModelService()), limit_seconds

    def _outcome(
        self, name: str, service: ModelService, code: int | None, seconds: float
    ) -> ServiceOutcome:
        self._clock.sleep(seconds)
        return ServiceOutcome(name, service.state, code, seconds, "")

    def _address(self, group: str) -> Address | None:
        hosting = self.settings.get(group)
        return None if hosting is None else hosting.address


def _mounts_below(found: Mapping[str, ModelFileSystem], below: str) -> Iterable[MountSeen]:
    return (m for name, fs in found.items() if name.startswith(below) for m in fs.mounts)
