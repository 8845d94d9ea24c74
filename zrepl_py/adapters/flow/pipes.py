"""Pipes between a ZFS call and a relay.

Which question it answers: who owns which end? Ours is a PipeEnd, non-blocking, closed exactly
once; the other one is a plain descriptor that belongs to the ZFS call, which closes it.
"""

import contextlib
import fcntl
import os

from zrepl_py.errors import Passing

PIPE_BYTES = 1 << 20


class PipeEnd:
    """Our end of a pipe. Closing it is what ends a ZFS call at the other end."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""
        return self._fd

    def read_into(self, space: memoryview) -> int | None:
        """Bytes read, 0 at the end, None when there is nothing to read now."""
        try:
            return os.readv(self._fd, [space])
        except BlockingIOError:
            return None

    def write(self, octets: memoryview) -> int | None:
        """Bytes written, None when the pipe is full. BrokenPipeError when nobody reads."""
        try:
            return os.write(self._fd, octets)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def open_pipe_to_read() -> tuple[PipeEnd, int]:
    """(our reading end, the descriptor that a ZFS call writes and closes)."""
    reader, writer = _open_pipe()
    return PipeEnd(reader), writer


def open_pipe_to_write() -> tuple[PipeEnd, int]:
    """(our writing end, the descriptor that a ZFS call reads and closes)."""
    reader, writer = _open_pipe()
    return PipeEnd(writer), reader


def _open_pipe() -> tuple[int, int]:
    try:
        reader, writer = os.pipe()
    except OSError as error:
        raise Passing("no-resources", f"No pipe could be opened: {error.strerror}.") from None
    # Larger pipes mean fewer turns. Refused beyond the user's quota of pipe pages: then 64 KiB do.
    with contextlib.suppress(OSError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reader, writer
