"""How does a file appear whole or not at all, and never instead of another?

A NewFile has no name until `appear`; where the file system has no nameless files (O_TMPFILE) it has
a hidden one, which `close` removes. Appearing fails where the name is taken, atomically: linkat and
renameat2(RENAME_NOREPLACE) never replace anything.
"""

import ctypes
import errno
import os
import secrets
from types import TracebackType

from zrepl_py.errors import Refused

_RENAME_NOREPLACE = 1
_NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}
_TAKEN = "Use --to PATH for another place, or move the existing one away first."


class NewFile:
    """A file that is being written; readable and writable only by its owner until `appear`."""

    def __init__(self, directory_fd: int, *, nameless: bool = True) -> None:
        """Make it in this directory. `nameless=False` is for tests. Raises OSError."""
        self._directory_fd = directory_fd
        self._hidden = ""
        flags = os.O_RDWR | os.O_CLOEXEC
        self.fd = -1
        if nameless:
            try:
                self.fd = os.open(".", flags | os.O_TMPFILE, 0o600, dir_fd=directory_fd)
            except OSError as error:
                if error.errno not in _NO_TMPFILE:
                    raise
        if self.fd < 0:
            self._hidden = f".zr-restore-{secrets.token_hex(8)}"
            flags |= os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            self.fd = os.open(self._hidden, flags, 0o600, dir_fd=directory_fd)

    def appear(self, directory_fd: int, name: str) -> None:
        """Give it this name, in a directory of the same file system, durably.

        Errors: Refused(exists), OSError.
        """
        try:
            if self._hidden:
                rename_without_replacing(self._directory_fd, self._hidden, directory_fd, name)
                self._hidden = ""
            else:
                os.link(f"/proc/self/fd/{self.fd}", name, dst_dir_fd=directory_fd)
        except FileExistsError:
            raise refuse_existing(name) from None
        os.fsync(directory_fd)

    def close(self) -> None:
        """Let go; what did not appear is gone."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self._hidden:
            os.unlink(self._hidden, dir_fd=self._directory_fd)
            self._hidden = ""

    def __enter__(self) -> "NewFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def refuse_existing(path: str) -> Refused:
    """The error for a name that is taken."""
    return Refused("exists", f"{path} exists already; nothing is overwritten.", _TAKEN)


def rename_without_replacing(old_fd: int, old: str, new_fd: int, new: str) -> None:
    """renameat2(RENAME_NOREPLACE); raises FileExistsError where `new` exists, else OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.renameat2(
        old_fd, os.fsencode(old), new_fd, os.fsencode(new), ctypes.c_uint(_RENAME_NOREPLACE)
    )
    if result == 0:
        return
    code = ctypes.get_errno()
    if code != errno.EINVAL:
        raise OSError(code, os.strerror(code), new)
    # The file system does not know the flag. A link never replaces either.
    os.link(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd, follow_symlinks=False)
    os.unlink(old, dir_fd=old_fd)
