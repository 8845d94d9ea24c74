"""Which guids had a dataset's snapshots the last time? To list ten thousand takes ZFS seconds.

What is remembered counts for a snapshot of zr only, whose name is never given twice, and only while
it is the same object of the same file system: the number that `.zfs/snapshot` shows for it. The
caller asks ZFS for all others. Like all that is remembered, it may be lost at any time.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zrepl_py.adapters.host.owncache import OwnCache
from zrepl_py.model.names import parse_tick

FORMAT = 1
ENDING = ".list"


@dataclass(frozen=True, slots=True)
class Listed:
    """One snapshot."""

    name: str
    """The part after the @."""
    guid: int
    """0: not known."""
    createtxg: int = 0
    """0: not known."""

    @property
    def at(self) -> int | None:
        """When it was taken, by its name; None where zr did not make it."""
        tick = parse_tick(self.name)  # only now: of ten thousand, few are shown
        return tick.at if tick else None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a dataset's `.zfs/snapshot` shows."""

    filesystem: int
    """Of the file system, from ZFS's guid for it."""
    numbers: Mapping[str, int]
    """Name of a snapshot → number of its directory, from its object in the pool."""


class CatalogCache:
    """What is remembered in one directory; None: nothing, ever."""

    def __init__(self, place: str | None) -> None:
        self._files = OwnCache(place)

    def load(self, dataset: str, shown: Shown) -> list[Listed]:
        """Those of the snapshots that are there, of which it is known what they are."""
        content = self._files.load([dataset], ENDING)
        try:
            return _parse(content, dataset, shown) if content else []
        except (ValueError, KeyError, TypeError):
            return []

    def save(self, dataset: str, shown: Shown, snapshots: Iterable[Listed]) -> None:
        """Remember; silently not where that cannot be."""
        rows = [
            [s.name, shown.numbers[s.name], s.guid, s.createtxg]
            for s in snapshots
            if s.name in shown.numbers and parse_tick(s.name) is not None
        ]
        value = {"format": FORMAT, "dataset": dataset, "filesystem": shown.filesystem}
        text = json.dumps(value | {"snapshots": rows}, separators=(",", ":"))
        self._files.save([dataset], ENDING, text.encode())


def _parse(content: bytes, dataset: str, shown: Shown) -> list[Listed]:
    value = json.loads(content)
    of = (value["format"], value["dataset"], value["filesystem"])
    if of != (FORMAT, dataset, shown.filesystem):
        return []
    numbers = shown.numbers
    return [
        Listed(name, guid, createtxg)
        for name, number, guid, createtxg in value["snapshots"]
        if numbers.get(name) == number
    ]
