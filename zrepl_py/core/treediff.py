"""What became of the entries of a tree between two looks: added, removed, modified, renamed? Pure.

The rule is that of core/sights.py: the same file with the same size and times was not written to.
A file that another one replaced is modified, whatever is in it. An entry that is gone under one
name and there under another, with the same inode and birth, was renamed; what moved along with its
directory is not told again.
"""

import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

Components = tuple[str, ...]


class Change(StrEnum):
    """What happened to an entry."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at a path. Times are nanoseconds since 1970; born 0: not known."""

    inode: int
    born_ns: int
    size_bytes: int
    modified_ns: int
    changed_ns: int
    mode: int
    owner: tuple[int, int]

    @property
    def is_directory(self) -> bool:
        """Its content is entries of their own."""
        return stat.S_ISDIR(self.mode)

    def is_same_file(self, other: "Entry") -> bool:
        """The same file, perhaps changed."""
        return (self.inode, self.born_ns) == (other.inode, other.born_ns)


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry that is not as it was."""

    change: Change
    path: Components
    """Where it is now; of what was removed, where it was."""
    old_path: Components
    """Where it was."""
    old: Entry | None
    new: Entry | None
    what: str = ""
    """`content` or `attributes`; of a renamed one also empty."""

    @property
    def is_directory(self) -> bool:
        """Of what stands there now, or stood there."""
        entry = self.new or self.old
        return entry is not None and entry.is_directory


def judge_pair(old: Entry, new: Entry) -> str:
    """`content`, `attributes`, or empty where nothing changed."""
    rights = (old.mode, old.owner) != (new.mode, new.owner)
    if old.is_directory and new.is_directory:
        return "attributes" if rights else ""
    size_and_time = (old.size_bytes, old.modified_ns) != (new.size_bytes, new.modified_ns)
    if size_and_time or not old.is_same_file(new):
        return "content"
    return "attributes" if rights or old.changed_ns != new.changed_ns else ""


def find_differences(
    pairs: Iterable[tuple[Components, Entry, Entry]],
    removed: Mapping[Components, Entry],
    added: Mapping[Components, Entry],
) -> list[Difference]:
    """By path. `pairs`: what has the same path in both and may have changed; `removed`, `added`:
    everything that stands in one of them only, whole directories included."""
    found = [
        Difference(Change.MODIFIED, path, path, old, new, what)
        for path, old, new in pairs
        if (what := judge_pair(old, new))
    ]
    gone = {(e.inode, e.born_ns): path for path, e in removed.items() if e.born_ns}
    renamed: dict[Components, Components] = {}
    for path in sorted(added):
        entry = added[path]
        before = gone.pop((entry.inode, entry.born_ns), None) if entry.born_ns else None
        if before is not None and stat.S_IFMT(removed[before].mode) == stat.S_IFMT(entry.mode):
            renamed[path] = before
        else:
            found.append(Difference(Change.ADDED, path, path, None, entry))
    moved = set(renamed.values())
    found += [
        Difference(Change.REMOVED, path, path, entry, None)
        for path, entry in removed.items()
        if path not in moved
    ]
    found += _judge_renamed(renamed, removed, added)
    return sorted(found, key=lambda d: (d.path, d.change))


def _judge_renamed(
    renamed: Mapping[Components, Components],
    removed: Mapping[Components, Entry],
    added: Mapping[Components, Entry],
) -> Iterator[Difference]:
    for path, before in renamed.items():
        old, new = removed[before], added[path]
        what = _judge_content(old, new)
        along = path[-1] == before[-1] and renamed.get(path[:-1]) == before[:-1]
        if along and not what:
            continue
        change = Change.MODIFIED if along else Change.RENAMED
        yield Difference(change, path, before, old, new, what)


def _judge_content(old: Entry, new: Entry) -> str:
    """As judge_pair, but for the change time, which a rename sets."""
    what = judge_pair(old, new)
    rights = (old.mode, old.owner) != (new.mode, new.owner)
    return "" if what == "attributes" and not rights else what
