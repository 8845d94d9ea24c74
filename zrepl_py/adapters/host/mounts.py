"""Which mounted ZFS dataset does a path lie in, and where in it?

Reads /proc/self/mountinfo, so the answer is that of the caller's own mount namespace. The file
itself need not exist any more, nor its directories: what exists is resolved, the rest is taken as
written. Changes nothing and needs no rights beyond those to reach the path.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from zrepl_py.errors import Refused, Standing

MOUNTINFO = "/proc/self/mountinfo"
_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo."""

    source: str
    """For ZFS the dataset's name."""
    root: str
    """Which directory of the file system is mounted; other than `/` for a bind mount."""
    point: str
    kind: str
    """`zfs`, `ext4`, …"""
    device: tuple[int, int] = (0, 0)
    """Major and minor number: the file system's identity, whatever it is called."""
    readonly: bool = False
    """The mount, or its file system."""


@dataclass(frozen=True, slots=True)
class Place:
    """A path, seen from the dataset it lies in."""

    dataset: str
    mountpoint: str
    """Where the dataset's own root is mounted; `.zfs` is there."""
    inside: tuple[str, ...]
    """Components below the dataset's root; the last one is its name, none is the root itself."""
    path: str
    """Absolute, links of the directories resolved."""


def observe_mounts() -> tuple[Mount, ...]:
    """All mounts that this process sees, in the order in which they were made."""
    with open(MOUNTINFO, "rb") as file:
        return parse_mountinfo(file.read())


def parse_mountinfo(content: bytes) -> tuple[Mount, ...]:
    """The content of mountinfo → mounts; lines that make no sense are left out."""
    mounts = []
    for line in content.splitlines():
        before, dash, after = line.partition(b" - ")
        fields, rest = before.split(b" "), after.split(b" ")
        if dash and len(fields) >= 6 and len(rest) >= 2:
            kind, source, root, point = (_unescape(f) for f in (rest[0], rest[1], *fields[3:5]))
            readonly = b"ro" in fields[5].split(b",") or b"ro" in rest[-1].split(b",")
            mounts.append(Mount(source, root, point, kind, _parse_device(fields[2]), readonly))
    return tuple(mounts)


def locate(path: str, mounts: Sequence[Mount]) -> Place:
    """Where `path` (absolute or below the current directory) lies; it may be a directory's.

    Errors: Refused(not-on-zfs), Refused(no-directory) where the current one is gone,
    Standing(snapshot-unreachable) where only a part of the dataset is mounted.
    """
    full = _resolve(path)
    mount = covering(full, mounts)
    if mount is None or mount.kind != "zfs" or "@" in mount.source:
        kind = mount.kind if mount and mount.kind != "zfs" else "a snapshot" if mount else "nothing"
        raise Refused(
            "not-on-zfs",
            f"{os.path.dirname(full)} is not on a mounted ZFS dataset, but on {kind}.",
            "Give the whole path that it had.",
        )
    inside = _components(mount.root) + _components(os.path.relpath(full, mount.point))
    same = (m for m in (mount, *mounts) if m.source == mount.source)
    whole = next((m for m in same if m.kind == "zfs" and m.root == "/"), None)
    if whole is None:
        raise Standing(
            "snapshot-unreachable",
            f"Only a part of {mount.source} is mounted ({mount.root} at {mount.point}), so its "
            "snapshots cannot be reached.",
            "Run this where the dataset itself is mounted.",
        )
    return Place(mount.source, whole.point, inside, full)


def find_below(path: str, mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """What is mounted strictly below a directory, one per place, by place; no snapshots."""
    found = {
        m.point: m
        for m in mounts
        if m.point.startswith(path.rstrip("/") + "/") and not (m.kind == "zfs" and "@" in m.source)
    }
    return tuple(found[point] for point in sorted(found))


def find_datasets(mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """Every ZFS dataset that is mounted as a whole, once, by its name."""
    found = {
        m.source: m
        for m in reversed(mounts)
        if m.kind == "zfs" and m.root == "/" and "@" not in m.source
    }
    return tuple(found[name] for name in sorted(found))


def _resolve(path: str) -> str:
    """Absolute, links of the directories resolved, but not one that the path itself names."""
    stripped = path.rstrip("/") or "/"
    directory, name = os.path.split(stripped)
    try:
        if name in ("", ".", ".."):
            return os.path.realpath(stripped)
        return os.path.join(os.path.realpath(directory or "."), name)
    except FileNotFoundError:
        raise Refused(
            "no-directory",
            "The current directory does not exist any more.",
            "Give the whole path that the file had.",
        ) from None


def covering(folder: str, mounts: Sequence[Mount]) -> Mount | None:
    """The mount that one sees at `folder`: the deepest, and of several there the last made."""
    found = None
    for mount in mounts:
        below = mount.point.rstrip("/") + "/"
        deeper = found is None or len(mount.point) >= len(found.point)
        if (folder == mount.point or folder.startswith(below)) and deeper:
            found = mount
    return found


def _components(path: str) -> tuple[str, ...]:
    return tuple(c for c in path.split("/") if c not in ("", "."))


def _parse_device(field: bytes) -> tuple[int, int]:
    major, _, minor = field.partition(b":")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def _unescape(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda m: bytes([int(m[1], 8)]), field))
