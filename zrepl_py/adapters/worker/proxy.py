"""WorkerZfs: the daemon's ZfsPort, which asks the worker of the right pool.

Which question it answers: which worker does which verb? `receive` goes to the pool's receive
worker, everything else to its ZFS worker. `abort_receive` too: throwing a partial receive away
needs the `destroy` permission, and the user of the receive worker shall not have that.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.worker.client import Patience, Report, WorkerClient
from zrepl_py.adapters.worker.verbs import COUNTERS, VERBS, WorkerKind, pool_of
from zrepl_py.core.codec import decode, encode
from zrepl_py.errors import Bug, Standing
from zrepl_py.events import Event
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.observation import (
    Dataset,
    Dependents,
    DestroyOutcome,
    PoolView,
    ResumePoint,
    SnapshotOutcome,
)
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.journal import Json
from zrepl_py.ports.zfs import ZfsPort

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PoolSockets:
    """Where the workers of one pool listen. A pool that receives nothing has no `receive`."""

    zfs: str
    receive: str | None = None
    proof: str | None = None
    """Its verbs are those of ProofPort: adapters/worker/proofs.py."""
    host: str | None = None
    """Its verbs are those of HostPort and DatasetPort: adapters/worker/hosts.py."""


def _say_nothing(_event: Event, _fields: Mapping[str, Json]) -> None:
    return


class WorkerZfs:
    """ZfsPort over workers. Errors of every verb besides the port's: worker-gone, worker-stuck
    (Passing, outcome unknown), worker-missing (Standing: no worker for this pool)."""

    def __init__(
        self,
        pools: Mapping[str, PoolSockets],
        *,
        clock: ClockPort | None = None,
        patience: Patience | None = None,
        report: Report = _say_nothing,
    ) -> None:
        """`report` is called from the thread of the call, with Event.WORKER_STUCK."""
        clock, patience = clock or MachineClock(), patience or Patience()
        self._clients: dict[tuple[WorkerKind, str], WorkerClient] = {}
        for pool, sockets in pools.items():
            paths = {WorkerKind.ZFS: sockets.zfs, WorkerKind.RECEIVE: sockets.receive}
            for kind, path in paths.items():
                if path is not None:
                    self._clients[kind, pool] = WorkerClient(path, clock, patience, report)

    def close(self) -> None:
        """Give all connections up."""
        for client in self._clients.values():
            client.close()

    def hanging_calls(self) -> dict[str, int]:
        """Socket → calls given up that have still no answer; for `zr status`, never waits."""
        return {client.path: client.hanging_calls() for client in self._clients.values()}

    def observe_counters(self) -> dict[str, dict[str, int]]:
        """`{"zfs:tank": {"forks": 0, "call:hold": 3, …}, "receive:tank": …}`."""
        return {
            f"{kind}:{pool}": decode(dict[str, int], client.call(COUNTERS, {}))
            for (kind, pool), client in self._clients.items()
        }

    # --- the port ---------------------------------------------------------------------------

    def observe_versions(self) -> dict[str, str]:
        """See ZfsPort."""
        pools = sorted(pool for kind, pool in self._clients if kind is WorkerKind.ZFS)
        return self._ask(pools[0] if pools else "", ZfsPort.observe_versions)

    def observe_pool(self, pool: str) -> PoolView:
        """See ZfsPort."""
        return self._ask(pool, ZfsPort.observe_pool, pool)

    def observe_datasets(self, root: str) -> list[Dataset]:
        """See ZfsPort."""
        return self._ask(pool_of(root), ZfsPort.observe_datasets, root)

    def observe_history(self, dataset: str) -> History:
        """See ZfsPort."""
        return self._ask(pool_of(dataset), ZfsPort.observe_history, dataset)

    def observe_snapshot(self, snapshot: str) -> Snapshot | None:
        """See ZfsPort."""
        return self._ask(pool_of(snapshot), ZfsPort.observe_snapshot, snapshot)

    def observe_resume(self, dataset: str) -> ResumePoint | None:
        """See ZfsPort."""
        return self._ask(pool_of(dataset), ZfsPort.observe_resume, dataset)

    def observe_holds(self, snapshots: Sequence[str]) -> dict[str, frozenset[str]]:
        """See ZfsPort."""
        if not snapshots:
            return {}
        return self._ask(_one_pool(snapshots), ZfsPort.observe_holds, snapshots)

    def observe_dependents(self, snapshots: Sequence[str]) -> dict[str, Dependents]:
        """See ZfsPort."""
        if not snapshots:
            return {}
        return self._ask(_one_pool(snapshots), ZfsPort.observe_dependents, snapshots)

    def observe_properties(self, dataset: str) -> dict[str, str]:
        """See ZfsPort."""
        return self._ask(pool_of(dataset), ZfsPort.observe_properties, dataset)

    def observe_origin(self, dataset: str) -> str | None:
        """See ZfsPort."""
        return self._ask(pool_of(dataset), ZfsPort.observe_origin, dataset)

    def snapshot_changed(
        self, datasets: Mapping[str, str | None], name: str
    ) -> dict[str, SnapshotOutcome]:
        """See ZfsPort."""
        if not datasets:
            return {}
        return self._ask(_one_pool(datasets), ZfsPort.snapshot_changed, datasets, name)

    def hold(self, snapshots: Sequence[str], tag: str) -> None:
        """See ZfsPort."""
        if snapshots:
            self._ask(_one_pool(snapshots), ZfsPort.hold, snapshots, tag)

    def release(self, snapshots: Sequence[str], tag: str) -> None:
        """See ZfsPort."""
        if snapshots:
            self._ask(_one_pool(snapshots), ZfsPort.release, snapshots, tag)

    def bookmark(self, source: str, bookmark: str) -> None:
        """See ZfsPort."""
        self._ask(_one_pool((source, bookmark)), ZfsPort.bookmark, source, bookmark)

    def destroy_snapshots(self, snapshots: Mapping[str, int]) -> list[DestroyOutcome]:
        """See ZfsPort."""
        if not snapshots:
            return []
        return self._ask(_one_pool(snapshots), ZfsPort.destroy_snapshots, snapshots)

    def destroy_bookmarks(self, bookmarks: Mapping[str, int]) -> list[DestroyOutcome]:
        """See ZfsPort."""
        if not bookmarks:
            return []
        return self._ask(_one_pool(bookmarks), ZfsPort.destroy_bookmarks, bookmarks)

    def send(
        self, snapshot: str, base: str | None, *, raw: bool, fd: int, resume: tuple[int, int] | None
    ) -> None:
        """See ZfsPort."""
        pool = pool_of(snapshot)
        self._ask(pool, ZfsPort.send, snapshot, base, raw=raw, fd=fd, resume=resume)

    def receive(
        self,
        snapshot: str,
        *,
        fd: int,
        to_guid: int,
        from_guid: int,
        raw: bool,
        origin: str | None = None,
    ) -> None:
        """See ZfsPort."""
        self._ask(
            pool_of(snapshot),
            ZfsPort.receive,
            snapshot,
            fd=fd,
            to_guid=to_guid,
            from_guid=from_guid,
            raw=raw,
            origin=origin,
        )

    def abort_receive(self, dataset: str, to_guid: int) -> None:
        """See ZfsPort."""
        self._ask(pool_of(dataset), ZfsPort.abort_receive, dataset, to_guid)

    def create_placeholder(self, dataset: str) -> None:
        """See ZfsPort."""
        self._ask(pool_of(dataset), ZfsPort.create_placeholder, dataset)

    def set_user_properties(self, datasets: Sequence[str], values: Mapping[str, str]) -> None:
        """See ZfsPort."""
        if datasets:
            pool = pool_of(datasets[0])
            self._ask(pool, ZfsPort.set_user_properties, list(datasets), values)

    # --- how a verb is asked ----------------------------------------------------------------

    def _ask(
        self,
        pool: str,
        method: Callable[Concatenate[Any, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        kind = WorkerKind.RECEIVE if method.__name__ == "receive" else WorkerKind.ZFS
        return ask_worker(self._clients.get((kind, pool)), kind, pool, method, *args, **kwargs)


def ask_worker(
    client: WorkerClient | None,
    kind: WorkerKind,
    pool: str,
    method: Callable[Concatenate[Any, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Let a worker do one verb of its port. Without a `client` an `fd` is closed all the same.

    Errors: those of the verb, worker-gone, worker-stuck (Passing), worker-missing (Standing).
    """
    verb = VERBS[method.__name__]
    bound = verb.signature.bind(None, *args, **kwargs).arguments
    fd = bound.pop("fd", None)
    if client is None:
        if fd is not None:
            os.close(fd)
        raise Standing(
            "worker-missing",
            f"No {kind} worker is configured for the pool {pool!r}.",
            f"Name the pool in the configuration, and enable zr-{kind}@{pool}.service.",
        )
    sent = {parameter: encode(bound[parameter]) for parameter in verb.parameters}
    outcome: T = decode(verb.returns, client.call(verb.name, sent, fd))
    return outcome


def _one_pool(names: Iterable[str]) -> str:
    pools = {pool_of(name) for name in names}
    if len(pools) != 1:
        raise Bug("many-pools", f"One call names several pools: {', '.join(sorted(pools))}.")
    return pools.pop()
