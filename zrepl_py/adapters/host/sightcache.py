"""What was seen at a path in snapshots before? They never change: nobody has to look twice.

A file per path, below a directory of the caller's own (0700): what somebody saw with root's rights
is in root's alone. Snapshots are known by their guid. What was hidden from the caller is not kept:
rights and disks may change. Whatever is wrong with the cache, it is as if there were none; it holds
nothing that a new look would not show.
"""

import contextlib
import hashlib
import json
import os
import pwd
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from zrepl_py.adapters.files import read_limited, write_atomically
from zrepl_py.core.sights import Absent, Sight, Stand
from zrepl_py.errors import ZrError

FORMAT = 1
ROOTS_PLACE = "/var/cache/zr/versions"
MAX_FILES = 1000
MAX_BYTES = 64 << 20


def find_place() -> str | None:
    """The caller's directory for it; None where there is no home."""
    if os.geteuid() == 0:
        return ROOTS_PLACE
    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir  # not $HOME: under sudo it may be another's
    except KeyError:
        return None
    return os.path.join(home, ".cache", "zr", "versions") if os.path.isdir(home) else None


class SightCache:
    """What is remembered in one directory."""

    def __init__(self, place: str | None) -> None:
        self._place = place

    def load(self, dataset: str, inside: Sequence[str]) -> dict[int, Sight]:
        """Snapshot's guid → what stands at the path in it; empty where nothing is known."""
        path = self._path(dataset, inside)
        if path is None or not self._is_own():
            return {}
        try:
            content = read_limited(path, MAX_BYTES)
            return _parse(content, dataset, inside) if content else {}
        except (ZrError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            return {}

    def save(self, dataset: str, inside: Sequence[str], seen: Mapping[int, Sight | None]) -> None:
        """Remember; silently not where that cannot be."""
        path = self._path(dataset, inside)
        if path is None or self._place is None:
            return
        with contextlib.suppress(OSError, ZrError):
            os.makedirs(self._place, 0o700, exist_ok=True)
            if self._is_own():
                write_atomically(path, _render(dataset, inside, seen))
                self._drop_oldest()

    def _path(self, dataset: str, inside: Sequence[str]) -> str | None:
        if self._place is None:
            return None
        whole = "\0".join([dataset, *inside]).encode("utf-8", "surrogateescape")
        return os.path.join(self._place, hashlib.sha256(whole).hexdigest()[:32] + ".json")

    def _is_own(self) -> bool:
        """Nobody else can have written there."""
        try:
            found = os.lstat(self._place or "")
        except OSError:
            return False
        own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        return own and not found.st_mode & 0o022

    def _drop_oldest(self) -> None:
        with os.scandir(self._place) as entries:
            files = [(e.stat(follow_symlinks=False).st_mtime_ns, e.path) for e in entries]
        for _, path in sorted(files)[: max(0, len(files) - MAX_FILES)]:
            os.unlink(path)


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
