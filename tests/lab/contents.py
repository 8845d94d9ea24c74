"""What is in a snapshot, as one digest: names, attributes, xattrs, bytes; read on the node itself.

Snapshots are mounted for the purpose, read-only, in a mount namespace of the looking process; so
replicas, which are never mounted, can be read, and nothing of the node changes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from .node import Node


@dataclass(frozen=True)
class Content:
    """One snapshot's content."""

    digest: str
    entries: int
    size_bytes: int


LOOK = r"""
import ctypes, hashlib, json, os, stat, subprocess, sys
CLONE_NEWNS, MS_RDONLY, MS_REC, MS_PRIVATE = 0x20000, 1, 0x4000, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)
def must(rc):
    if rc: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
must(libc.unshare(CLONE_NEWNS))
must(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
os.makedirs("/run/lab-look", exist_ok=True)
def entries(top):
    for folder, names, files in os.walk(top):
        names.sort()
        for name in sorted([*names, *files]):
            path = os.path.join(folder, name); s = os.lstat(path); what = ""
            if stat.S_ISREG(s.st_mode):
                with open(path, "rb") as f: what = hashlib.file_digest(f, "sha256").hexdigest()
            elif stat.S_ISLNK(s.st_mode): what = os.readlink(path)
            xattrs = [(k, os.getxattr(path, k, follow_symlinks=False)) for k in
                      sorted(os.listxattr(path, follow_symlinks=False))]
            size = 0 if stat.S_ISDIR(s.st_mode) else s.st_size
            yield size, repr((os.path.relpath(path, top), s.st_mode, s.st_uid, s.st_gid, size,
                              s.st_mtime_ns, s.st_nlink, s.st_rdev, what, xattrs))
found = {}
for snapshot in json.load(sys.stdin):
    must(libc.mount(snapshot.encode(), b"/run/lab-look", b"zfs", MS_RDONLY, None))
    h, n, total = hashlib.sha256(), 0, 0
    for size, line in entries("/run/lab-look"):
        h.update(line.encode(errors="surrogateescape") + b"\n"); n += 1; total += size
    must(libc.umount2(b"/run/lab-look", 0))
    found[snapshot] = [h.hexdigest(), n, total]
json.dump(found, sys.stdout)
"""


def look(node: Node, snapshots: Sequence[str], timeout_seconds: float = 300) -> dict[str, Content]:
    """Read these snapshots whole."""
    out = node.run(
        ["/opt/zr/bin/python", "-c", LOOK],
        stdin=json.dumps(list(snapshots)).encode(),
        timeout_seconds=timeout_seconds,
    )
    return {name: Content(*values) for name, values in json.loads(out.text).items()}


def guids(node: Node, dataset: str) -> dict[str, int]:
    """Snapshots of a dataset: name after the @ → guid, oldest first; empty where it is missing."""
    argv = ["zfs", "list", "-Hp", "-d1", "-t", "snapshot", "-o", "name,guid", "-s", "createtxg"]
    lines = node.run([*argv, dataset], check=False).text.splitlines()
    pairs = (line.split("\t") for line in lines)
    return {name.split("@")[1]: int(guid) for name, guid in pairs}


def common(source: Node, dataset: str, target: Node, replica: str) -> list[str]:
    """Names of the snapshots that both have, with the same guid, oldest first."""
    there = guids(target, replica)
    return [name for name, guid in guids(source, dataset).items() if there.get(name) == guid]


def compare(
    source: Node, dataset: str, target: Node, replica: str, names: Sequence[str]
) -> tuple[int, list[str]]:
    """(bytes compared, names of those that differ)."""
    mine = look(source, [f"{dataset}@{name}" for name in names])
    theirs = look(target, [f"{replica}@{name}" for name in names])
    differ = [n for n in names if mine[f"{dataset}@{n}"] != theirs[f"{replica}@{n}"]]
    return sum(content.size_bytes for content in mine.values()), differ
