"""The proof ports: reading copies whole, and restoring them for a moment, to prove them.

Contract:
- A reading changes nothing. It pins its snapshot by having it open, so nothing destroys it
  meanwhile; `let_go`, five minutes without a question, or the end of the process releases it.
- The same snapshot gives the same pages from the same position, on every node.
- A scratch dataset is `POOL/zr-restore-drills/zr-restore-…`, never mounted, and carries its mark.
  It is destroyed only where both its name and its mark are those that were asked for.
- Errors: Standing(key-missing) where the content is encrypted, its key is not loaded, and the form
  is not SEALED,
  Standing(snapshot-missing), Refused(not-scratch), Passing(busy, no-space), those of ZfsPort.
"""

from collections.abc import Callable
from typing import Protocol

from zrepl_py.model.proof import Form, Page, Position, Proof, ScratchOrder
from zrepl_py.model.wire import Committed


class ProofPort(Protocol):
    """What the proof worker of a pool does."""

    def read_page(
        self, snapshot: str, guid: int, after: Position, form: Form, acls: bool, listed: bool
    ) -> Page:
        """The next page of a snapshot (whole name) behind a position, read as `form`. `acls`: with
        access control lists, if the dataset shows any. `listed`: with its records."""

    def let_go(self, snapshot: str) -> None:
        """No reading of this snapshot stays open."""

    def observe_bytes(self, snapshot: str) -> int:
        """About how much content a snapshot has."""

    def observe_scratch_properties(self, dataset: str) -> dict[str, str]:
        """The properties that a scratch dataset must have to show the same: SCRATCH_PROPERTIES."""

    def observe_scratch(self, pool: str) -> dict[str, str]:
        """Every dataset in the scratch parent → its mark; an empty one where it has none."""

    def receive_scratch(self, pool: str, order: ScratchOrder, fd: int) -> None:
        """Receive the stream in the pipe `fd`, which is closed, into a new scratch dataset."""

    def destroy_scratch(self, dataset: str, mark: str) -> None:
        """Gone afterwards, with its snapshot; one that is gone already is no error."""


class FarPort(Protocol):
    """The target of a lane, as far as its copy is to be proven."""

    def read_far_page(
        self, lane: str, guid: int, after: Position, form: Form, acls: bool, listed: bool
    ) -> Page:
        """The target's page; see ProofPort.read_page. Errors: those of PeerPort, Refused(
        no-such-copy), Standing(peer-version) where the target is too old for this."""

    def tell_proof(self, proof: Proof) -> None:
        """The target knows from now on what came of this proof of its copy. Errors: as above."""

    def fetch(
        self,
        lane: str,
        guid: int,
        receive: Callable[[int], Committed],
        count: Callable[[int], None],
    ) -> Committed:
        """The whole stream of a snapshot, to `receive(fd)`, which closes `fd`; `count(bytes)` is
        told what came, and may raise. Returns after the commit."""
