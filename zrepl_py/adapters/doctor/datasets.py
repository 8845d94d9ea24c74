"""What is in the pools, by `zfs list` and `zfs get`: no rights are needed, nothing is changed."""

import os
from collections.abc import Sequence

from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.forks import Ended, run
from zrepl_py.adapters.zfs.tree import CommandDatasets, check_mountpoint_free
from zrepl_py.core.audit.seen import Allowed, Placed, Room
from zrepl_py.core.gate import plan_mountpoints
from zrepl_py.engine.role_tree import find_roots
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.names import check_dataset_name, parse_cursor, parse_tick

LOOK_SECONDS = 20.0
SNAPSHOTS_SECONDS = 60.0
WANTED = (
    "type,mounted,readonly,canmount,mountpoint,volmode,encryption,encryptionroot,keystatus,"
    "keylocation,zr:placeholder,zr:epoch"
)


def observe_names(deadline_seconds: float = LOOK_SECONDS) -> list[str]:
    """Every file system and volume of every pool. Errors: module-missing, too-slow, …"""
    argv = ["zfs", "list", "-H", "-t", "filesystem,volume", "-o", "name"]
    return listed(argv, "", deadline_seconds).splitlines()


def observe_pending_bytes(dataset: str, base: str | None, newest: str) -> int | None:
    """About how many bytes a stream from snapshot `base` to `newest` has.

    `base` None: what the target has is not known to the caller; then it is guessed by the newest
    cursor (the bookmark of what a target has committed), and a full stream where there is none.
    None where the base's snapshot is gone (its bookmark may still be used). Errors: those of ZFS.
    """
    columns = "name,guid,written,referenced"
    kinds = "snapshot,bookmark"
    argv = ["zfs", "list", "-Hp", "-d", "1", "-t", kinds, "-s", "createtxg", "-o", columns]
    return parse_pending_bytes(listed(argv, dataset), base, newest)


def parse_pending_bytes(text: str, base: str | None, newest: str) -> int | None:
    """Lines `name guid written referenced` by createtxg → see observe_pending_bytes."""
    names, written, guids, cursors = list[str](), dict[str, int](), dict[int, str](), list[int]()
    whole = 0
    for row in (line.split("\t") for line in text.splitlines()):
        _, snapshot, name = row[0].partition("@")
        if snapshot and len(row) == 4:
            names.append(name)
            written[name], guids[int(row[1])] = int(row[2]), name
            whole = int(row[3]) if name == newest else whole
        elif (cursor := parse_cursor(row[0].partition("#")[2])) is not None:
            cursors.append(cursor[1])
    if newest not in written:
        return None
    if base is None and not cursors:
        return whole
    start = base if base is not None else guids.get(cursors[-1])
    if start not in written:
        return None
    return sum(written[name] for name in names[names.index(start) + 1 : names.index(newest) + 1])


def listed(argv: Sequence[str], name: str, deadline_seconds: float = LOOK_SECONDS) -> str:
    """What a listing command says of `name` (checked, so that it cannot be an option)."""
    if name:
        check_dataset_name(name)
    ended: Ended = run([*argv, name] if name else argv, deadline_seconds=deadline_seconds)
    if ended.code != 0 and "no datasets available" not in ended.err:
        raise judge_command("list", ended, name)
    return ended.out


def observe_room(pool: str, limit_percent: int) -> Room:
    """A pool's space as a dataset can use it. Errors: pool-missing, too-slow, …"""
    argv = ["zfs", "list", "-Hp", "-d", "0", "-o", "used,available"]
    used, available = (int(word) for word in listed(argv, pool).split())
    return Room(pool, available, used + available, limit_percent)


def observe_placed(root: str) -> list[Placed]:
    """`root` and everything below it with the properties that the doctor judges; empty where it
    does not exist."""
    argv = [
        "zfs",
        "get",
        "-rHp",
        "-t",
        "filesystem,volume",
        "-o",
        "name,property,source,value",
        WANTED,
    ]
    try:
        text = listed(argv, root)
    except Standing as error:
        if error.reason == "dataset-missing":
            return []
        raise
    return parse_placed(text)


def observe_occupied(members: Sequence[str]) -> str | None:
    """Of a group's members that are not mounted, the first that could not be: what is in the way, a
    sentence. Errors: those of ZFS; mountpoint-unreadable."""
    every = CommandDatasets().observe_trees(find_roots(members)) if members else []
    try:
        for name, path in plan_mountpoints(d for d in every if d.name in members).items():
            check_mountpoint_free(name, path)
    except (Refused, Standing) as error:
        if error.reason not in ("mountpoint-in-use", "bad-mountpoint"):
            raise
        return error.message
    return None


def parse_placed(text: str) -> list[Placed]:
    """Lines `name property source value` → datasets, in the order in which they came. A user
    property counts only where its source is local: they inherit."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        columns = line.split("\t", 3)
        if len(columns) == 4:
            properties = found.setdefault(columns[0], {})
            if ":" not in columns[1] or columns[2] == "local":
                properties[columns[1]] = columns[3]
    return [Placed(name, known.get("type", "-"), known) for name, known in found.items()]


def observe_foreign(pool: str) -> dict[str, list[str]]:
    """Dataset → names of its snapshots that zr did not make, of a whole pool. One fork."""
    argv = ["zfs", "list", "-H", "-r", "-t", "snapshot", "-o", "name"]
    found: dict[str, list[str]] = {}
    for line in listed(argv, pool, SNAPSHOTS_SECONDS).splitlines():
        dataset, _, name = line.partition("@")
        if parse_tick(name) is None:
            found.setdefault(dataset, []).append(name)
    return found


def observe_allowed(dataset: str) -> Allowed:
    """Errors: dataset-missing, too-slow, …"""
    return parse_allowed(dataset, listed(["zfs", "allow"], dataset))


def parse_allowed(dataset: str, text: str) -> Allowed:
    """Output of `zfs allow DATASET`: what counts for it, inherited permissions too."""
    users: dict[str, frozenset[str]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "user" and line.startswith("\t"):
            users[words[1]] = users.get(words[1], frozenset()) | frozenset(words[2].split(","))
    return Allowed(dataset, users)


def find_missing_key_files(placed: Sequence[Placed]) -> dict[str, str]:
    """Dataset → the file of its keylocation, where that is not there; encryption roots only."""
    return {
        one.name: path
        for one in placed
        if one.get("encryptionroot") == one.name
        and one.get("keylocation").startswith("file://")
        and not os.path.exists(path := one.get("keylocation").removeprefix("file://"))
    }
