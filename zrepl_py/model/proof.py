"""What is known of a copy's content: positions in a reading, pages of it, and the evidence that
comes of it. docs/formats/digest.md and docs/formats/proofs.md are the specifications.

Paths are in the digest's own form: bytes other than printable ASCII, and `%`, as `%XX`; so every
value here is plain ASCII and can cross a wire or stand in a journal, whatever a file is called.
"""

from dataclasses import dataclass, field
from enum import StrEnum

FORMAT = 1
PIECE_BYTES = 4 << 20
"""A file's content has a digest for each piece of so many bytes."""
PAGE_BYTES = 16 << 20
PAGE_RECORDS = 512
PAGE_TEXT_BYTES = 1 << 20
"""A page ends behind the record with which it has at least one of these."""
ROOT = "."
NO_CHAIN = "0" * 64


@dataclass(frozen=True, slots=True)
class Position:
    """Between two records of a reading."""

    path: str = ROOT
    done: int = 0
    """Records of this path that are behind: 1 is its entry, each further one a piece."""
    chain: str = NO_CHAIN
    """The digest of everything before, 64 hex digits."""


START = Position()


@dataclass(frozen=True, slots=True)
class Page:
    """The next records of a reading, counted; `records` only where they were asked for."""

    next: Position
    ended: bool
    entries: int
    size_bytes: int
    """Content that was read."""
    unreadable: int
    acls: bool
    """Whether access control lists are in it."""
    records: tuple[str, ...] = ()


class Side(StrEnum):
    """Of a comparison."""

    SOURCE = "source"
    TARGET = "target"


class Wrong(StrEnum):
    """What is wrong with one path."""

    UNREADABLE = "unreadable"
    """It cannot be read on that side: the pool is damaged there."""
    DIFFERS = "differs"
    MISSING = "missing"
    """It is not on that side, but on the other."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One path that is not the same on both sides."""

    path: str
    wrong: Wrong
    side: Side | None = None
    """Of `unreadable` and `missing`."""
    what: str = ""
    """`content`, names of attributes, or the error's name."""
    offset: int | None = None
    """Where the first bad piece of its content begins."""


class Way(StrEnum):
    """How a copy was proven."""

    VERIFY = "verify"
    """Read where it is, and compared by digests."""
    DRILL = "drill"
    """Restored into a scratch dataset on the source, and compared there."""


class Form(StrEnum):
    """What of a snapshot is read, and told in records. docs/formats/digest.md"""

    TREE = "tree"
    """Paths, attributes and contents of a file system."""
    VOLUME = "volume"
    """The bytes of a volume."""
    SEALED = "sealed"
    """Objects and blocks as they are stored, encrypted; no key is needed."""


class Verdict(StrEnum):
    """What came of it."""

    EQUAL = "equal"
    DAMAGED = "damaged"
    """Something cannot be read, on either side."""
    DIFFERENT = "different"
    """All can be read, and something is not the same."""
    UNCOMPARABLE = "uncomparable"
    """Its content cannot be read, because it is encrypted and its key is not there. Not proven."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How much of a snapshot was compared so far."""

    entries: int = 0
    size_bytes: int = 0
    wrong: int = 0
    """Paths; more than `differences` may hold."""
    acls: bool = True
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """One copy, and the snapshot by which it is looked at."""

    lane: str
    dataset: str
    target: str
    """The target's name."""
    snapshot: str
    guid: int
    volume: bool = False
    raw: bool = False
    """It is sent encrypted, as it is stored."""

    @property
    def form(self) -> Form:
        """How both sides are read: what was sent without a key is compared without one."""
        if self.raw:
            return Form.SEALED
        return Form.VOLUME if self.volume else Form.TREE


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a comparison came: what the next run goes on with."""

    subject: Subject
    way: Way
    began_at: int
    at: Position = START
    tally: Tally = Tally()


@dataclass(frozen=True, slots=True)
class Proof:
    """The evidence: journalled, durable, never changed."""

    format: int
    way: Way
    verdict: Verdict
    subject: Subject
    began_at: int
    ended_at: int
    entries: int
    size_bytes: int
    digest: str = ""
    """Of the whole content; only where both sides are equal."""
    restore_seconds: float | None = None
    """A drill's: from asking the target until the dataset was there. The measured RTO."""
    stream_bytes: int | None = None
    wrong: int = 0
    differences: tuple[Difference, ...] = ()
    left_out: tuple[str, ...] = ()
    """What was not compared: `acls`."""
    why: str = ""
    """A sentence, where it is not equal."""


@dataclass(frozen=True, slots=True)
class LastProofs:
    """What is known of one lane's copy."""

    verified: Proof | None = None
    drilled: Proof | None = None


@dataclass(frozen=True, slots=True)
class ScratchOrder:
    """A dataset that lives for one drill only."""

    dataset: str
    mark: str
    snapshot: str
    """The name after the @ that it gets."""
    guid: int
    raw: bool
    volume: bool
    properties: dict[str, str] = field(default_factory=dict)
    """Of SCRATCH_PROPERTIES only."""


SCRATCH_PROPERTIES = {
    "acltype": ("off", "posix"),
    "xattr": ("off", "on", "sa", "dir"),
    "compression": ("off", "on", "lz4", "zstd"),
    "recordsize": tuple(str(512 << n) for n in range(16)),
}
"""What a scratch dataset may be given: property → values."""
