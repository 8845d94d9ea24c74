"""What a node says when it asks for its own copies back. docs/formats/peer-protocol.md.

Only ever about replicas of the very node that asks, which its certificate proves. No message names
a path or a dataset of the other node: a copy is named by its lane, a snapshot by its guid.
"""

from dataclasses import dataclass, field

from zrepl_py.model.history import Snapshot
from zrepl_py.model.observation import Kind
from zrepl_py.model.proof import Form, Position, Proof


@dataclass(frozen=True, slots=True)
class CopyName:
    """A replica that the other node keeps of a dataset of the asking one."""

    lane: str
    dataset: str
    """The asking node's name of it, when it was sent last."""
    kind: Kind
    encrypted: bool
    properties: dict[str, str] = field(default_factory=dict)
    """The dataset's own, as they were sent beside the streams."""


@dataclass(frozen=True, slots=True)
class FetchCopies:
    """Which copies do you keep of me? Answered with Copies."""


@dataclass(frozen=True, slots=True)
class FetchVersions:
    """Which snapshots has the copy of this lane? Answered with Copies."""

    lane: str


@dataclass(frozen=True, slots=True)
class FetchStream:
    """Send me this snapshot, whole. Answered with a Begin; the roles are changed until the
    Committed."""

    lane: str
    guid: int


@dataclass(frozen=True, slots=True)
class FetchPage:
    """Read the next page of this snapshot, and tell me its digest. Answered with a Page."""

    lane: str
    guid: int
    after: Position
    form: Form
    acls: bool
    listed: bool


@dataclass(frozen=True, slots=True)
class TellProof:
    """What came of a proof of a copy that you keep for me. Answered with empty Copies."""

    proof: Proof
    """Without its differences, which have no bound that fits into a message."""


Fetch = FetchCopies | FetchVersions | FetchStream | FetchPage | TellProof


@dataclass(frozen=True, slots=True)
class Copies:
    """The answer to FetchCopies, FetchVersions and TellProof."""

    copies: tuple[CopyName, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    """Oldest first."""
