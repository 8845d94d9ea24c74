"""What do the proofs made so far say of each copy? Read from their journal once, then kept up.

Nothing here makes a proof: the engine journals it first, and this only remembers and tells it.
"""

from collections.abc import Callable
from typing import Any

from zrepl_py.core.codec import decode
from zrepl_py.core.proof_judge import add_proof, last_proofs
from zrepl_py.daemon.proof_jobs import Job, names_of
from zrepl_py.events import Event
from zrepl_py.model.proof import LastProofs, Proof, Verdict
from zrepl_py.ports.journal import JournalPort

EVENTS = {
    Verdict.EQUAL: Event.COPY_PROVEN,
    Verdict.UNCOMPARABLE: Event.COPY_UNPROVEN,
    Verdict.DAMAGED: Event.COPY_DAMAGED,
    Verdict.DIFFERENT: Event.COPY_DAMAGED,
}
PATHS_TOLD = 100


class Evidence:
    """The last proofs of each lane's copy."""

    def __init__(self, journal: JournalPort, tell: Callable[..., None]) -> None:
        """`journal`: that of proofs."""
        self._tell = tell
        self._last = last_proofs(decode(Proof, r["proof"]) for r in journal.records("proof"))

    def last(self, lane: str) -> LastProofs:
        """What is known of a lane's copy."""
        return self._last.get(lane, LastProofs())

    def all(self) -> dict[str, LastProofs]:
        """Lane → what is known of its copy; lanes without any proof are not in it."""
        return self._last

    def add(self, job: Job, proof: Proof) -> None:
        """A proof that is journalled: remember it, and tell what came of it."""
        add_proof(self._last, proof)
        counted: dict[str, Any] = {
            "entries": proof.entries,
            "size_bytes": proof.size_bytes,
            "wrong": proof.wrong,
        }
        self._tell(
            EVENTS[proof.verdict],
            **names_of(job),
            snapshot=proof.subject.snapshot,
            verdict=str(proof.verdict),
            **counted,
            restore_seconds=proof.restore_seconds,
            paths=[d.path for d in proof.differences[:PATHS_TOLD]],
            message=proof.why,
        )
