"""One dataset's versions. Which question it answers: what exists, in which order?

Identity is the guid (the same on both nodes), order is the createtxg (each pool's own); the name
is for people. A History cannot be built out of order or with a guid twice among its snapshots.
"""

from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter, ge

from zrepl_py.errors import Bug

_createtxg, _guid = attrgetter("createtxg"), attrgetter("guid")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot. `name` is the part after the @."""

    guid: int
    createtxg: int
    name: str
    created_at: int
    """The pool's `creation` property: seconds since 1970, by the clock of the node at the time."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A bookmark. `guid` and `createtxg` are those of the snapshot it was made of."""

    guid: int
    createtxg: int
    name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class History:
    """Snapshots and bookmarks of one dataset, each oldest first."""

    snapshots: tuple[Snapshot, ...] = ()
    bookmarks: tuple[Bookmark, ...] = ()

    def __post_init__(self) -> None:
        txgs = list(map(_createtxg, self.snapshots))
        if any(map(ge, txgs, txgs[1:])):
            raise Bug("history-order", "Snapshots of a history are not in order of createtxg.")
        if len(set(map(_guid, self.snapshots))) != len(txgs):
            raise Bug("history-guid", "A guid appears twice in a history.")

    def with_snapshots(self, snapshots: tuple[Snapshot, ...]) -> "History":
        """With these instead, oldest first."""
        return History(snapshots, self.bookmarks)

    @property
    def newest(self) -> Snapshot | None:
        """The newest snapshot by createtxg, or None."""
        return self.snapshots[-1] if self.snapshots else None

    def since(self, createtxg: int) -> tuple[Snapshot, ...]:
        """The snapshots that are newer than that."""
        return self.snapshots[bisect_right(self.snapshots, createtxg, key=_createtxg) :]

    def snapshot(self, guid: int) -> Snapshot | None:
        """The snapshot with this guid, or None."""
        for snapshot in reversed(self.snapshots):  # mostly one of the newest is meant
            if snapshot.guid == guid:
                return snapshot
        return None

    def bookmark(self, guid: int) -> Bookmark | None:
        """The first bookmark with this guid, or None."""
        return next((b for b in self.bookmarks if b.guid == guid), None)

    def version(self, guid: int) -> Snapshot | Bookmark | None:
        """What an increment can start from: the snapshot with this guid, else a bookmark."""
        return self.snapshot(guid) or self.bookmark(guid)


def history_of(snapshots: list[Snapshot], bookmarks: list[Bookmark] | None = None) -> History:
    """A History from versions in any order."""
    return History(
        tuple(sorted(snapshots, key=lambda s: s.createtxg)),
        tuple(sorted(bookmarks or [], key=lambda b: (b.createtxg, b.name))),
    )


EMPTY = History()
