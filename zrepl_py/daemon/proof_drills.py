"""A drill's scratch dataset: what it is called, what it gets, how the copy comes into it."""

import uuid
from collections.abc import Callable

from zrepl_py.daemon.proof_jobs import Job
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.errors import Passing
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import SCRATCH_PREFIX
from zrepl_py.model.observation import PoolView
from zrepl_py.model.proof import ScratchOrder, Subject
from zrepl_py.model.wire import Committed
from zrepl_py.ports.proof import FarPort, ProofPort
from zrepl_py.ports.zfs import ZfsPort

KEPT_FREE_PERCENT = 10


def make_order(proof: ProofPort, subject: Subject) -> ScratchOrder:
    """A new one, with a mark that nobody else has. Errors: those of ProofPort."""
    mark = str(uuid.uuid4())
    pool = subject.dataset.partition("/")[0]
    plain = not (subject.raw or subject.volume)
    return ScratchOrder(
        f"{pool}/{SCRATCH_PREFIX}drills/{SCRATCH_PREFIX}{mark[:13]}",
        mark,
        subject.snapshot,
        subject.guid,
        subject.raw,
        subject.volume,
        proof.observe_scratch_properties(subject.dataset) if plain else {},
    )


def make_fetcher(
    job: Job,
    subject: Subject,
    snapshot: Snapshot,
    proof: ProofPort,
    stopping: Callable[[], bool],
) -> Callable[[ScratchOrder], Engine[int]]:
    """What brings the copy into the scratch dataset, and never fills the pool with it.

    Its errors: Passing(no-space, proof-stopped), those of FarPort.fetch and ProofPort.
    """
    pool = subject.dataset.partition("/")[0]

    def fetch(order: ScratchOrder) -> Engine[int]:
        view: PoolView = yield from ask(ZfsPort.observe_pool, pool)
        room = view.free_bytes - view.free_bytes * KEPT_FREE_PERCENT // 100

        def receive(fd: int) -> Committed:
            proof.receive_scratch(pool, order, fd)
            return Committed(snapshot.guid, snapshot.createtxg)

        def count(size_bytes: int) -> None:
            job.restored_bytes += size_bytes
            if job.restored_bytes > room:
                raise Passing(
                    "no-space",
                    f"The copy does not fit into {pool} for a drill: {room:,} bytes may be used.",
                    "Free some space, or set drill_every to never.",
                )
            if stopping() or job.stopped:
                raise Passing("proof-stopped", f"The drill of {job.dataset} was ended early.")

        yield from ask(FarPort.fetch, subject.lane, subject.guid, receive, count)
        return job.restored_bytes

    return fetch
