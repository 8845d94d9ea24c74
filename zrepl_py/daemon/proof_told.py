"""What did the sources say of the proofs of the copies that this node keeps for them?

A node's words about its own copies, under its proven uuid; nobody else is heard about them. They
are journalled beside this node's own proofs, so they outlive the source. Safe from several threads.
"""

import threading

from zrepl_py.core.codec import decode, encode
from zrepl_py.core.proof_judge import add_proof
from zrepl_py.model.proof import LastProofs, Proof
from zrepl_py.ports.journal import JournalPort


class ToldProofs:
    """The last proofs that each source told."""

    def __init__(self, journal: JournalPort) -> None:
        """`journal`: that of proofs."""
        self._journal, self._lock = journal, threading.Lock()
        self._last: dict[str, dict[str, LastProofs]] = {}
        for record in journal.records("told-proof"):
            add_proof(self._of(str(record["source"])), decode(Proof, record["proof"]))

    def add(self, source: str, proof: Proof) -> None:
        """One that `source` (its uuid) made. Errors: those of JournalPort."""
        self._journal.append("told-proof", {"source": source, "proof": encode(proof)})
        with self._lock:
            add_proof(self._of(source), proof)

    def last(self, source: str, lane: str) -> LastProofs:
        """What is known here of that copy."""
        with self._lock:
            return self._of(source).get(lane, LastProofs())

    def _of(self, source: str) -> dict[str, LastProofs]:
        return self._last.setdefault(source, {})
