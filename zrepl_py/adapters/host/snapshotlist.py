"""Which snapshots has a dataset, in order, with what identifies them?

One fork of `zfs list`, with the columns that ZFS gives fast; any user may ask. Where ZFS cannot be
asked (a container that sees only the mount), the names below `.zfs/snapshot` have to do: in the
order of their ticks, without guids, so nothing of them is remembered. Reads only.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from zrepl_py.adapters.host.snapdir import observe_snapshot_names
from zrepl_py.adapters.zfs.shared import list_lines
from zrepl_py.errors import ZrError
from zrepl_py.model.names import parse_cursor, parse_tick

_UNASKABLE = frozenset(("module-missing", "no-rights", "pool-missing", "dataset-missing"))


@dataclass(frozen=True, slots=True)
class Listed:
    """One snapshot."""

    name: str
    """The part after the @."""
    guid: int
    """0: not known."""

    @property
    def at(self) -> int | None:
        """When it was taken, by its name; None where zr did not make it."""
        tick = parse_tick(self.name)  # only now: of ten thousand, few are shown
        return tick.at if tick else None


@dataclass(frozen=True, slots=True)
class Catalog:
    """All that a dataset has, oldest first."""

    snapshots: tuple[Listed, ...]
    cursors: tuple[tuple[str, int], ...] = ()
    """(target, guid): what that target (the first 8 hex digits of its uuid) has acknowledged."""


def observe_catalog(dataset: str, root: str | None) -> Catalog:
    """`root`: its `.zfs/snapshot`, None where it is not mounted. Errors: those of `zfs list`,
    snapshot-unreachable, no-rights."""
    argv = ["zfs", "list", "-Hp", "-d", "1", "-t", "snapshot,bookmark", "-o", "name,guid"]
    try:
        text = list_lines([*argv, "-s", "createtxg"], dataset)
    except ZrError as error:
        if root is None or error.reason not in _UNASKABLE:
            raise
        return Catalog(_in_order(observe_snapshot_names(root)))
    return parse_catalog(dataset, text)


def parse_catalog(dataset: str, text: str) -> Catalog:
    """Lines `name guid` of snapshots and bookmarks, by createtxg."""
    snapshots, cursors = [], []
    for line in text.splitlines():
        whole, _, guid = line.rpartition("\t")
        if whole.startswith(f"{dataset}@"):
            snapshots.append(Listed(whole[len(dataset) + 1 :], int(guid)))
        elif whole.startswith(f"{dataset}#"):
            cursor = parse_cursor(whole[len(dataset) + 1 :])
            if cursor is not None:
                cursors.append(cursor)
    return Catalog(tuple(snapshots), tuple(cursors))


def _in_order(names: Iterable[str]) -> tuple[Listed, ...]:
    """Those of zr by their ticks; others have no order that is known, and are left out."""
    found = [(tick, name) for name in names if (tick := parse_tick(name)) is not None]
    found.sort(key=lambda pair: (pair[0].epoch.n, pair[0].seq, pair[0].at, pair[0].epoch.fork))
    return tuple(Listed(name, 0) for _, name in found)
