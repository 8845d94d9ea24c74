"""The copies that this node keeps of others, as far as those may have them back.

Called by the peer server, from several threads. `source` is the node uuid that the connection
proved: nothing of any other node is ever seen, let alone sent. Changes no dataset; never waits for
a lane that is being received, and never ends one.
"""

from typing import Protocol

from zrepl_py.model.fetch import CopyName
from zrepl_py.model.history import Snapshot
from zrepl_py.model.proof import Form, Page, Position, Proof


class CopyPort(Protocol):
    """What a node may ask back."""

    def observe_copies(self, source: str) -> tuple[CopyName, ...]:
        """The replicas of that node. Errors: Refused(not-a-target)."""

    def observe_versions(self, source: str, lane: str) -> tuple[Snapshot, ...]:
        """The snapshots of one of them, oldest first. Errors: Refused(no-such-copy)."""

    def find_version(self, source: str, lane: str, guid: int) -> tuple[CopyName, Snapshot]:
        """One of them. Errors: Refused(no-such-copy), Standing(snapshot-missing)."""

    def read_page(
        self,
        source: str,
        lane: str,
        guid: int,
        after: Position,
        form: Form,
        *,
        acls: bool,
        listed: bool,
    ) -> Page:
        """The next page of a snapshot's content; see ProofPort.read_page, and its errors, and
        those of find_version."""

    def store_proof(self, source: str, proof: Proof) -> None:
        """What came of a proof that the source made; journalled. Errors: Refused(not-a-target),
        those of JournalPort."""

    def send_version(self, source: str, lane: str, guid: int, fd: int) -> None:
        """Write its whole stream into the pipe `fd`, and close that. Errors: those of
        ZfsPort.send and find_version."""
