"""What was seen in a pool at one moment: datasets, holds, replicas. Plain values, no handles."""

from dataclasses import dataclass, field
from enum import StrEnum

from zrepl_py.model.history import EMPTY, History


class Kind(StrEnum):
    """What a dataset is."""

    FILESYSTEM = "filesystem"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A file system or volume, without its versions."""

    name: str
    guid: int
    kind: Kind
    encrypted: bool = False
    compressed: bool = True
    """False where `compression` is off: ZFS then sends its blocks as large as they are."""
    mounted: bool = False
    user_properties: dict[str, str] = field(default_factory=dict)
    """Those named `zr:*` whose source is `local`; inherited ones do not count."""


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool's vital signs."""

    name: str
    guid: int
    health: str
    """`ONLINE`, `DEGRADED`, `SUSPENDED`, … as `zpool list -o health` words it."""
    size_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a partial receive stopped; from `receive_resume_token`, validated."""

    to_guid: int
    from_guid: int
    """0 where the partial stream is a full one."""
    object: int
    offset: int
    bytes_received: int
    raw: bool


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """What a receiver says of one lane."""

    exists: bool
    history: History = EMPTY
    resume: ResumePoint | None = None
    held: frozenset[int] = frozenset()
    """guids of its snapshots that carry the receiver's hold for this source."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot was taken: what it is."""

    guid: int
    createtxg: int
    created_at: int


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing was written since the snapshot that was named as the last one: proven in the txg."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """It is nothing but a first receive that has not ended, anybody's: ZFS snapshots no such."""


SnapshotOutcome = Taken | Unchanged | Unfinished


@dataclass(frozen=True, slots=True)
class DestroyOutcome:
    """What became of one snapshot that should be destroyed."""

    name: str
    destroyed: bool
    cause: str = ""
    """Why not: `held`, `cloned`, `gone`, `other-guid`, `busy`; empty when destroyed."""


@dataclass(frozen=True, slots=True)
class Dependents:
    """What stands on one snapshot: while anything does, ZFS does not destroy it."""

    tags: frozenset[str] = frozenset()
    """Of its holds."""
    clones: frozenset[str] = frozenset()
    """Datasets that were made of it; `tank/a/%recv` is a partial receive that builds on it."""
    in_use: bool = False
    """It is mounted, or being sent. Not known, and False, where it is held, and where an ordinary
    user asks."""

    def __bool__(self) -> bool:
        return bool(self.tags or self.clones or self.in_use)
