"""Which process is it really, and how is it ended for certain?

A pid alone may have been reused; a pid with its start time cannot be mistaken.
Nothing in the lab signals a process that was not checked this way.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import LabError


@dataclass(frozen=True)
class Identity:
    pid: int
    started: int
    """Field 22 of /proc/PID/stat: clock ticks after the host's boot."""

    boot: str
    """The host's boot: pids of an earlier one mean nothing."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def is_alive(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return identify(self.pid) == self and not is_zombie(self.pid)
        return False

    def kill(self, *, timeout_seconds: float = 60) -> None:
        """SIGKILL, and wait until it has really ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if not self.is_alive():  # checked after opening: the descriptor cannot be reused
                return
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            if not select.select([descriptor], [], [], timeout_seconds)[0]:
                raise LabError(f"process {self.pid} survived SIGKILL for {timeout_seconds} s")
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)


def stat_fields(pid: int) -> list[str]:
    """The fields after the command name, which may itself contain anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pids: Iterable[int]) -> float:
    """What these processes have used, and what their children that ended had used."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            ticks += sum(map(int, stat_fields(pid)[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def is_zombie(pid: int) -> bool:
    return stat_fields(pid)[0] in "ZX"


def identify(pid: int) -> Identity:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Identity(pid, int(stat_fields(pid)[19]), boot)


def in_same_pid_namespace(pid: int) -> list[int]:
    """All processes that live in the pid namespace of `pid`."""
    wanted = os.readlink(f"/proc/{pid}/ns/pid")
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{entry}/ns/pid") == wanted:
                    found.append(int(entry))
    return found
