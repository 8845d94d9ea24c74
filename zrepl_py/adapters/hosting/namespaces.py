"""Where is a file system mounted, in every mount namespace that has a process?

Each namespace is read once, whatever lives in it. A namespace that no process lives in (kept by a
bind mount of its file) is not seen: the objset is what tells that something is left.
"""

import os
import re
from collections.abc import Collection
from dataclasses import dataclass

from zrepl_py.adapters.host.mounts import Mount, parse_mountinfo
from zrepl_py.adapters.hosting.processes import all_pids, task_paths
from zrepl_py.errors import Standing

_NAMESPACE = re.compile(r"mnt:\[([0-9]+)\]\Z")


@dataclass(frozen=True, slots=True)
class Namespace:
    """One mount namespace."""

    number: int
    task: str
    """`/proc/PID/task/TID` of a thread that lives in it."""
    pid: int
    own: bool
    mounts: tuple[Mount, ...]


def check_machines_own() -> None:
    """Standing(private-namespace) where what this process does would not be done to the machine."""
    for kind in ("mnt", "net"):
        if os.readlink(f"/proc/self/ns/{kind}") != os.readlink(f"/proc/1/ns/{kind}"):
            raise Standing(
                "private-namespace",
                f"The host worker lives in a {kind} namespace of its own, not in the machine's.",
                "Start it without a sandbox: no PrivateMounts=, ProtectSystem=, PrivateNetwork= or "
                "the like in its unit.",
            )


def observe_namespaces(kind: str) -> list[Namespace]:
    """Every mount namespace, the own one first, with its mounts of one kind (`zfs`)."""
    found: dict[int, tuple[int, str]] = {}
    own = _number_of("/proc/thread-self")
    for pid in (os.getpid(), *all_pids()):
        for task in task_paths(pid):
            number = _number_of(task)
            if number is not None and number not in found:
                found[number] = (pid, task)
    return [
        Namespace(number, task, pid, number == own, _mounts_of(task, kind))
        for number, (pid, task) in found.items()
    ]


def find_devices(
    namespaces: Collection[Namespace], datasets: Collection[str]
) -> dict[tuple[int, int], str]:
    """Device number → dataset, of those of the datasets that are mounted somewhere. Whoever is in
    a snapshot below `.zfs` keeps its dataset mounted, too."""
    wanted = frozenset(datasets)
    found = {m.device: m.source.partition("@")[0] for n in namespaces for m in n.mounts}
    return {device: dataset for device, dataset in found.items() if dataset in wanted}


def is_of(mount: Mount, datasets: Collection[str]) -> bool:
    """A mount of one of these, or of a snapshot of it that was entered below its `.zfs`."""
    dataset, is_snapshot, _ = mount.source.partition("@")
    return dataset in datasets and (not is_snapshot or "/.zfs/snapshot/" in mount.point)


def _number_of(task: str) -> int | None:
    try:
        match = _NAMESPACE.match(os.readlink(f"{task}/ns/mnt"))
    except OSError:
        return None  # It ended, or is the kernel's own.
    return int(match[1]) if match else None


def _mounts_of(task: str, kind: str) -> tuple[Mount, ...]:
    try:
        with open(f"{task}/mountinfo", "rb") as file:
            return tuple(m for m in parse_mountinfo(file.read()) if m.kind == kind)
    except OSError:
        return ()
