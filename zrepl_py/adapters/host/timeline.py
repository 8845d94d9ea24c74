"""What stood at a path in all snapshots of a dataset: cached, concluded, or looked at.

As root each snapshot is mounted for this process alone and let go at once; nothing stays mounted.
An ordinary user's looks go through `.zfs/snapshot`, where the kernel mounts each and keeps it for
some minutes: so they are counted. What was found is remembered, also when this is interrupted.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from zrepl_py.adapters.host.catalogcache import CatalogCache
from zrepl_py.adapters.host.looking import look
from zrepl_py.adapters.host.privatemount import MountedSnapshot, ensure_own_namespace
from zrepl_py.adapters.host.sightcache import SightCache
from zrepl_py.adapters.host.snapdir import Origin, SnapshotDirectory, snapshot_root
from zrepl_py.adapters.host.snapshotlist import Catalog, observe_catalog
from zrepl_py.core.sights import Hidden, Sight, conclude, plan_looks

_THREADS = 4
_CLOSED = frozenset(("no-rights", "key-missing"))
"""Why no look into a dataset will do, whichever the snapshot."""
DEVICE = "/dev/zfs"


@dataclass(frozen=True, slots=True)
class Store:
    """A dataset of this machine whose snapshots can be looked into."""

    dataset: str
    """Its name here."""
    mountpoint: str | None
    """Where it is mounted; None for a replica."""

    def catalog(self, memory: CatalogCache) -> Catalog:
        """Its snapshots. Errors: those of observe_catalog."""
        root = None if self.mountpoint is None else snapshot_root(self.mountpoint)
        return observe_catalog(self.dataset, root, memory)

    def origin(self, snapshot: str) -> Origin:
        """The way into one of them."""
        if self.mountpoint is None or can_mount():
            return MountedSnapshot(self.dataset, snapshot)
        return SnapshotDirectory(snapshot_root(self.mountpoint), snapshot)


def can_mount() -> bool:
    """Whether this process may mount snapshots for itself."""
    return os.geteuid() == 0 and os.path.exists(DEVICE)


@dataclass
class Timeline:
    """One path through the snapshots of one store."""

    store: Store
    catalog: Catalog
    inside: tuple[str, ...]
    sights: list[Sight | None] = field(default_factory=list)
    looked: int = 0
    """How many snapshots were looked into this time."""

    @property
    def unknown(self) -> int:
        """How many need a look that was not allowed any more."""
        return sum(sight is None for sight in self.sights)


def _closed(sights: Sequence[Sight | None]) -> Hidden | None:
    """What stands before the whole dataset, where nothing at all was seen of it so far."""
    seen = [sight for sight in sights if sight is not None]
    first = seen[0] if seen else None
    if not isinstance(first, Hidden) or first.way or first.reason not in _CLOSED:
        return None
    alike = all(isinstance(s, Hidden) and s.reason == first.reason and not s.way for s in seen)
    return first if alike else None


@dataclass
class Looker:
    """Looks, as often as it may, and remembers."""

    cache: SightCache
    most: int
    """So many snapshots at most, together."""
    progress: Callable[[int], None] = lambda _: None
    """Told how many looks were made, all together."""
    lists: CatalogCache = field(default_factory=lambda: CatalogCache(None))
    looked: int = 0
    _catalogs: dict[str, Catalog] = field(default_factory=dict)

    def catalog(self, store: Store) -> Catalog:
        """Its snapshots, listed once. Errors: those of observe_catalog."""
        if store.dataset not in self._catalogs:
            self._catalogs[store.dataset] = store.catalog(self.lists)
        return self._catalogs[store.dataset]

    def observe(self, store: Store, catalog: Catalog, inside: Sequence[str]) -> Timeline:
        """What stood at `inside`; what is not known when no look is left stays None."""
        timeline = Timeline(store, catalog, tuple(inside))
        known = self.cache.load(store.dataset, inside)
        timeline.sights = [known.get(s.guid) if s.guid else None for s in catalog.snapshots]
        if can_mount() and catalog.snapshots:
            ensure_own_namespace()
        try:
            self._look(timeline)
        finally:
            if timeline.looked:
                guids = [s.guid for s in catalog.snapshots]
                seen = dict(zip(guids, timeline.sights, strict=True))
                self.cache.save(store.dataset, inside, seen)
        return timeline

    def _look(self, timeline: Timeline) -> None:
        names = [s.name for s in timeline.catalog.snapshots]

        def see(index: int) -> Sight:
            return look(timeline.store.origin(names[index]), timeline.inside)

        with ThreadPoolExecutor(_THREADS) as threads:
            while True:
                conclude(timeline.sights)
                wanted = plan_looks(timeline.sights)[: max(0, self.most - self.looked)]
                if not wanted:
                    return
                for index, sight in zip(wanted, threads.map(see, wanted), strict=True):
                    timeline.sights[index] = sight
                    timeline.looked += 1
                    self.looked += 1
                    self.progress(self.looked)
                if closed := _closed(timeline.sights):
                    timeline.sights[:] = [sight or closed for sight in timeline.sights]
