"""What the nodes say to each other. docs/formats/peer-protocol.md is the specification.

One control connection carries Calls and Answers; each stream connection carries streams, one at a
time: Begin, chunks, End, answered by Committed. No message names a path, destroys, forces or sets
a property of ZFS: a source says its own dataset's name, the receiver alone decides where the
replica lives. What the nodes say about roles is in adapters/peer/role_messages.py.
"""

from dataclasses import dataclass, field

from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.receipt import Receipt
from zrepl_py.model.site import Manifest

PROTOCOL = 1
FEATURES = ("zstd", "fetch", "digest")
"""Of every node; `roles` comes with the configuration."""


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of each side, on every connection."""

    protocol: int
    version: str
    node: str
    """The node's uuid."""
    name: str
    zfs: str
    epoch: str
    boot: str
    """A nonce made when the daemon started: a changed one means the peer has forgotten. Empty of
    what is no daemon."""
    stream_flags: tuple[str, ...] = ("large_blocks", "compress")
    features: tuple[str, ...] = FEATURES
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Policy name → names of its target nodes, as configured on this side."""
    authority: str = "manual"


@dataclass(frozen=True, slots=True)
class LaneName:
    """How a source names a lane: uuid, and its own dataset's name (a label, never a path)."""

    lane: str
    dataset: str


@dataclass(frozen=True, slots=True)
class AskReplica:
    """Call: what do you have of this lane? Answered with a view."""

    lane: LaneName


@dataclass(frozen=True, slots=True)
class AskAbort:
    """Call: throw away your partial receive of `to_guid`, if that is what you have."""

    lane: LaneName
    to_guid: int


@dataclass(frozen=True, slots=True)
class AskHold:
    """Call: hold the snapshot `base_guid`, the last one that both sides have, and your newest; let
    go of the others."""

    lane: LaneName
    base_guid: int


@dataclass(frozen=True, slots=True)
class TellManifest:
    """Call: journal this; answered when it is durable."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class TellProperties:
    """Call: keep these beside the replica, and drop those that are not named."""

    lane: LaneName
    properties: dict[str, str]


@dataclass(frozen=True, slots=True)
class TellReceipt:
    """Call: look whether you have all of this; if so, journal it. Answered when it is durable."""

    receipt: Receipt


Call = AskReplica | AskAbort | AskHold | TellManifest | TellProperties | TellReceipt


@dataclass(frozen=True, slots=True)
class Answer:
    """A Call was carried out. `view` is there for AskReplica only."""

    view: ReplicaView | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """A stream follows. `from_guid` is 0 for a full one; `resumes` says it continues a partial."""

    lane: LaneName
    to_name: str
    to_guid: int
    from_guid: int
    raw: bool
    resumes: bool
    epoch: str
    estimate_bytes: int = 0
    parent: str = ""
    """uuid of the lane whose replica must already be there: that of the nearest dataset above this
    one that the source sends too. Empty: there is none, placeholders may be made."""


@dataclass(frozen=True, slots=True)
class End:
    """The stream is whole: what was sent, in bytes before compression on the wire."""

    to_guid: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The receiver has read back this guid from its pool, and journalled it."""

    guid: int
    createtxg: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the other side: a kind of zrepl_py.errors, its reason and sentences."""

    kind: str
    reason: str
    message: str
    remedy: str = ""
