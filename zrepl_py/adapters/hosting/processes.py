"""Which processes are there, and who is who? Read from /proc, one small file at a time.

A process may end between any two reads: then what was asked of it is simply not there. Changes
nothing.
"""

import contextlib
import os
from collections.abc import Iterator

from zrepl_py.model.host import Process

PROC = "/proc"
_FIRST_AFTER_NAME = 3
"""The number, by proc(5), of the first field of `stat` behind the name in parentheses."""
_PARENT, _START = 4, 22


def all_pids() -> list[int]:
    """Of every process, smallest first."""
    return sorted(int(name) for name in os.listdir(PROC) if name.isdigit())


def task_paths(pid: int) -> list[str]:
    """`/proc/PID/task/TID` of each thread, the first one's first. A thread can have a namespace
    and a directory of its own."""
    with contextlib.suppress(OSError):
        return [f"{PROC}/{pid}/task/{t}" for t in sorted(os.listdir(f"{PROC}/{pid}/task"), key=int)]
    return []


def observe_process(pid: int) -> Process | None:
    """The process that has this number now; None where none has."""
    start = _stat_field(pid, _START)
    return None if start is None else Process(pid, start)


def observe_command(pid: int) -> str:
    """Its name, as the kernel keeps it."""
    return _read(f"{PROC}/{pid}/comm").rstrip("\n")


def own_line() -> frozenset[int]:
    """The first process of the machine, this one, and all that this one descends from."""
    return frozenset({1, *_ancestors(os.getpid())})


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 0:
        yield pid
        pid = _stat_field(pid, _PARENT) or 0


def _stat_field(pid: int, number: int) -> int | None:
    # The name may hold spaces and parentheses: count from the last one.
    words = _read(f"{PROC}/{pid}/stat").rpartition(")")[2].split()
    return int(words[number - _FIRST_AFTER_NAME]) if words else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
