"""How does something whole take its name: never instead of another, or in exchange with it?

renameat2 does either atomically. Where the file system does not know its flags, a link does the
first; for the second, what was there is moved away first and comes back if anything fails.
Nothing is ever lost: whatever stood at the name afterwards stands under the kept name.
"""

import ctypes
import errno
import os

from zrepl_py.core.restoring import render_kept_name
from zrepl_py.errors import Refused

_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_UNKNOWN = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_TRIES = 100


def rename_without_replacing(old_fd: int, old: str, new_fd: int, new: str) -> None:
    """`old` becomes `new`; raises FileExistsError where `new` exists, else OSError."""
    code = _renameat2(old_fd, old, new_fd, new, _RENAME_NOREPLACE)
    if code == 0:
        return
    if code not in _UNKNOWN:
        raise OSError(code, os.strerror(code), new)
    # The file system does not know the flag. A link never replaces either.
    os.link(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd, follow_symlinks=False)
    os.unlink(old, dir_fd=old_fd)


def replace_and_keep(staged_fd: int, staged: str, folder_fd: int, name: str, at: int) -> str:
    """`staged` becomes `name`; what was there gets a clear name beside it, which is returned.

    `at` (seconds since 1970) becomes part of that name. Empty where nothing was there.
    Errors: Refused(mounted-there), OSError.
    """
    code = _renameat2(staged_fd, staged, folder_fd, name, _RENAME_EXCHANGE)
    if code == errno.ENOENT:
        rename_without_replacing(staged_fd, staged, folder_fd, name)
        return ""
    if code == errno.EBUSY:
        raise refuse_mounted(name)
    if code in _UNKNOWN:
        return _replace_by_steps(staged_fd, staged, folder_fd, name, at)
    if code != 0:
        raise OSError(code, os.strerror(code), name)
    return _keep(staged_fd, staged, folder_fd, name, at)


def refuse_mounted(path: str) -> Refused:
    """The error for a directory on which something is mounted."""
    return Refused(
        "mounted-there",
        f"A file system is mounted at or below {path}: it cannot be exchanged as a whole.",
        "Restore it to another place with --to, or the files and directories in it one by one.",
    )


def _replace_by_steps(staged_fd: int, staged: str, folder_fd: int, name: str, at: int) -> str:
    kept = _keep(folder_fd, name, folder_fd, name, at)
    try:
        rename_without_replacing(staged_fd, staged, folder_fd, name)
    except BaseException:
        rename_without_replacing(folder_fd, kept, folder_fd, name)
        raise
    return kept


def _keep(old_fd: int, old: str, folder_fd: int, name: str, at: int) -> str:
    """Give what is called `old` the kept name of `name`; returns that name."""
    for turn in range(_TRIES):
        kept = render_kept_name(name, at, turn)
        try:
            rename_without_replacing(old_fd, old, folder_fd, kept)
        except FileExistsError:
            continue
        return kept
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), kept)


def _renameat2(old_fd: int, old: str, new_fd: int, new: str, flags: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.renameat2(
        old_fd, os.fsencode(old), new_fd, os.fsencode(new), ctypes.c_uint(flags)
    )
    return 0 if result == 0 else ctypes.get_errno()
