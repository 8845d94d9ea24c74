"""What was seen at a path in snapshots before? They never change: nobody has to look twice.

A file per path (adapters/host/owncache.py). Snapshots are known by their guid. What was hidden
from the caller is not kept: rights and disks may change. Nothing is in it that a new look would not
show.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from zrepl_py.adapters.host.owncache import OwnCache
from zrepl_py.core.sights import Absent, Sight, Stand

FORMAT = 1
ENDING = ".json"


class SightCache:
    """What is remembered in one directory."""

    def __init__(self, place: str | None) -> None:
        self._files = OwnCache(place)

    def load(self, dataset: str, inside: Sequence[str]) -> dict[int, Sight]:
        """Snapshot's guid → what stands at the path in it; empty where nothing is known."""
        content = self._files.load([dataset, *inside], ENDING)
        try:
            return _parse(content, dataset, inside) if content else {}
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return {}

    def save(self, dataset: str, inside: Sequence[str], seen: Mapping[int, Sight | None]) -> None:
        """Remember; silently not where that cannot be."""
        self._files.save([dataset, *inside], ENDING, _render(dataset, inside, seen))


def _render(dataset: str, inside: Sequence[str], seen: Mapping[int, Sight | None]) -> bytes:
    kept: dict[Sight, int] = {}
    guids: dict[str, int] = {}
    for guid, sight in seen.items():
        if guid and isinstance(sight, Stand | Absent):
            guids[str(guid)] = kept.setdefault(sight, len(kept))
    value = {
        "format": FORMAT,
        "dataset": dataset,
        "path": list(inside),
        "sights": [_render_sight(sight) for sight in kept],
        "seen": guids,
    }
    return json.dumps(value, separators=(",", ":")).encode()


def _render_sight(sight: Sight) -> list[int]:
    if isinstance(sight, Stand):
        times = [sight.modified_ns, sight.changed_ns]
        return [sight.inode, sight.born_ns, sight.size_bytes, *times, sight.mode, sight.links]
    return list(sight.way)


def _parse(content: bytes, dataset: str, inside: Sequence[str]) -> dict[int, Sight]:
    value = json.loads(content)
    if (value["format"], value["dataset"], value["path"]) != (FORMAT, dataset, list(inside)):
        return {}
    sights = [_parse_sight(numbers) for numbers in value["sights"]]
    return {int(guid): sights[number] for guid, number in value["seen"].items()}


def _parse_sight(numbers: Any) -> Sight:
    if not all(type(n) is int for n in numbers) or len(numbers) not in (0, 4, 7):
        raise ValueError("not a sight")
    return Stand(*numbers) if len(numbers) == 7 else Absent(tuple(numbers))
