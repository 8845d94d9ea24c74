"""WorkerHost: the daemon's HostPort and DatasetPort, which asks the host worker of the right pool.

What concerns a dataset goes to its pool's worker. Services and the address go to the first pool's,
over connections of their own: calls that hang in a suspended pool do not stand in their way.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from zrepl_py.adapters.worker.client import Patience, Report, WorkerClient
from zrepl_py.adapters.worker.proxy import ask_worker
from zrepl_py.adapters.worker.verbs import WorkerKind, pool_of
from zrepl_py.model.history import History
from zrepl_py.model.host import (
    AddressView,
    Holder,
    MountSeen,
    Process,
    ProcessEnd,
    ServiceOutcome,
    ServiceState,
    VolumeSeen,
)
from zrepl_py.model.tree import TreeDataset
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.host import HostPort

P = ParamSpec("P")
T = TypeVar("T")
LOOKING = Patience(call_seconds=120.0)
ACTING = Patience(call_seconds=640.0, simultaneous_calls=8)
"""More than the longest limit of a service (config/roles.py), and the kill after it."""


class WorkerHost:
    """HostPort and DatasetPort over workers. Errors of every verb besides the ports': worker-gone,
    worker-stuck (Passing), worker-missing (Standing)."""

    def __init__(self, sockets: Mapping[str, str], clock: ClockPort, report: Report) -> None:
        """`sockets`: pool → the socket of its host worker."""
        self._clients = {
            pool: WorkerClient(path, clock, LOOKING, report) for pool, path in sockets.items()
        }
        self._first = min(sockets, default="")
        self._groups = None
        if self._first:
            self._groups = WorkerClient(sockets[self._first], clock, ACTING, report)

    def close(self) -> None:
        """Give all connections up."""
        for client in (*self._clients.values(), self._groups):
            if client is not None:
                client.close()

    def observe_mounts(self, datasets: Sequence[str]) -> list[MountSeen]:
        """See HostPort."""
        return self._ask(datasets, HostPort.observe_mounts, datasets)

    def observe_objsets(self, pool: str) -> frozenset[str]:
        """See HostPort."""
        return self._ask([pool], HostPort.observe_objsets, pool)

    def observe_holders(self, datasets: Sequence[str]) -> list[Holder]:
        """See HostPort."""
        return self._ask(datasets, HostPort.observe_holders, datasets)

    def observe_volumes(self, datasets: Sequence[str]) -> list[VolumeSeen]:
        """See HostPort."""
        return self._ask(datasets, HostPort.observe_volumes, datasets)

    def end_holders(
        self, datasets: Sequence[str], processes: Sequence[Process], patience_seconds: float
    ) -> list[ProcessEnd]:
        """See HostPort."""
        return self._ask(
            datasets, HostPort.end_holders, datasets, processes, float(patience_seconds)
        )

    def unmount_everywhere(self, datasets: Sequence[str]) -> list[MountSeen]:
        """See HostPort."""
        return self._ask(datasets, HostPort.unmount_everywhere, datasets)

    def apply_readonly(self, datasets: Sequence[str], readonly: bool) -> list[str]:
        """See HostPort."""
        return self._ask(datasets, HostPort.apply_readonly, datasets, readonly)

    def replay_logs(self, datasets: Sequence[str]) -> list[str]:
        """See HostPort."""
        return self._ask(datasets, HostPort.replay_logs, datasets)

    def write_markers(self, datasets: Sequence[str], text: str) -> list[str]:
        """See HostPort."""
        return self._ask(datasets, HostPort.write_markers, datasets, text)

    def read_markers(self, datasets: Sequence[str]) -> dict[str, str]:
        """See HostPort."""
        return self._ask(datasets, HostPort.read_markers, datasets)

    def observe_service(self, group: str, service: str) -> ServiceState:
        """See HostPort."""
        return self._ask_group(HostPort.observe_service, group, service)

    def start_service(self, group: str, service: str) -> ServiceOutcome:
        """See HostPort."""
        return self._ask_group(HostPort.start_service, group, service)

    def stop_service(self, group: str, service: str) -> ServiceOutcome:
        """See HostPort."""
        return self._ask_group(HostPort.stop_service, group, service)

    def observe_address(self, group: str) -> AddressView:
        """See HostPort."""
        return self._ask_group(HostPort.observe_address, group)

    def add_address(self, group: str) -> AddressView:
        """See HostPort."""
        return self._ask_group(HostPort.add_address, group)

    def announce_address(self, group: str) -> bool:
        """See HostPort."""
        return self._ask_group(HostPort.announce_address, group)

    def remove_address(self, group: str) -> AddressView:
        """See HostPort."""
        return self._ask_group(HostPort.remove_address, group)

    # --- DatasetPort ------------------------------------------------------------------------

    def observe_tree(self, root: str) -> list[TreeDataset]:
        """See DatasetPort."""
        return self._ask([root], DatasetPort.observe_tree, root)

    def observe_trees(self, roots: Sequence[str]) -> list[TreeDataset]:
        """See DatasetPort."""
        return self._ask(roots, DatasetPort.observe_trees, roots)

    def observe_histories(self, datasets: Sequence[str]) -> dict[str, History]:
        """See DatasetPort."""
        return self._ask(datasets, DatasetPort.observe_histories, datasets)

    def observe_written(self, since: Mapping[str, int]) -> dict[str, int | None]:
        """See DatasetPort."""
        return self._ask(list(since), DatasetPort.observe_written, since)

    def snapshot_tree(self, root: str, name: str) -> dict[str, int]:
        """See DatasetPort."""
        return self._ask([root], DatasetPort.snapshot_tree, root, name)

    def rename(self, dataset: str, guid: int, new: str) -> None:
        """See DatasetPort."""
        self._ask([dataset], DatasetPort.rename, dataset, guid, new)

    def clone(self, snapshot: str, guid: int, dataset: str) -> None:
        """See DatasetPort."""
        self._ask([dataset], DatasetPort.clone, snapshot, guid, dataset)

    def promote(self, dataset: str, guid: int) -> None:
        """See DatasetPort."""
        self._ask([dataset], DatasetPort.promote, dataset, guid)

    def copy_properties(self, source: str, dataset: str, guid: int) -> None:
        """See DatasetPort."""
        self._ask([dataset], DatasetPort.copy_properties, source, dataset, guid)

    def restore_properties(self, datasets: Mapping[str, int]) -> None:
        """See DatasetPort."""
        self._ask(list(datasets), DatasetPort.restore_properties, datasets)

    def set_gate(self, datasets: Mapping[str, int], values: Mapping[str, str]) -> None:
        """See DatasetPort."""
        self._ask(list(datasets), DatasetPort.set_gate, datasets, values)

    def mount(self, datasets: Mapping[str, int]) -> None:
        """See DatasetPort."""
        self._ask(list(datasets), DatasetPort.mount, datasets)

    def check_mountable(self, paths: Mapping[str, str]) -> None:
        """See DatasetPort."""
        self._ask(list(paths), DatasetPort.check_mountable, paths)

    def unmount(self, dataset: str, guid: int) -> None:
        """See DatasetPort."""
        self._ask([dataset], DatasetPort.unmount, dataset, guid)

    def load_key(self, dataset: str, guid: int) -> None:
        """See DatasetPort."""
        self._ask([dataset], DatasetPort.load_key, dataset, guid)

    def observe_receive_right(self, parent: str) -> bool:
        """See DatasetPort."""
        return self._ask([parent], DatasetPort.observe_receive_right, parent)

    def allow_receive(self, parent: str) -> None:
        """See DatasetPort."""
        self._ask([parent], DatasetPort.allow_receive, parent)

    def forbid_receive(self, parent: str) -> None:
        """See DatasetPort."""
        self._ask([parent], DatasetPort.forbid_receive, parent)

    def drop_rescue(self, dataset: str, guid: int) -> None:
        """See DatasetPort."""
        self._ask([dataset], DatasetPort.drop_rescue, dataset, guid)

    def _ask(
        self,
        names: Sequence[str],
        method: Callable[Concatenate[Any, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """`names`: at least one dataset or pool; all of one pool, or the worker refuses."""
        pool = pool_of(names[0]) if names else self._first
        client = self._clients.get(pool)
        return ask_worker(client, WorkerKind.HOST, pool, method, *args, **kwargs)

    def _ask_group(
        self, method: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return ask_worker(self._groups, WorkerKind.HOST, self._first, method, *args, **kwargs)
