"""What is seen of a side after an operation, in words that do not depend on the side.

Guids differ per side: each is numbered when it first shows up, so equal numbers mean that identity
was passed on in the same way. Transaction groups differ too: they are ranked. A version's
`created_at` only has to be the same wherever its guid shows up.
"""

from collections.abc import Set as AbstractSet
from typing import Any

from zrepl_py.model.history import Bookmark, History, Snapshot
from zrepl_py.model.observation import Dataset, ResumePoint

from .world import Witness, World


class Look:
    """Observes a world through its port, and remembers guids."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.numbers: dict[int, int] = {}
        self.created: dict[int, int] = {}
        self.guids: dict[str, int] = {}
        """Last known guid of every snapshot (`a@s`) and bookmark (`a#b`), also after its end."""
        self.datasets: dict[str, Dataset] = {}
        self.histories: dict[str, History] = {}
        self.holds: dict[str, dict[str, frozenset[str]]] = {}
        self.points: dict[str, ResumePoint | None] = {}
        self.properties: dict[str, dict[str, str]] = {}
        self.origins: dict[str, str | None] = {}
        self._witness: dict[str, Witness] = {}

    def number(self, guid: int) -> int:
        """The guid's number on this side; 0 is 0."""
        return self.numbers.setdefault(guid, len(self.numbers) + 1) if guid else 0

    def own(self, whole: str) -> str:
        """A whole name → the name below the root."""
        return whole.removeprefix(self.world.root + "/")

    def whole(self, own: str) -> str:
        """The opposite."""
        return f"{self.world.root}/{own}"

    def see(self, everything: bool = False) -> dict[str, Any]:
        """All that the port shows of the world, as JSON could hold it."""
        self._observe(everything)
        histories = self.histories.values()
        txgs = {v.createtxg for h in histories for vs in (h.snapshots, h.bookmarks) for v in vs}
        ranks = {txg: n for n, txg in enumerate(sorted(txgs))}
        return {name: self._words(name, ranks) for name in self.datasets}

    def _observe(self, everything: bool) -> None:
        found = self.world.witness()
        now = dict(found) if found is not None else {}
        before, self._witness = self._witness, now
        if everything or found is None:
            before = {}
            self._observe_datasets()
        else:
            self._observe_changed(before, now)
        for name in self.datasets:
            old, new = before.get(name), now.get(name)
            stale = [old is None or new is None or old[n] != new[n] for n in range(4)]
            self._observe_one(name, *stale)

    def _observe_datasets(self) -> None:
        listed = self.world.port.observe_datasets(self.world.root)
        self.datasets = {self.own(d.name): d for d in listed if d.name != self.world.root}
        self._forget_all_but(self.datasets.keys())

    def _observe_changed(self, before: dict[str, Witness], now: dict[str, Witness]) -> None:
        """Only what changed, with all below it; to list everything is dear."""
        self._forget_all_but(now.keys())
        asked: list[str] = []
        for name in sorted(now):
            same = name in before and before[name][0] == now[name][0]
            if not same and not any(name.startswith(f"{above}/") for above in asked):
                asked.append(name)
                listed = self.world.port.observe_datasets(self.whole(name))
                self.datasets.update((self.own(d.name), d) for d in listed)
        self.datasets = dict(sorted(self.datasets.items()))

    def _forget_all_but(self, names: AbstractSet[str]) -> None:
        known_by_name: tuple[dict[str, Any], ...] = (
            self.datasets,
            self.histories,
            self.holds,
            self.points,
            self.properties,
            self.origins,
        )
        for known in known_by_name:
            for gone in known.keys() - names:
                del known[gone]

    def _observe_one(self, name: str, itself: bool, versions: bool, holds: bool, at: bool) -> None:
        port, whole = self.world.port, self.whole(name)
        if itself:
            self.properties[name] = port.observe_properties(whole)
            self.origins[name] = port.observe_origin(whole)
        if versions:
            history = self.histories[name] = port.observe_history(whole)
            self.guids.update((f"{name}@{s.name}", s.guid) for s in history.snapshots)
            self.guids.update((f"{name}#{b.name}", b.guid) for b in history.bookmarks)
        if versions or holds:
            snapshots = [f"{whole}@{s.name}" for s in self.histories[name].snapshots]
            self.holds[name] = port.observe_holds(snapshots)
        if at:
            self.points[name] = port.observe_resume(whole)

    def _words(self, name: str, ranks: dict[int, int]) -> dict[str, Any]:
        dataset, history, point = self.datasets[name], self.histories[name], self.points[name]
        return {
            "dataset": [
                self.number(dataset.guid),
                str(dataset.kind),
                "encrypted" if dataset.encrypted else "plain",
                "compressed" if dataset.compressed else "uncompressed",
                "mounted" if dataset.mounted else "not mounted",
            ],
            "origin": self.own(self.origins[name] or ""),
            "user": dict(sorted(dataset.user_properties.items())),
            "properties": dict(sorted(self.properties[name].items())),
            "snapshots": [self._version(s, ranks) for s in history.snapshots],
            "bookmarks": [self._version(b, ranks) for b in history.bookmarks],
            "holds": {
                self.own(snapshot): sorted(tags)
                for snapshot, tags in sorted(self.holds[name].items())
            },
            "resume": self._point(point),
        }

    def _version(self, version: Snapshot | Bookmark, ranks: dict[int, int]) -> list[Any]:
        first = self.created.setdefault(version.guid, version.created_at)
        words = [version.name, self.number(version.guid), ranks[version.createtxg]]
        return words if first == version.created_at else [*words, "created at another time"]

    def _point(self, point: ResumePoint | None) -> list[Any] | None:
        if point is None:
            return None
        return [self.number(point.to_guid), self.number(point.from_guid), point.raw]
