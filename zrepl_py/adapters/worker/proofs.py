"""WorkerProof: the daemon's ProofPort, which asks the proof worker of the right pool."""

from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from zrepl_py.adapters.worker.client import Patience, Report, WorkerClient
from zrepl_py.adapters.worker.proxy import ask_worker
from zrepl_py.adapters.worker.verbs import WorkerKind, pool_of
from zrepl_py.model.proof import Form, Page, Position, ScratchOrder
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.proof import ProofPort

P = ParamSpec("P")
T = TypeVar("T")
PATIENCE = Patience(call_seconds=100.0, simultaneous_calls=8)
"""A page of a very slow disk takes its time; the peer waits for one no longer than this."""


class WorkerProof:
    """ProofPort over workers. Errors of every verb besides the port's: worker-gone, worker-stuck
    (Passing), worker-missing (Standing)."""

    def __init__(self, sockets: Mapping[str, str], clock: ClockPort, report: Report) -> None:
        """`sockets`: pool → the socket of its proof worker."""
        self._clients = {
            pool: WorkerClient(path, clock, PATIENCE, report) for pool, path in sockets.items()
        }

    def close(self) -> None:
        """Give all connections up."""
        for client in self._clients.values():
            client.close()

    def read_page(
        self, snapshot: str, guid: int, after: Position, form: Form, acls: bool, listed: bool
    ) -> Page:
        """See ProofPort."""
        verb = ProofPort.read_page
        return self._ask(pool_of(snapshot), verb, snapshot, guid, after, form, acls, listed)

    def let_go(self, snapshot: str) -> None:
        """See ProofPort."""
        self._ask(pool_of(snapshot), ProofPort.let_go, snapshot)

    def observe_bytes(self, snapshot: str) -> int:
        """See ProofPort."""
        return self._ask(pool_of(snapshot), ProofPort.observe_bytes, snapshot)

    def observe_scratch_properties(self, dataset: str) -> dict[str, str]:
        """See ProofPort."""
        return self._ask(pool_of(dataset), ProofPort.observe_scratch_properties, dataset)

    def observe_scratch(self, pool: str) -> dict[str, str]:
        """See ProofPort."""
        return self._ask(pool, ProofPort.observe_scratch, pool)

    def receive_scratch(self, pool: str, order: ScratchOrder, fd: int) -> None:
        """See ProofPort."""
        self._ask(pool, ProofPort.receive_scratch, pool, order, fd)

    def destroy_scratch(self, dataset: str, mark: str) -> None:
        """See ProofPort."""
        self._ask(pool_of(dataset), ProofPort.destroy_scratch, dataset, mark)

    def _ask(
        self,
        pool: str,
        method: Callable[Concatenate[Any, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        kind = WorkerKind.PROOF
        return ask_worker(self._clients.get(pool), kind, pool, method, *args, **kwargs)
