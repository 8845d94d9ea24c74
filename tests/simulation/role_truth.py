"""What is true in a story of roles: who wrote what, where, and what was promised of it.

Every write is a file of its own that is never overwritten, so that a version's contents are the
numbers of the writes that are in it.
"""

from dataclasses import dataclass, field

from zrepl_py.testing.model_zfs_state import Files, ModelPools


@dataclass(frozen=True, slots=True)
class Write:
    """One write() that returned."""

    number: int
    member: str
    node: str
    at: float


@dataclass
class RoleTruth:
    """The story's own book."""

    writes: list[Write] = field(default_factory=list)
    receipts: dict[str, frozenset[int]] = field(default_factory=dict)
    """id → the writes that came before it was asked for."""
    accepted: set[int] = field(default_factory=set)
    """What a person has accepted to lose: not in the tick that was promoted."""
    aside: set[str] = field(default_factory=set)
    """Receipts that a person has accepted to find in a rescue only."""

    def wrote(self, member: str, node: str, at: float) -> Write:
        """The next one."""
        write = Write(len(self.writes) + 1, member, node, at)
        self.writes.append(write)
        return write


def path_of(number: int) -> str:
    """The file of a write."""
    return f"w{number}"


def numbers_in(files: Files) -> set[int]:
    """The writes that a version contains."""
    return {int(path[1:]) for path in files if path[0] == "w"}


def numbers_kept(pools: ModelPools) -> set[int]:
    """Every write that is anywhere on these disks: live, in a snapshot, in a rescue."""
    found: set[int] = set()
    for pool in pools.pools.values():
        for dataset in pool.datasets.values():
            found |= numbers_in(dataset.files)
            for version in dataset.snapshots:
                found |= numbers_in(version.files)
    return found
