"""How does a process give way to all others? The lowest CPU priority, and the idle class of I/O.

Both are only asked for: where the system refuses (a unit without the right, another processor),
things go on as they are. OpenZFS schedules its reads by itself and heeds neither fully; what keeps
a reading from being in the way is its rate.
"""

import contextlib
import ctypes
import os
import platform

_NICE = 19
_SET_PRIORITY = {"x86_64": 251, "aarch64": 30}
"""The number of the system call ioprio_set, which libc has no function for."""
_WHO_PROCESS = 1
_IDLE_CLASS = 3 << 13


def yield_to_others() -> None:
    """For this process and all its later threads."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    number = _SET_PRIORITY.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, _WHO_PROCESS, 0, _IDLE_CLASS)
