"""Text of `zfs list`, `zfs get`, `zfs version`, channel programs → values. Pure, tested with what
the commands really printed (tests/unit/test_zfs_parse.py).

Columns are parted by tabs; names have no tabs, values of properties might: they come last.
"""

import json

from zrepl_py.errors import Standing
from zrepl_py.model.history import Bookmark, History, Snapshot, history_of
from zrepl_py.model.observation import (
    Dataset,
    DestroyOutcome,
    Kind,
    SnapshotOutcome,
    Taken,
    Unchanged,
    Unfinished,
)
from zrepl_py.model.properties import CARRIED, count_own

OWN_PROPERTIES = "zr:"


def parse_history(dataset: str, text: str) -> History:
    """Lines `name guid createtxg creation` of snapshots and bookmarks → History of `dataset`."""
    snapshots: list[Snapshot] = []
    bookmarks: list[Bookmark] = []
    for line in text.splitlines():
        whole, *numbers = line.split("\t")
        if len(numbers) != 3:
            raise unreadable(line)
        guid, createtxg, created_at = (_number(n, line) for n in numbers)
        for mark in "@#":
            owner, found, name = whole.partition(mark)
            if not found or owner != dataset:
                continue
            if mark == "@":
                snapshots.append(Snapshot(guid, createtxg, name, created_at))
            else:
                bookmarks.append(Bookmark(guid, createtxg, name, created_at))
    return history_of(snapshots, bookmarks)


def parse_datasets(listed: str, local_properties: str) -> list[Dataset]:
    """Lines `name guid type encryption compression mounted`; `name property value`, local ones."""
    own: dict[str, dict[str, str]] = {}
    for line in local_properties.splitlines():
        columns = line.split("\t", 2)
        if len(columns) == 3 and columns[1].startswith(OWN_PROPERTIES):
            own.setdefault(columns[0], {})[columns[1]] = columns[2]
    found = []
    for line in listed.splitlines():
        columns = line.split("\t")
        if len(columns) != 6:
            raise unreadable(line)
        name, guid, kind, encryption, compression, mounted = columns
        found.append(
            Dataset(
                name=name,
                guid=_number(guid, line),
                kind=Kind(kind),
                encrypted=encryption not in ("off", "-"),
                compressed=compression != "off",
                mounted=mounted == "yes",
                user_properties=own.get(name, {}),
            )
        )
    return sorted(found, key=lambda d: d.name)


def parse_carried(text: str) -> dict[str, str]:
    """Lines `property value` of local and received ones → those that belong to the data."""
    pairs = (line.split("\t", 1) for line in text.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and pair[0] in CARRIED}


def parse_versions(text: str) -> tuple[str, str]:
    """Output of `zfs version` → (userland, kernel), without `zfs-` and `zfs-kmod-`."""
    userland = kernel = ""
    for line in text.split():
        if line.startswith("zfs-kmod-"):
            kernel = line.removeprefix("zfs-kmod-")
        elif line.startswith("zfs-"):
            userland = line.removeprefix("zfs-")
    return userland, kernel


def parse_holds(text: str) -> dict[str, frozenset[str]]:
    """Lines `snapshot tag timestamp` of `zfs holds -H` → snapshot → tags.

    A tag may have spaces; it has no tab.
    """
    tags: dict[str, set[str]] = {}
    for line in text.splitlines():
        columns = line.split("\t")
        if len(columns) >= 3:
            tags.setdefault(columns[0], set()).add("\t".join(columns[1:-1]))
    return {snapshot: frozenset(found) for snapshot, found in tags.items()}


def parse_program_json(text: str) -> dict[str, str]:
    """Output of `zfs program -j` → the returned table, all of whose values are words."""
    try:
        returned = json.loads(text).get("return", {})
    except ValueError:
        raise unreadable(text[:80]) from None
    return {str(key): str(value) for key, value in returned.items()}


def parse_snapshot_outcome(words: str) -> SnapshotOutcome | int:
    """`taken GUID TXG CREATION`, `unchanged`, `unfinished`, `error N` → outcome, or the errno."""
    match words.split():
        case ["taken", guid, createtxg, created_at]:
            return Taken(int(guid), int(createtxg), int(created_at))
        case ["unchanged"]:
            return Unchanged()
        case ["unfinished"]:
            return Unfinished()
    return parse_errno(words)


def parse_snapshot_words(name: str, words: str) -> Snapshot | None:
    """`snapshot GUID TXG CREATION` | `none` → Snapshot or None."""
    match words.split():
        case ["snapshot", guid, createtxg, created_at]:
            return Snapshot(int(guid), int(createtxg), name, int(created_at))
        case ["none"]:
            return None
    raise unreadable(words)


def parse_written_words(words: str, base: int) -> int | None:
    """`written BYTES CLONED` → bytes since the snapshot `base`; `unknown` → None. CLONED is
    CLONED_PROPERTY's value."""
    match words.split():
        case ["written", size, *cloned] if size.isdecimal():
            return count_own(int(size), " ".join(cloned), base)
        case ["unknown"]:
            return None
    raise unreadable(words)


def parse_destroy_outcome(name: str, words: str) -> DestroyOutcome:
    """`destroyed` or a cause → DestroyOutcome."""
    return DestroyOutcome(name, words == "destroyed", "" if words == "destroyed" else words)


def parse_errno(words: str) -> int:
    """`error N` → N, anything else is unreadable."""
    match words.split():
        case ["error", number] if number.isdecimal():
            return int(number)
    raise unreadable(words)


def _number(text: str, line: str) -> int:
    if not text.isdecimal():
        raise unreadable(line)
    return int(text)


def unreadable(line: str) -> Standing:
    """ZFS printed a line that is none of those that are known."""
    return Standing(
        "zfs-failed",
        f"ZFS printed something unexpected: {line!r}.",
        "Compare the version of OpenZFS with those in the README.",
    )
