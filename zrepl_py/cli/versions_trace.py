"""What was a file called before, and where is it now that its name is gone?

A file that was born before the snapshot in which its name first shows had another name there: it is
looked for by inode and birth. Where the file system says no birth, nothing is claimed.
"""

from dataclasses import dataclass

from zrepl_py.adapters.host.nametrace import trace
from zrepl_py.adapters.host.timeline import Looker, Timeline
from zrepl_py.cli.versions_find import MOST_ENTRIES, Seen
from zrepl_py.core.sights import Absent, Sight, Stand, Version, fold_versions

MOST_NAMES = 10
_SECOND_NS = 1_000_000_000
_MARGIN_NS = 2 * _SECOND_NS
"""Names of snapshots have whole seconds, and a txg takes its time."""

Components = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamedVersion:
    """A version, and what the file was called then."""

    inside: Components
    version: Version


@dataclass(frozen=True, slots=True)
class Life:
    """All that is known of a file."""

    versions: tuple[NamedVersion, ...]
    """Newest first; those under an earlier name last."""
    became: Components | None = None
    """Its name in the snapshot after the last one that has it under the name asked for."""
    gone_after: int | None = None
    """Index of the last snapshot that has the name, where a later one has it no more."""
    doubt: str = ""
    """What could not be told."""


def observe_life(seen: Seen, looker: Looker) -> Life:
    """The versions under the name asked for, and under those that the same file had before."""
    versions = [NamedVersion(seen.timeline.inside, v) for v in fold_versions(seen.timeline.sights)]
    if not versions:
        return Life(())
    became, gone_after, doubt = _follow(seen, versions[0].version)
    timeline, names = seen.timeline, {seen.timeline.inside}
    for _ in range(MOST_NAMES):
        earlier = _earlier(seen, timeline)
        if earlier is None:
            break
        stand, inside, before = earlier
        if inside is None or inside in names:
            doubt = doubt or ("" if inside else "It had another name before, which was not found.")
            break
        names.add(inside)
        whole = looker.observe(seen.subject.store, seen.catalog, inside)
        own = [_only(sight, stand) for sight in whole.sights[: before + 1]]
        timeline = Timeline(seen.subject.store, seen.catalog, inside, list(own))
        versions += [NamedVersion(inside, v) for v in fold_versions(own)]
    return Life(tuple(versions), became, gone_after, doubt)


def _only(sight: Sight | None, stand: Stand) -> Sight | None:
    """Another file that had the same name is no part of this one's life."""
    return sight if isinstance(sight, Stand) and sight.is_same_file(stand) else Absent()


def _earlier(seen: Seen, timeline: Timeline) -> tuple[Stand, Components | None, int] | None:
    """The newest file of this name: was it there before, under another one? (it, name, index)"""
    newest = fold_versions(timeline.sights)
    if not newest:
        return None
    stand = newest[0].stand
    mine = [
        i for i, sight in enumerate(timeline.sights)
        if isinstance(sight, Stand) and sight.is_same_file(stand)
    ]  # fmt: skip
    if not mine or mine[0] == 0:
        return None
    before = mine[0] - 1
    at = seen.catalog.snapshots[before].at
    if timeline.sights[before] is None or at is None:
        return None
    if stand.born_ns > at * _SECOND_NS - _MARGIN_NS:
        return None  # it was made since
    origin = seen.subject.store.origin(seen.catalog.snapshots[before].name)
    found = trace(origin, stand, timeline.inside[:-1], MOST_ENTRIES)
    if found.name is None and found.whole:
        return None  # it came back from nowhere: its clock was wrong
    return stand, found.name, before


def _follow(seen: Seen, newest: Version) -> tuple[Components | None, int | None, str]:
    """Where the file went that has the name no more."""
    after = newest.last + 1
    sights = seen.timeline.sights
    if after >= len(sights) or not isinstance(sights[after], Absent):
        return None, None, ""
    if not newest.stand.born_ns:
        return (
            None,
            newest.last,
            "A renamed file cannot be told from a deleted one here.",
        )
    origin = seen.subject.store.origin(seen.catalog.snapshots[after].name)
    found = trace(origin, newest.stand, seen.timeline.inside[:-1], MOST_ENTRIES)
    doubt = ""
    if found.name is None and not found.whole:
        doubt = "Whether it was renamed cannot be told: not every directory could be searched."
    return found.name, newest.last, doubt
