"""Which snapshots has a dataset, in order, with what identifies them?

One fork of `zfs list`, with the columns that ZFS gives fast; any user may ask. What is remembered
(adapters/host/catalogcache.py) need not be listed again: then ZFS is asked for the rest alone.
Where ZFS cannot be asked (a container that sees only the mount), the names below `.zfs/snapshot`
have to do: in the order of their ticks, without guids, so nothing of them is remembered.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from zrepl_py.adapters.host.catalogcache import CatalogCache, Listed, Shown
from zrepl_py.adapters.host.snapdir import observe_shown, observe_snapshot_names
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.adapters.zfs.shared import list_lines
from zrepl_py.errors import ZrError
from zrepl_py.model.names import parse_cursor, parse_tick

_UNASKABLE = frozenset(("module-missing", "no-rights", "pool-missing", "dataset-missing"))
_LIST = ("zfs", "list", "-Hp", "-o", "name,guid,createtxg", "-t")
MOST_ASKED = 100
"""To ask for more by name is not quicker than to list all."""
WORTH_SAVING = 20
"""So many that were asked for are remembered, so that the next look need not."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """All that a dataset has, oldest first."""

    snapshots: tuple[Listed, ...]
    cursors: tuple[tuple[str, int], ...] = ()
    """(target, guid): what that target (the first 8 hex digits of its uuid) has acknowledged."""


def observe_catalog(dataset: str, root: str | None, memory: CatalogCache) -> Catalog:
    """`root`: its `.zfs/snapshot`, None where it is not mounted. Errors: those of `zfs list`,
    snapshot-unreachable, no-rights."""
    shown = observe_shown(root) if root is not None else None
    try:
        if shown is not None and (catalog := _go_on(dataset, shown, memory)) is not None:
            return catalog
        catalog = parse_catalog(dataset, list_lines([*_LIST, "snapshot,bookmark", "-d1"], dataset))
    except ZrError as error:
        if root is None or error.reason not in _UNASKABLE:
            raise
        return Catalog(_in_order(observe_snapshot_names(root)))
    if shown is not None:
        memory.save(dataset, shown, catalog.snapshots)
    return catalog


def _go_on(dataset: str, shown: Shown, memory: CatalogCache) -> Catalog | None:
    """With what is remembered; None where that is too little, or too much changed meanwhile."""
    known = memory.load(dataset, shown)
    rest = shown.numbers.keys() - {snapshot.name for snapshot in known}
    if not known or len(rest) > MOST_ASKED:
        return None
    lines = list_lines([*_LIST, "bookmark", "-d1"], dataset)
    if rest:
        ended = run([*_LIST, "snapshot", "--", *(f"{dataset}@{name}" for name in sorted(rest))])
        if ended.code != 0:
            return None  # one of them is gone again
        lines += ended.out
    found = parse_catalog(dataset, lines)
    snapshots = tuple(sorted((*known, *found.snapshots), key=attrgetter("createtxg")))
    if sum(parse_tick(name) is not None for name in rest) >= WORTH_SAVING:
        memory.save(dataset, shown, snapshots)
    return Catalog(snapshots, found.cursors)


def parse_catalog(dataset: str, text: str) -> Catalog:
    """Lines `name guid createtxg` of snapshots and bookmarks."""
    snapshots, cursors = [], []
    for line in text.splitlines():
        whole, guid, createtxg = line.rsplit("\t", 2)
        if whole.startswith(f"{dataset}@"):
            snapshots.append(Listed(whole[len(dataset) + 1 :], int(guid), int(createtxg)))
        elif whole.startswith(f"{dataset}#"):
            cursor = parse_cursor(whole[len(dataset) + 1 :])
            if cursor is not None:
                cursors.append(cursor)
    return Catalog(tuple(sorted(snapshots, key=attrgetter("createtxg"))), tuple(cursors))


def _in_order(names: Iterable[str]) -> tuple[Listed, ...]:
    """Those of zr by their ticks; others have no order that is known, and are left out."""
    found = [(tick, name) for name in names if (tick := parse_tick(name)) is not None]
    found.sort(key=lambda pair: (pair[0].epoch.n, pair[0].seq, pair[0].at, pair[0].epoch.fork))
    return tuple(Listed(name, 0) for _, name in found)
