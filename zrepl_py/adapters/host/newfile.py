"""How does a file appear whole or not at all, and never instead of another?

A NewFile has no name until `appear`; where the file system has no nameless files (O_TMPFILE) it has
a hidden one, which `close` removes. Appearing fails where the name is taken, atomically; only
`appear_instead` takes a name that is taken, and what was there is kept (renaming.py).
"""

import contextlib
import errno
import fcntl
import os
import secrets

from zrepl_py.adapters.files import ClosedAtExit
from zrepl_py.adapters.host.renaming import rename_without_replacing, replace_and_keep
from zrepl_py.core.restoring import STAGING_PREFIX
from zrepl_py.errors import Refused

_NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}
_TAKEN = "Use --to PATH for another place, or --in-place, which keeps what is there beside it."


class NewFile(ClosedAtExit):
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
            hidden = _hidden_name()
            flags |= os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            self.fd = os.open(hidden, flags, 0o600, dir_fd=directory_fd)
            self._hidden = hidden
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # leftovers.py: it is worked on

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

    def appear_instead(self, directory_fd: int, name: str, at: int) -> str:
        """The same, but what has this name gets another one, which is returned (or "").

        `at`: seconds since 1970, for that name. Errors: Refused(mounted-there), OSError.
        """
        if not self._hidden:
            hidden = _hidden_name()
            os.link(f"/proc/self/fd/{self.fd}", hidden, dst_dir_fd=self._directory_fd)
            self._hidden = hidden
        hidden, self._hidden = self._hidden, ""
        try:
            kept = replace_and_keep(self._directory_fd, hidden, directory_fd, name, at)
        except BaseException:
            if self._is_mine(hidden):  # and not what was exchanged with it a moment ago
                self._hidden = hidden
            raise
        os.fsync(directory_fd)
        return kept

    def _is_mine(self, name: str) -> bool:
        try:
            found = os.stat(name, dir_fd=self._directory_fd, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(found, os.fstat(self.fd))

    def close(self) -> None:
        """Let go; what did not appear is gone."""
        if self._hidden:
            hidden, self._hidden = self._hidden, ""
            os.unlink(hidden, dir_fd=self._directory_fd)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def refuse_existing(path: str) -> Refused:
    """The error for a name that is taken."""
    return Refused("exists", f"{path} exists already; nothing is overwritten.", _TAKEN)


def _hidden_name() -> str:
    return f"{STAGING_PREFIX}{secrets.token_hex(8)}"
