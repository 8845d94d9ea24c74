"""Which processes have something of certain file systems open?

Judged by the device number of what a process holds, so a path, a namespace, or a file without a
name hides nothing. /proc is read; the file systems themselves are not asked, so that one that
hangs does not make this hang. A descriptor on its way through a socket is not seen.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from zrepl_py.adapters.host.statx import observe_devices
from zrepl_py.adapters.hosting.processes import (
    all_pids,
    observe_command,
    observe_process,
    task_paths,
)
from zrepl_py.model.host import Holder, Holding

Device = tuple[int, int]
_STATFS_BYTES = 120
"""sizeof(struct statfs); its first word is the file system's magic number."""
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass
class Lost:
    """File systems that are in use and mounted nowhere (`umount -l`)."""

    magic: int
    """What statfs calls this kind of file system."""
    mounted: frozenset[Device]
    """Of this kind, in any namespace: those are not lost."""
    looked: dict[Device, bool] = field(default_factory=dict)

    def has(self, device: Device, path: str) -> bool:
        """Is `path` on such a file system? Each device is asked once."""
        if device[0] != 0 or device in self.mounted:
            return False
        if device not in self.looked:
            self.looked[device] = _magic_of(path) == self.magic
        return self.looked[device]


def observe_holders(devices: Mapping[Device, str], lost: Lost | None) -> list[Holder]:
    """Who holds something on `devices` (device → dataset), or, with dataset "", on a lost one."""
    found = []
    for pid in all_pids():
        process, held = observe_process(pid), dict[str, dict[Holding, str]]()
        if process is None:
            continue
        for holding, path, device in _held_by(pid):
            if (dataset := devices.get(device)) is None:
                if lost is None or not lost.has(device, path):
                    continue
                dataset = ""
            held.setdefault(dataset, {}).setdefault(holding, path)
        if held and observe_process(pid) == process:
            command = observe_command(pid)
            for dataset, ways in sorted(held.items()):
                first = _shown(next(iter(ways.values())))
                found.append(Holder(process, command, dataset, tuple(ways), first))
    return found


def _held_by(pid: int) -> Iterator[tuple[Holding, str, Device]]:
    tasks = task_paths(pid)
    for task in tasks:
        for holding in (Holding.CWD, Holding.ROOT):
            yield from _link(holding, f"{task}/{holding}")
    for task in tasks:
        # All threads share their descriptors and memory, but the first may have ended already.
        try:
            numbers = os.listdir(f"{task}/fd")
        except OSError:
            continue
        for number in numbers:
            yield from _link(Holding.FD, f"{task}/fd/{number}")
        yield from _maps(task)
        if numbers:
            break


def _link(holding: Holding, path: str) -> Iterator[tuple[Holding, str, Device]]:
    try:
        within, itself = observe_devices(path)
    except OSError:
        return  # Closed meanwhile, or the kernel's own.
    yield holding, path, within
    if itself is not None:
        yield Holding.DEVICE, path, itself


def _maps(task: str) -> Iterator[tuple[Holding, str, Device]]:
    try:
        with open(f"{task}/maps", encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return
    process = task.partition("/task/")[0]
    seen: set[str] = set()
    for line in lines:
        words = line.split(maxsplit=5)
        if len(words) > 4 and words[4] != "0" and f"{words[3]} {words[4]}" not in seen:
            seen.add(f"{words[3]} {words[4]}")
            major, _, minor = words[3].partition(":")
            place = "-".join(part.lstrip("0") or "0" for part in words[0].split("-"))
            yield Holding.MAPS, f"{process}/map_files/{place}", (int(major, 16), int(minor, 16))


def _shown(path: str) -> str:
    """What a link of /proc leads to, as the process sees it."""
    with contextlib.suppress(OSError):
        return os.fsdecode(os.readlink(os.fsencode(path)))
    return path


def _magic_of(path: str) -> int:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        answer = ctypes.create_string_buffer(_STATFS_BYTES)
        if _LIBC.fstatfs(fd, answer) != 0:
            return 0
        return ctypes.c_long.from_buffer(answer).value
    finally:
        os.close(fd)
