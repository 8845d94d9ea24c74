"""What stood at one path in each snapshot, and which snapshots need a look to know it?

Snapshots are in order, oldest first; a sight is what a look into one of them showed. Every change
of a file sets its change time, which no program can choose. So where two looks show the same file
(inode and birth) with the same times and size, it had that content in every snapshot between them:
those need no look. Nothing else is concluded. A directory that could not be passed, or in which the
name was missing, tells the same of what it holds as long as its own change time stays.

Pure. Never calls two contents one where size or times differ. What it cannot tell apart: a file
that was written to twice within one tick of the kernel's clock (1 to 10 ms), in place, with a
snapshot just between; and directories on the way that were renamed away and back between two looks.
"""

import stat
from collections.abc import Sequence
from dataclasses import dataclass

Way = tuple[int, ...]
"""The deepest directory on the way that was seen: depth, inode, birth, change time; () is none."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Something stood there. Times are nanoseconds since 1970, by the clock of then."""

    inode: int
    born_ns: int
    """With the inode it tells a file from a later one of the same number; 0: not known."""
    size_bytes: int
    modified_ns: int
    changed_ns: int
    mode: int
    links: int = 1

    @property
    def is_directory(self) -> bool:
        """A directory's content is not in it: of two looks only the identity is compared."""
        return stat.S_ISDIR(self.mode)

    def is_same_file(self, other: "Stand") -> bool:
        """The same file, perhaps with another content."""
        return bool(self.born_ns) and (self.inode, self.born_ns) == (other.inode, other.born_ns)

    def is_same_version(self, other: "Stand") -> bool:
        """The same content, too: the rule of docs/reference/cli.md."""
        if self.is_directory:
            return other.is_directory and self.is_same_file(other)
        return (
            (self.inode, self.born_ns) == (other.inode, other.born_ns)
            and (self.size_bytes, self.modified_ns) == (other.size_bytes, other.modified_ns)
            and (self.changed_ns, self.mode) == (other.changed_ns, other.mode)
        )


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing stood there."""

    way: Way = ()


@dataclass(frozen=True, slots=True)
class Hidden:
    """It could not be seen: why (an error's reason), and the sentence."""

    reason: str
    message: str
    way: Way = ()


Sight = Stand | Absent | Hidden


@dataclass(frozen=True, slots=True)
class Version:
    """One content, and where it was seen. Indices are those of the snapshots, oldest first."""

    stand: Stand
    runs: tuple[tuple[int, int], ...]
    """(first, last) of each unbroken run of snapshots that have it."""

    @property
    def first(self) -> int:
        """The oldest snapshot that has it."""
        return self.runs[0][0]

    @property
    def last(self) -> int:
        """The newest one: the one to restore it from."""
        return self.runs[-1][1]

    @property
    def count(self) -> int:
        """How many have it."""
        return sum(last - first + 1 for first, last in self.runs)

    def is_in(self, first: int, last: int) -> bool:
        """Whether one of these snapshots has it."""
        return any(a <= last and first <= b for a, b in self.runs)


def plan_looks(sights: Sequence[Sight | None]) -> list[int]:
    """Which snapshots to look into next; empty when all is known. None: not known yet.

    The ends first, then the middles of the gaps, the widest gaps first.
    """
    telling = [i for i, sight in enumerate(sights) if not _tells_nothing(sight)]
    if not telling:
        return []
    ends = [i for i in sorted({telling[0], telling[-1]}) if sights[i] is None]
    if ends:
        return ends
    gaps = sorted(_gaps(sights), key=lambda gap: (gap[0] - gap[1], gap))
    unknown = [[i for i in range(a + 1, b) if sights[i] is None] for a, b in gaps]
    return [inner[(len(inner) - 1) // 2] for inner in unknown]


def conclude(sights: list[Sight | None]) -> None:
    """Fill in what follows from the looks made so far."""
    for before, after in _gaps(sights):
        sight = _between(sights[before], sights[after])
        if sight is None:
            continue
        for i in range(before + 1, after):
            if sights[i] is None:
                sights[i] = sight


def fold_versions(sights: Sequence[Sight | None]) -> tuple[Version, ...]:
    """Each content once, by its newest snapshot, newest first."""
    found: list[tuple[Stand, list[tuple[int, int]]]] = []
    by_key: dict[tuple[int, int, int], list[int]] = {}
    before: int | None = None
    for i, sight in enumerate(sights):
        if not isinstance(sight, Stand):
            before = None
            continue
        if before is not None and found[before][0].is_same_version(sight):
            runs = found[before][1]
            runs[-1] = (runs[-1][0], i)
            continue
        key = (sight.inode, sight.born_ns, 0 if sight.is_directory else sight.changed_ns)
        same = [n for n in by_key.get(key, []) if found[n][0].is_same_version(sight)]
        if same:
            before = same[0]
            found[before][1].append((i, i))
        else:
            before = len(found)
            by_key.setdefault(key, []).append(before)
            found.append((sight, [(i, i)]))
    versions = [Version(stand, tuple(runs)) for stand, runs in found]
    return tuple(sorted(versions, key=lambda v: v.last, reverse=True))


def _gaps(sights: Sequence[Sight | None]) -> list[tuple[int, int]]:
    """Neighbours among the looks that tell something, with unknown ones between them."""
    gaps: list[tuple[int, int]] = []
    before: int | None = None
    open_gap = False
    for i, sight in enumerate(sights):
        if sight is None:
            open_gap = True
        elif not _tells_nothing(sight):
            if before is not None and open_gap:
                gaps.append((before, i))
            before, open_gap = i, False
    return gaps


def _tells_nothing(sight: Sight | None) -> bool:
    """A snapshot that is gone or damaged: what is between its neighbours does not depend on it."""
    return isinstance(sight, Hidden) and not sight.way


def _between(before: Sight | None, after: Sight | None) -> Sight | None:
    """What must have stood there all the time between two looks, or None."""
    if isinstance(before, Stand) and isinstance(after, Stand):
        same = before.is_same_file(after) and before.is_same_version(after)
        return before if same else None
    if isinstance(before, Absent) and isinstance(after, Absent):
        return before if before.way and before.way == after.way else None
    if isinstance(before, Hidden) and isinstance(after, Hidden):
        same = before.reason == after.reason and bool(before.way) and before.way == after.way
        return before if same else None
    return None
