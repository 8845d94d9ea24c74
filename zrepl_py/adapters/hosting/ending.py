"""How do processes end: asked first, then without being asked, and never the wrong one?

Each is held by a pidfd that was opened before its start time was compared, so a signal reaches
that very process or none. The first process of the machine and our own line are left alone.
"""

import contextlib
import os
import select
import signal
from collections.abc import Collection, Sequence

from zrepl_py.adapters.clock import Deadline
from zrepl_py.adapters.hosting.processes import observe_process, own_line
from zrepl_py.model.host import Ending, Process, ProcessEnd
from zrepl_py.ports.clock import ClockPort

KILL_SECONDS = 5.0


def end_processes(
    processes: Sequence[Process],
    holding: Collection[Process],
    patience_seconds: float,
    clock: ClockPort,
) -> list[ProcessEnd]:
    """End those of `processes` that are in `holding`; see HostPort.end_holders."""
    protected, endings = own_line(), dict[Process, Ending]()
    waiting: dict[Process, int] = {}
    try:
        for process in dict.fromkeys(processes):
            if process.pid in protected:
                endings[process] = Ending.PROTECTED
            elif (fd := _open(process)) is None:
                endings[process] = Ending.GONE
            elif process not in holding:
                os.close(fd)
                endings[process] = Ending.RELEASED
            else:
                waiting[process] = fd
        steps = ((signal.SIGTERM, patience_seconds, Ending.ENDED),)
        for number, seconds, ending in (*steps, (signal.SIGKILL, KILL_SECONDS, Ending.KILLED)):
            for process in _signal_and_wait(waiting, number, Deadline(clock, seconds)):
                endings[process] = ending
                os.close(waiting.pop(process))
        endings |= dict.fromkeys(waiting, Ending.SURVIVED)
    finally:
        for fd in waiting.values():
            os.close(fd)
    return [ProcessEnd(process, endings[process]) for process in processes]


def _open(process: Process) -> int | None:
    """A descriptor of this very process; None where it is gone."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return None
    if observe_process(process.pid) == process:
        return fd
    os.close(fd)
    return None


def _signal_and_wait(
    waiting: dict[Process, int], number: signal.Signals, deadline: Deadline
) -> list[Process]:
    """Those that have ended by then."""
    poller, by_fd = select.poll(), {fd: process for process, fd in waiting.items()}
    for fd in by_fd:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, number)
        poller.register(fd, select.POLLIN)
    ended: list[Process] = []
    while len(ended) < len(by_fd):
        ready = poller.poll((deadline.remaining_seconds() or 0.0) * 1000)
        if not ready:
            break
        for fd, _ in ready:
            poller.unregister(fd)
            ended.append(by_fd[fd])
    return ended
