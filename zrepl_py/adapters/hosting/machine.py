"""MachineHost: HostPort on the machine that this process runs on, as root.

Only puts together what the modules beside it can do, and asks the settings what a group's services
and address are. It must run in the machine's own mount and network namespaces.
"""

from collections.abc import Callable, Sequence

from zrepl_py.adapters.hosting import address, mounting, services
from zrepl_py.adapters.hosting.ending import end_processes
from zrepl_py.adapters.hosting.holders import Lost, observe_holders
from zrepl_py.adapters.hosting.marker import read_marker, write_marker
from zrepl_py.adapters.hosting.namespaces import find_devices, observe_namespaces
from zrepl_py.adapters.hosting.objsets import (
    find_volume_devices,
    observe_objsets,
    observe_volumes,
)
from zrepl_py.adapters.zfs.names import pool_of
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.host import (
    Address,
    AddressState,
    AddressView,
    Holder,
    Hosting,
    MountSeen,
    Process,
    ProcessEnd,
    Service,
    ServiceOutcome,
    ServiceState,
    VolumeSeen,
)
from zrepl_py.ports.clock import ClockPort

ZFS_MAGIC = 0x2FC12FC1
_FIRST_PROCESS = 1


class MachineHost:
    """HostPort."""

    def __init__(
        self,
        clock: ClockPort,
        settings: Callable[[str], Hosting | None],
        *,
        kind: str = "zfs",
        magic: int = ZFS_MAGIC,
        objsets: Callable[[str], frozenset[str]] = observe_objsets,
    ) -> None:
        """`settings(group)`: what is configured now. The rest is for tests without ZFS."""
        self._clock, self._settings = clock, settings
        self._kind, self._magic, self._objsets = kind, magic, objsets

    # --- looking ----------------------------------------------------------------------------

    def observe_mounts(self, datasets: Sequence[str]) -> list[MountSeen]:
        """See HostPort."""
        return mounting.observe_mounts(self._kind, datasets)

    def observe_objsets(self, pool: str) -> frozenset[str]:
        """See HostPort."""
        return self._objsets(pool)

    def observe_holders(self, datasets: Sequence[str]) -> list[Holder]:
        """See HostPort."""
        namespaces = observe_namespaces(self._kind)
        volumes = observe_volumes(datasets)
        devices = {**find_devices(namespaces, datasets), **find_volume_devices(volumes)}
        known = frozenset(devices.values()) | {v.dataset for v in volumes}
        used = {name for pool in {pool_of(d) for d in datasets} for name in self._objsets(pool)}
        unmounted = frozenset(datasets) & used - known
        devices |= mounting.mount_for_a_moment(unmounted, self._clock)
        lost = None
        if unmounted - frozenset(devices.values()):
            mounted = {m.device for n in namespaces for m in n.mounts}
            lost = Lost(self._magic, frozenset(mounted))
        return observe_holders(devices, lost)

    def observe_volumes(self, datasets: Sequence[str]) -> list[VolumeSeen]:
        """See HostPort."""
        return observe_volumes(datasets)

    # --- mounts -----------------------------------------------------------------------------

    def end_holders(
        self, datasets: Sequence[str], processes: Sequence[Process], patience_seconds: float
    ) -> list[ProcessEnd]:
        """See HostPort."""
        # One of an unknown file system may be another dataset's: it is shown, not ended.
        holding = {h.process for h in self.observe_holders(datasets) if h.dataset}
        if any(process.pid == _FIRST_PROCESS for process in holding):
            raise Refused(
                "system-dataset",
                f"The first process of this machine itself uses one of {', '.join(datasets)}.",
                "zr ends no programs there: a group must not hold the machine's own system.",
            )
        return end_processes(processes, holding, patience_seconds, self._clock)

    def unmount_everywhere(self, datasets: Sequence[str]) -> list[MountSeen]:
        """See HostPort."""
        return mounting.unmount_everywhere(self._kind, datasets, self._clock)

    def apply_readonly(self, datasets: Sequence[str], readonly: bool) -> list[str]:
        """See HostPort."""
        return mounting.apply_readonly(self._kind, datasets, readonly, self._clock)

    def replay_logs(self, datasets: Sequence[str]) -> list[str]:
        """See HostPort."""
        done = frozenset(mounting.mount_for_a_moment(datasets, self._clock).values())
        return [dataset for dataset in datasets if dataset in done]

    def write_markers(self, datasets: Sequence[str], text: str) -> list[str]:
        """See HostPort."""
        return [d for d, point in self._points(datasets).items() if write_marker(point, text)]

    def read_markers(self, datasets: Sequence[str]) -> dict[str, str]:
        """See HostPort."""
        said = {d: read_marker(point) for d, point in self._points(datasets).items()}
        return {d: text for d, text in said.items() if text is not None}

    def _points(self, datasets: Sequence[str]) -> dict[str, str]:
        mounts = self.observe_mounts(datasets)
        return {m.dataset: m.point for m in reversed(mounts) if m.own and m.root == "/"}

    # --- services ---------------------------------------------------------------------------

    def observe_service(self, group: str, service: str) -> ServiceState:
        """See HostPort."""
        return services.observe(self._service(group, service), self._clock)

    def start_service(self, group: str, service: str) -> ServiceOutcome:
        """See HostPort."""
        return services.start(self._service(group, service), self._clock)

    def stop_service(self, group: str, service: str) -> ServiceOutcome:
        """See HostPort."""
        return services.stop(self._service(group, service), self._clock)

    # --- the address ------------------------------------------------------------------------

    def observe_address(self, group: str) -> AddressView:
        """See HostPort."""
        return self._at_address(group, address.observe_address)

    def add_address(self, group: str) -> AddressView:
        """See HostPort."""
        return self._at_address(group, address.add_address)

    def announce_address(self, group: str) -> bool:
        """See HostPort."""
        configured = self._address(group)
        return configured is not None and address.announce_address(configured, self._clock)

    def remove_address(self, group: str) -> AddressView:
        """See HostPort."""
        return self._at_address(group, address.remove_address)

    def _at_address(
        self, group: str, act: Callable[[Address, ClockPort], AddressView]
    ) -> AddressView:
        configured = self._address(group)
        if configured is None:
            return AddressView("", AddressState.ABSENT)
        return act(configured, self._clock)

    def _address(self, group: str) -> Address | None:
        hosting = self._settings(group)
        return None if hosting is None else hosting.address

    def _service(self, group: str, name: str) -> Service:
        hosting = self._settings(group)
        found = [s for s in hosting.services if s.name == name] if hosting is not None else []
        if not found:
            raise Standing(
                "service-missing",
                f"zr.toml names no service {name!r} of the group {group!r}.",
                "Compare the table [roles] there with what was asked; run `zr reload`.",
            )
        return found[0]
