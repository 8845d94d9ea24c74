"""Small files that must survive a power loss. Which question: how does a file become durable?

Invariants: a reader sees the old content or the new one, whole; when a write returns, the new one
survives a crash. Never follows a symbolic link in the last component, never writes in place.
"""

import contextlib
import errno
import fcntl
import os
import tempfile
from types import TracebackType
from typing import Self

from zrepl_py.errors import Corrupt, Passing, Refused, Standing, ZrError

_FULL = {errno.ENOSPC, errno.EDQUOT}


def sync_directory(path: str) -> None:
    """Make creations, renames and removals in this directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def ensure_directory(path: str, mode: int = 0o700) -> None:
    """The directory exists, durably; one that exists already keeps its mode."""
    try:
        os.makedirs(path, mode, exist_ok=True)
        sync_directory(os.path.dirname(os.path.abspath(path)))
    except OSError as error:
        raise translate_file_error(error, path) from error


def write_all(fd: int, content: bytes) -> None:
    """os.write until everything is written; raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def write_atomically(path: str, content: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` by `content`, durably. Errors: no-space, no-rights, io-error, file-failed.

    Written beside it first, fsynced, renamed, the directory fsynced.
    """
    directory = os.path.dirname(os.path.abspath(path))
    temporary = ""
    try:
        fd, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=directory)
        try:
            os.fchmod(fd, mode)
            write_all(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
        temporary = ""
        sync_directory(directory)
    except OSError as error:
        raise translate_file_error(error, path) from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def read_limited(path: str, limit_bytes: int) -> bytes | None:
    """The whole file, or None where there is none. Errors: file-too-large, no-rights, io-error."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise translate_file_error(error, path) from error
    try:
        with os.fdopen(fd, "rb") as file:
            content = file.read(limit_bytes + 1)
    except OSError as error:
        raise translate_file_error(error, path) from error
    if len(content) > limit_bytes:
        raise Corrupt(
            "file-too-large",
            f"{path} is larger than {limit_bytes} bytes; zr never writes it that large.",
            "Look at what wrote it, then restore it from a backup or remove it.",
        )
    return content


def translate_file_error(error: OSError, path: str) -> ZrError:
    """OSError → the tree of errors."""
    cause = os.strerror(error.errno or 0)
    if error.errno in _FULL:
        return Passing("no-space", f"There is no space to write {path}.", "Free some space there.")
    if error.errno == errno.EIO:
        return Corrupt("io-error", f"{path}: {cause}.", "Check the disk below this file.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Standing("no-rights", f"{path}: {cause}.", "Check its owner and mode.")
    return Standing("file-failed", f"{path}: {cause}.", "Check the path and the file system.")


class ClosedAtExit:
    """What `with` closes. Whoever inherits has a `close` that may be called twice."""

    def close(self) -> None:
        """Let go of everything; again is no error."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Lock(ClosedAtExit):
    """An exclusive lock on a file that names its holder's pid; held until closed or process end.

    The file stays after the end: removing it would let two processes lock two files of one name.
    """

    def __init__(self, path: str, purpose: str) -> None:
        """Take it, or raise Refused(already-running) naming the holder's pid. Never waits."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._fd = os.open(path, flags, 0o644)
        except OSError as error:
            raise translate_file_error(error, path) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            self.close()
            raise Refused(
                "already-running",
                f"{purpose} is in use by the process with pid {holder} ({path}).",
                "Stop that process first, or let it do the work.",
            ) from None
        except OSError as error:
            self.close()
            raise translate_file_error(error, path) from error

    def close(self) -> None:
        """Give it back; again is no error."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
