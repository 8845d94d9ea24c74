"""How are many files written, brought to stable storage, and proven, without a sync for each?

A batch keeps the new files open; `settle` syncs the file system once, reads every one of them again
and compares, gives it its times and enters it in the staging's log. Until then none of them is
believed. A file that differs ends everything: Corrupt(restore-mismatch).
"""

import ctypes
import os
from dataclasses import dataclass

from zrepl_py.adapters.host.attributes import set_times
from zrepl_py.adapters.host.filecopy import Progress, digest_of_stored
from zrepl_py.adapters.host.staging import Proven, Staging
from zrepl_py.adapters.host.treewalk import Components
from zrepl_py.core.restoring import printable
from zrepl_py.errors import Corrupt

MAX_FILES = 200
MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Written:
    fd: int
    path: Components
    old: os.stat_result
    size_bytes: int
    sha256: str


class Batch:
    """Files that were written and not yet proven."""

    def __init__(self, staging: Staging, progress: Progress) -> None:
        self._staging = staging
        self._progress = progress
        self._written: list[_Written] = []
        self._size_bytes = 0

    def add(
        self, fd: int, path: Components, old: os.stat_result, size_bytes: int, sha256: str
    ) -> None:
        """Take over `fd`, a new file with all but its times. Settles when it is full."""
        self._written.append(_Written(fd, path, old, size_bytes, sha256))
        self._size_bytes += size_bytes
        if len(self._written) >= MAX_FILES or self._size_bytes >= MAX_BYTES:
            self.settle()

    def settle(self) -> None:
        """Prove all. Errors: Corrupt(restore-mismatch), OSError."""
        if not self._written:
            return
        sync_file_system(self._staging.top)
        for file in self._written:
            whole = file.size_bytes == file.old.st_size
            if not whole or digest_of_stored(file.fd, self._progress) != file.sha256:
                shown = printable("/".join(file.path))
                raise Corrupt(
                    "restore-mismatch",
                    f"What was written for {shown} is not what the snapshot gave.",
                    "Check memory and disks of this machine; restore from another copy meanwhile. "
                    "The next run with the same arguments writes that file again.",
                )
            set_times(file.old, file.fd)
            self._staging.add(
                file.path,
                Proven(file.size_bytes, file.sha256, file.old.st_mtime_ns, file.old.st_ino),
            )
        self.drop()

    def drop(self) -> None:
        """Let go of what is not proven: the next run makes it again."""
        for file in self._written:
            os.close(file.fd)
        self._written.clear()
        self._size_bytes = 0


def sync_file_system(fd: int) -> None:
    """syncfs(2); raises OSError, also for a write that failed since the last one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(fd) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
