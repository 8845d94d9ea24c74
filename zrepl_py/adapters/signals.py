"""Signals as a descriptor: how does a process that waits in poll(2) learn of one, always?

Python's own handlers run between bytecodes of the main thread. A signal that arrives right before
poll(2), or in another thread, would be noticed only when poll returns by itself, which may be
never. Therefore the interpreter's C handler writes the signal's number into a pipe
(signal.set_wakeup_fd), and whoever waits also waits for the pipe.
"""

import os
import select
import signal


class Wake:
    """A flag that signals, threads and poll(2) share. Once it is set, it stays so until `take`."""

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def fileno(self) -> int:
        """Readable as soon as the flag is set."""
        return self._read_fd

    def set(self) -> None:
        """From any thread. A full pipe is set already."""
        try:
            os.write(self._write_fd, b"\0")
        except BlockingIOError:
            return

    def set_by(self, *numbers: signal.Signals) -> None:
        """From now on these signals only set the flag. Only in the main thread, once a process."""
        for number in numbers:
            signal.signal(number, _leave_to_the_pipe)
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def wait(self, seconds: float) -> bool:
        """True as soon as the flag is set, False after the time."""
        poller = select.poll()
        poller.register(self._read_fd, select.POLLIN)
        return bool(poller.poll(seconds * 1000))

    def take(self) -> frozenset[int]:
        """Clear the flag; the numbers of the signals that had set it, 0 for `set`."""
        try:
            return frozenset(os.read(self._read_fd, 65536))
        except BlockingIOError:
            return frozenset()


def _leave_to_the_pipe(_number: int, _frame: object) -> None:
    """A handler must exist; the pipe has the number already."""
