"""On which nodes is a version safe, and how is that known? Pure.

"Safe" is said of a node only where it is known to have a snapshot with that very content: this
node sees it, the other one was asked and named the snapshot's guid, or the cursor proves that it
has committed just this snapshot and holds it. Whatever else may be there is not claimed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from zrepl_py.core.sights import Version


class Known(StrEnum):
    """How it is known what a node has."""

    HERE = "here"
    """It is this node."""
    ASKED = "asked"
    """It was asked just now."""
    ACKNOWLEDGED = "acknowledged"
    """Not asked: only the snapshot that it acknowledged last is known to be there."""
    SILENT = "silent"
    """It was asked, and did not answer."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A node that has snapshots of the dataset."""

    node: str
    known: Known
    dataset: str
    """The dataset's name there, as far as known; else the source's name of it."""
    guids: frozenset[int]
    """Of the snapshots that it is known to have."""
    trouble: str = ""
    """Why it could not be asked."""

    def has_which(self, guids: Sequence[int]) -> list[bool]:
        """For each of these snapshots, in order, whether it has it."""
        if self.known is Known.HERE:
            return [True] * len(guids)
        return [guid != 0 and guid in self.guids for guid in guids]


def find_safe(
    versions: Sequence[Version], guids: Sequence[int], holders: Sequence[Holder]
) -> list[tuple[str, ...]]:
    """For each version the names of the nodes on which it is known to be."""
    safe: list[list[str]] = [[] for _ in versions]
    for holder in holders:
        before = _count_before(holder.has_which(guids))
        for names, version in zip(safe, versions, strict=True):
            if any(before[last + 1] > before[first] for first, last in version.runs):
                names.append(holder.node)
    return [tuple(dict.fromkeys(names)) for names in safe]


def _count_before(has: Sequence[bool]) -> list[int]:
    counts = [0]
    for one in has:
        counts.append(counts[-1] + one)
    return counts
