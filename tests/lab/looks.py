"""What tests look at inside a node: processes, counters, properties. Reads only.

The programs here run in the node with zr's own interpreter, given whole on the command line.
"""

import json
from collections.abc import Sequence
from typing import Any

from .node import Node

PYTHON = "/opt/zr/bin/python"

PROCESSES = r"""
import os
def zr_processes():
    "pid -> what the kernel keeps of it, for the daemon and everything it started"
    parents, found = {}, {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit(): continue
        try:
            words = open(f"/proc/{entry}/cmdline", "rb").read().decode().split("\0")
            fields = open(f"/proc/{entry}/stat").read().rpartition(")")[2].split()
            status = dict(l.split(":\t") for l in open(f"/proc/{entry}/status").read().splitlines())
        except (OSError, ValueError): continue
        pid = int(entry); parents[pid] = int(fields[1])
        role = "daemon" if words[1:2] and words[1].endswith("/zr") and "daemon" in words else ""
        if "zrepl_py.daemon.worker" in words:
            role = words[words.index("zrepl_py.daemon.worker") + 1]
        found[pid] = {"role": role, "parent": parents[pid], "started": int(fields[19]),
            "uid": int(status["Uid"].split()[0]), "state": fields[0], "argv": words,
            "children_faults": int(fields[8]) + int(fields[10]),
            "ignores_children": bool(int(status["SigIgn"], 16) & 1 << 16)}
    ours = {p for p, what in found.items() if what["role"]}
    while more := {p for p, q in parents.items() if q in ours} - ours:
        ours |= more
    return {p: found[p] for p in ours}
"""


def ask(node: Node, program: str, *words: str, timeout_seconds: float = 60) -> Any:
    """Run a program that prints JSON, in the node, with zr's interpreter."""
    argv = [PYTHON, "-c", program, *words]
    return json.loads(node.run(argv, timeout_seconds=timeout_seconds).text)


def zr_processes(node: Node) -> dict[int, dict[str, Any]]:
    """pid → role (daemon, warden, zfs, receive), uid, parent … of zr's processes in a node."""
    found = ask(node, f"{PROCESSES}\nimport json; print(json.dumps(zr_processes()))")
    return {int(pid): what for pid, what in found.items()}


def pid_of(node: Node, role: str) -> int:
    """The one process with this role."""
    pids = [pid for pid, what in zr_processes(node).items() if what["role"] == role]
    assert len(pids) == 1, (role, pids)
    return pids[0]


def get(node: Node, dataset: str, *names: str) -> dict[str, str]:
    """Properties of a dataset; a missing one is `-`."""
    argv = ["zfs", "get", "-Hp", "-o", "property,value", ",".join(names), dataset]
    return dict(line.split("\t") for line in node.run(argv).text.splitlines())


def versions(node: Node, dataset: str, kind: str = "snapshot") -> list[str]:
    """Names after the @ (or #) of a dataset's snapshots (or bookmarks), oldest first."""
    argv = ["zfs", "list", "-Hp", "-d1", "-t", kind, "-o", "name", "-s", "createtxg", dataset]
    lines = node.run(argv).text.splitlines()
    return [line.replace("#", "@").split("@")[1] for line in lines]


def events(said: str, word: str) -> list[dict[str, Any]]:
    """The events of one kind in a daemon's log."""
    lines = (line for line in said.splitlines() if line.startswith("{"))
    return [event for event in map(json.loads, lines) if event.get("event") == word]


def put_file(node: Node, path: str, size_bytes: int, seed: str = "") -> None:
    """Incompressible bytes, different each time."""
    node.sh(f"head -c {size_bytes} /dev/urandom >{path}; : {seed}")


def names(lanes: Sequence[dict[str, Any]]) -> list[str]:
    """Datasets of status lanes."""
    return sorted(lane["dataset"] for lane in lanes)
