"""A plan is data: it can be printed, stored, compared and simulated.

Each step is idempotent and says its post-condition. Snapshots are named by guid; names ride along
for people. What a plan assumes is checked again right before anything irreversible.
"""

from dataclasses import dataclass

from zrepl_py.model.history import Bookmark, Snapshot

Base = Snapshot | Bookmark


@dataclass(frozen=True, slots=True)
class SendFull:
    """After it: the target has committed `to`, and had nothing before."""

    to: Snapshot


@dataclass(frozen=True, slots=True)
class SendIncrement:
    """After it: the target, whose newest was `base`, has committed `to`."""

    base: Base
    to: Snapshot


@dataclass(frozen=True, slots=True)
class Resume:
    """After it: the target has committed `to`; continues a partial receive at (object, offset)."""

    base: Base | None
    to: Snapshot
    object: int
    offset: int


@dataclass(frozen=True, slots=True)
class AbortPartial:
    """After it: the target has no partial receive in this lane's replica, which is ours."""

    to_guid: int
    why: str


@dataclass(frozen=True, slots=True)
class Hold:
    """After it: the snapshot carries our hold for the target."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Release:
    """After it: the snapshot does not carry our hold for the target."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class SetCursor:
    """After it: exactly one cursor bookmark for the target exists, and it is of `base`."""

    base: Base


@dataclass(frozen=True, slots=True)
class HoldBase:
    """After it: on the target, `base` and the newest snapshot of zr's carry its hold for us, no
    other does. Only the source can tell which one is the base."""

    base: Snapshot


Step = SendFull | SendIncrement | Resume | AbortPartial | Hold | Release | SetCursor | HoldBase


@dataclass(frozen=True, slots=True)
class Skipped:
    """A snapshot that is not sent, and the rule that says so."""

    snapshot: Snapshot
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps for one lane, in order."""

    steps: tuple[Step, ...]
    why: str
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True)
class Diverged:
    """Both sides have versions that the other has not, after a last common one."""

    last_common: Snapshot
    source_only: tuple[Snapshot, ...]
    replica_only: tuple[Snapshot, ...]


@dataclass(frozen=True, slots=True)
class Unrelated:
    """Both sides have versions, none in common."""

    source_newest: Snapshot | None
    replica_newest: Snapshot


@dataclass(frozen=True, slots=True)
class TargetAhead:
    """The target has versions after the source's newest: a rollback, or a promotion."""

    last_common: Snapshot
    replica_only: tuple[Snapshot, ...]


@dataclass(frozen=True, slots=True)
class NothingToSend:
    """The source has no snapshot to send, and the target has none."""


@dataclass(frozen=True, slots=True)
class Covered:
    """Snapshots that zr did not take stand on an encrypted replica after the last common one:
    OpenZFS continues a raw replica at its very newest snapshot only."""

    last_common: Snapshot
    foreign: tuple[Snapshot, ...]


Conflict = Diverged | Unrelated | TargetAhead | Covered | NothingToSend
