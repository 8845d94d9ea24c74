"""How are file systems unmounted, in every mount namespace, and their mounts made read-only?

Never lazily, never forced. No exit code is looked at: the mounts are read back.
"""

import ctypes
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from zrepl_py.adapters.host.mounts import Mount
from zrepl_py.adapters.hosting.namespaces import is_of, observe_namespaces
from zrepl_py.adapters.hosting.objsets import observe_volumes
from zrepl_py.adapters.hosting.running import Ran, run_limited
from zrepl_py.model.host import MountSeen
from zrepl_py.ports.clock import ClockPort

LIMIT_SECONDS = 50.0
"""Of one command; a worker's call has more."""
_NOFOLLOW = 8
_TOGETHER = 6
"""So many wait for ZFS at the same time: each waits for the txg with what was written last."""
_PYTHON = (sys.executable, "-m", "zrepl_py.adapters.hosting.elsewhere")


def observe_mounts(kind: str, datasets: Iterable[str]) -> list[MountSeen]:
    """See HostPort; `kind` is `zfs`. In the order in which they were made, by namespace."""
    wanted = frozenset(datasets)
    ordered = sorted(observe_namespaces(kind), key=lambda n: not n.own)
    return [
        MountSeen(m.source, m.point, m.root, m.readonly, n.number, n.pid, n.own)
        for n in ordered
        for m in n.mounts
        if m.source in wanted
    ]


def unmount_everywhere(kind: str, datasets: Sequence[str], clock: ClockPort) -> list[MountSeen]:
    """See HostPort."""
    wanted = frozenset(datasets)
    for namespace in sorted(observe_namespaces(kind), key=lambda n: not n.own):
        mounts = [m for m in reversed(namespace.mounts) if is_of(m, wanted)]
        if not namespace.own and mounts:
            points = [m.point for m in mounts]
            run((*_PYTHON, "unmount", namespace.task, *points), clock)
        else:
            _unmount_here(kind, mounts, clock)
    return observe_mounts(kind, datasets)


def _unmount_here(kind: str, mounts: Sequence[Mount], clock: ClockPort) -> None:
    """Deeper ones first, for they stand on the others; those of one depth at the same time."""
    libc = ctypes.CDLL(None, use_errno=True)

    def unmount(mount: Mount) -> None:
        if libc.umount2(os.fsencode(mount.point), _NOFOLLOW) != 0 and kind == "zfs":
            # It may be exported by NFS: the command knows of that.
            run(("zfs", "unmount", "--", mount.source), clock)

    with ThreadPoolExecutor(_TOGETHER) as threads:
        for _, level in groupby(sorted(mounts, key=_depth, reverse=True), _depth):
            list(threads.map(unmount, level))


def _depth(mount: Mount) -> int:
    return mount.point.rstrip("/").count("/")


def apply_readonly(
    kind: str, datasets: Sequence[str], readonly: bool, clock: ClockPort
) -> list[str]:
    """See HostPort."""
    for seen in observe_mounts(kind, datasets):
        if seen.own and seen.readonly != readonly:
            option = f"remount,{'ro' if readonly else 'rw'}"
            run(("mount", "-o", option, "--", seen.point), clock)
    wrong = {m.dataset for m in observe_mounts(kind, datasets) if m.readonly != readonly}
    wrong |= {v.dataset for v in observe_volumes(datasets) if v.readonly != readonly}
    return [dataset for dataset in datasets if dataset in wrong]


def mount_for_a_moment(datasets: Iterable[str], clock: ClockPort) -> dict[tuple[int, int], str]:
    """Read-only, where nobody sees it: device number → dataset, of file systems that can be. One
    that is in use has that number everywhere, and of any other the intent log is taken up."""
    names, found = sorted(datasets), {}
    if names:
        for line in run((*_PYTHON, "devices", *names), clock).out.splitlines():
            device, _, dataset = line.partition(" ")
            major, _, minor = device.partition(":")
            found[int(major), int(minor)] = dataset
    return found


def run(argv: Sequence[str], clock: ClockPort) -> Ran:
    """A command of the system, with a limit. Errors: command-missing."""
    return run_limited(argv, LIMIT_SECONDS, clock, {})
