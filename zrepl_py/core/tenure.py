"""Which holds and bookmarks of ours should exist? A sweep compares this with those that do.

Per target: a hold on the last common base (where it still is a snapshot), one on a snapshot whose
stream is under way, and one cursor bookmark at the base. Whatever else carries our names is a
leftover of a crash, or belongs to a target that is no longer configured.
"""

from dataclasses import dataclass

from zrepl_py.model.history import Bookmark, History, Snapshot
from zrepl_py.model.names import parse_cursor, parse_hold


@dataclass(frozen=True, slots=True)
class Tenure:
    """What one target needs of one dataset on its source."""

    base_guid: int | None
    in_flight_guid: int | None = None


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What can be taken away, because no target needs it."""

    holds: tuple[tuple[Snapshot, str], ...]
    """(snapshot, tag)"""
    bookmarks: tuple[Bookmark, ...]


def judge_leftovers(
    history: History, holds: dict[str, frozenset[str]], tenures: dict[str, Tenure]
) -> Leftovers:
    """`holds`: snapshot's name → tags; `tenures`: target (8 hex digits) → what it needs.

    A target that is not in `tenures` at all is left alone: unknown is unsafe (it may be another
    installation's, or a policy that could not be read). Foreign tags and bookmarks always are.
    """
    stale_holds = [
        (snapshot, tag)
        for snapshot in history.snapshots
        for tag in sorted(holds.get(snapshot.name, frozenset()))
        if (target := parse_hold(tag)) in tenures
        and snapshot.guid not in (tenures[target].base_guid, tenures[target].in_flight_guid)
    ]
    stale_marks = [
        bookmark
        for bookmark in history.bookmarks
        if (parsed := parse_cursor(bookmark.name)) is not None
        and parsed[0] in tenures
        and tenures[parsed[0]].base_guid is not None
        and bookmark.guid != tenures[parsed[0]].base_guid
    ]
    return Leftovers(tuple(stale_holds), tuple(stale_marks))
