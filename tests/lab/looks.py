"""What tests look at inside a node: processes, counters, properties, versions. Reads only.

The programs here run in the node with zr's own interpreter, given whole on the command line.
"""

import json
import time
from typing import Any

from .node import Node

PYTHON = "/opt/zr/bin/python"

PROCESSES = r"""
import os
def role_of(words):
    if "zrepl_py.daemon.worker" in words:
        return words[words.index("zrepl_py.daemon.worker") + 1]
    is_zr = any("zrepl_py.cli.main" in word or word.endswith("/zr") for word in words[:3])
    return "daemon" if is_zr and "daemon" in words else ""
def observe_process(pid):
    words = open(f"/proc/{pid}/cmdline", "rb").read().decode().split("\0")
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    status = dict(l.split(":\t") for l in open(f"/proc/{pid}/status").read().splitlines())
    return {"role": role_of(words), "parent": int(fields[1]), "started": int(fields[19]),
            "uid": int(status["Uid"].split()[0]), "groups": status["Groups"].split(),
            "capabilities": int(status["CapPrm"], 16) | int(status["CapEff"], 16),
            # Page faults of children that ended and were waited for: no child, no fault.
            "children_faults": int(fields[8]) + int(fields[10]),
            # A parent that ignores SIGCHLD would not be told these.
            "ignores_children": bool(int(status["SigIgn"], 16) & 1 << 16)}
def zr_processes():
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            found[int(entry)] = observe_process(entry)
        except (OSError, ValueError, IndexError):
            continue
    ours = {pid for pid, what in found.items() if what["role"]}
    while more := {p for p, what in found.items() if what["parent"] in ours} - ours:
        ours |= more
    return {str(pid): found[pid] for pid in sorted(ours)}
"""


def ask(node: Node, program: str, *words: str, timeout_seconds: float = 60) -> Any:
    """Run a program that prints JSON, in the node, with zr's interpreter."""
    argv = [PYTHON, "-c", program, *words]
    return json.loads(node.run(argv, timeout_seconds=timeout_seconds).text)


def zr_processes(node: Node) -> dict[int, dict[str, Any]]:
    """pid → role (daemon, warden, zfs, receive), uid, parent … of zr's processes in a node."""
    found = ask(node, f"{PROCESSES}\nimport json; print(json.dumps(zr_processes()))")
    return {int(pid): what for pid, what in found.items()}


def serving(node: Node) -> dict[int, str]:
    """pid → role of those that stay; without what they run for a moment, which has the name of its
    parent until its exec."""
    found = zr_processes(node)
    roles = {pid: what["role"] for pid, what in found.items()}
    return {
        pid: role for pid, role in roles.items() if role and roles.get(found[pid]["parent"]) != role
    }


def pids_of(node: Node, role: str) -> list[int]:
    """Those that have this role now: one that is being started may not have it yet."""
    return [pid for pid, known in serving(node).items() if known == role]


def pid_of(node: Node, role: str, timeout_seconds: float = 30) -> int:
    """The one process with this role."""
    deadline = time.monotonic() + timeout_seconds
    while len(pids := pids_of(node, role)) != 1:
        assert time.monotonic() < deadline, (role, pids)
        time.sleep(0.2)
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
    """The events of one kind in a daemon's log, oldest first."""
    # Its last line may have been read while it was written.
    whole = said[: said.rfind("\n") + 1].splitlines()
    lines = (line for line in whole if line.startswith("{") and line.endswith("}"))
    return [event for event in map(json.loads, lines) if event.get("event") == word]
