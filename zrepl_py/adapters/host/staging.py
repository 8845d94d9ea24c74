"""Where does a tree grow until it is whole, and how does an interrupted one go on?

It grows under a hidden name in the very directory in which it will appear, closed to all others,
with a log beside it: a line per file that was written, read again, compared, and is on stable
storage. The name follows from the order alone, so the same command finds what it has. What is not
in the log is not believed, and made again. Never writes to anything that existed before.
"""

import contextlib
import fcntl
import json
import os
import stat
from dataclasses import dataclass

from zrepl_py.adapters.files import ClosedAtExit, translate_file_error, write_all
from zrepl_py.adapters.host.treewalk import Components
from zrepl_py.errors import Refused, Standing

FORMAT = 1
LOG_SUFFIX = ".log"


@dataclass(frozen=True, slots=True)
class Proven:
    """A file of the staged tree that was compared."""

    size_bytes: int
    sha256: str
    mtime_ns: int
    ino: int
    """Of the old file: with size and time it says that it is still the same one."""


class Staging(ClosedAtExit):
    """A hidden tree and its log, locked for this process."""

    def __init__(self, folder: str, folder_fd: int, name: str) -> None:
        """Begin, or go on with what is there. `folder` is for sentences.

        Errors: Refused(already-running), Standing(no-rights) where something of that name is not
        this user's own, no-space, file-failed.
        """
        self.folder_fd = folder_fd
        self.name = name
        self.path = os.path.join(folder, name)
        self.proven: dict[Components, Proven] = {}
        self._log = -1
        self._top = -1
        self._place = folder
        try:
            self._log = self._open_log()
            self._top = self._open_top()
        except OSError as error:
            self.close()
            raise translate_file_error(error, self.path) from error
        except BaseException:
            self.close()
            raise

    @property
    def top(self) -> int:
        """A descriptor of the staged tree's top directory."""
        return self._top

    def add(self, path: Components, proven: Proven) -> None:
        """`path` is whole, compared and on stable storage."""
        line = [list(path), proven.size_bytes, proven.sha256, proven.mtime_ns, proven.ino]
        write_all(self._log, json.dumps(line).encode() + b"\n")
        self.proven[path] = proven

    def forget(self) -> None:
        """The tree has its name: the log goes."""
        os.unlink(self.name + LOG_SUFFIX, dir_fd=self.folder_fd)

    def _open_log(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.name + LOG_SUFFIX, flags, 0o600, dir_fd=self.folder_fd)
        try:
            self._check_own(os.fstat(fd), stat.S_ISREG)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(
                    "already-running",
                    f"Another zr restores the same to the same place ({self.path}).",
                    "Let it do the work.",
                ) from None
            self._read_log(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _read_log(self, fd: int) -> None:
        """Believe whole lines up to the first that makes no sense; a torn last one is cut off."""
        with open(os.dup(fd), "rb") as file:
            file.seek(0)
            content = file.read()
        whole = 0
        for line in content.splitlines(keepends=True):
            entry = _parse_line(line)
            if entry is None:
                break
            self.proven[entry[0]] = entry[1]
            whole += len(line)
        if whole < len(content):
            os.ftruncate(fd, whole)

    def _open_top(self) -> int:
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.name, 0o700, dir_fd=self.folder_fd)
            self.proven.clear()  # the log is of a tree that somebody removed
            os.ftruncate(self._log, 0)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.name, flags, dir_fd=self.folder_fd)
        try:
            self._check_own(os.fstat(fd), stat.S_ISDIR)
            os.fchmod(fd, 0o700)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _check_own(self, found: os.stat_result, kind: object) -> None:
        if callable(kind) and kind(found.st_mode) and found.st_uid == os.geteuid():
            return
        raise Standing(
            "no-rights",
            f"{self.path} is where this restore would grow, but it is not yours.",
            "Look at who made it; move it away, or restore to another place with --to.",
        )

    def close(self) -> None:
        """Let go; tree and log stay for the next run."""
        for fd in (self._top, self._log):
            if fd >= 0:
                os.close(fd)
        self._top = self._log = -1


def _parse_line(line: bytes) -> tuple[Components, Proven] | None:
    try:
        path, size, sha256, mtime, ino = json.loads(line)
        proven = Proven(int(size), str(sha256), int(mtime), int(ino))
        components = tuple(str(c) for c in path)
    except (ValueError, TypeError):
        return None
    return (components, proven) if line.endswith(b"\n") else None
