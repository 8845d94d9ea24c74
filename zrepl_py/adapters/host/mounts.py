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


@dataclass(frozen=True, slots=True)
class Place:
    """A path, seen from the dataset it lies in."""

    dataset: str
    mountpoint: str
    """Where the dataset's own root is mounted; `.zfs` is there."""
    inside: tuple[str, ...]
    """Components below the dataset's root; the last one is the file's name."""
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
            mounts.append(Mount(source, root, point, kind))
    return tuple(mounts)


def locate(path: str, mounts: Sequence[Mount]) -> Place:
    """Where `path` (absolute or below the current directory) lies.

    Errors: Refused(not-a-file) for a path that names no file, Refused(not-on-zfs),
    Refused(no-directory) where the current one is gone, Standing(snapshot-unreachable) where only
    a part of the dataset is mounted.
    """
    directory, name = os.path.split(path)
    if name in ("", ".", ".."):
        raise Refused(
            "not-a-file",
            f"{path!r} names a directory.",
            "zr restore brings back single files so far; name one.",
        )
    try:
        folder = os.path.realpath(directory or ".")
    except FileNotFoundError:
        raise Refused(
            "no-directory",
            "The current directory does not exist any more.",
            "Give the whole path that the file had.",
        ) from None
    mount = _covering(folder, mounts)
    if mount is None or mount.kind != "zfs" or "@" in mount.source:
        kind = mount.kind if mount and mount.kind != "zfs" else "a snapshot" if mount else "nothing"
        raise Refused(
            "not-on-zfs",
            f"{folder} is not on a mounted ZFS dataset, but on {kind}.",
            "Give the whole path that the file had; zr does not yet search the protected datasets "
            "for a bare name.",
        )
    inside = _components(mount.root) + _components(os.path.relpath(folder, mount.point))
    same = (m for m in (mount, *mounts) if m.source == mount.source)
    whole = next((m for m in same if m.kind == "zfs" and m.root == "/"), None)
    if whole is None:
        raise Standing(
            "snapshot-unreachable",
            f"Only a part of {mount.source} is mounted ({mount.root} at {mount.point}), so its "
            "snapshots cannot be reached.",
            "Run this where the dataset itself is mounted.",
        )
    return Place(mount.source, whole.point, (*inside, name), os.path.join(folder, name))


def _covering(folder: str, mounts: Sequence[Mount]) -> Mount | None:
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


def _unescape(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda m: bytes([int(m[1], 8)]), field))
