"""Which dataset does a path lie in, and is what was written there handed to ZFS?

`flush` returns when everything that was written through this machine's page cache to the path's
file system (or volume) is in the hands of ZFS, so that a snapshot taken afterwards has it.
"""

import ctypes
import os
import stat
from collections.abc import Sequence

from zrepl_py.adapters.files import translate_file_error
from zrepl_py.adapters.host.mounts import Mount, covering
from zrepl_py.errors import Refused

_VOLUMES = "/dev/zvol"
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


def flush(path: str, mounts: Sequence[Mount]) -> str:
    """Returns the dataset's name. Errors: Refused(not-on-zfs); Standing(no-rights, file-failed);
    Passing(no-space)."""
    try:
        fd = os.open(path, _FLAGS)
    except OSError as error:
        raise translate_file_error(error, path) from None
    try:
        if stat.S_ISBLK(os.fstat(fd).st_mode):
            dataset = _volume_of(path)
            os.fsync(fd)
        else:
            dataset = _dataset_of(path, mounts)
            _syncfs(fd)
    except OSError as error:
        raise translate_file_error(error, path) from None
    finally:
        os.close(fd)
    return dataset


def flush_all() -> None:
    """Everything of every file system of this machine (sync(2), which waits on Linux)."""
    os.sync()


def _dataset_of(path: str, mounts: Sequence[Mount]) -> str:
    mount = covering(os.path.realpath(path), mounts)
    if mount is None or mount.kind != "zfs" or "@" in mount.source:
        kind = mount.kind if mount else "nothing"
        raise Refused(
            "not-on-zfs",
            f"{path} is not on a mounted ZFS dataset, but on {kind}.",
            "Name a file or directory of a protected dataset, or nothing for all of them.",
        )
    return mount.source


def _volume_of(path: str) -> str:
    device = os.stat(path).st_rdev
    for folder, _, names in os.walk(_VOLUMES):
        for name in names:
            link = os.path.join(folder, name)
            if os.stat(link).st_rdev == device:
                return os.path.relpath(link, _VOLUMES)
    raise Refused(
        "not-on-zfs", f"{path} is not a ZFS volume.", f"Volumes are found below {_VOLUMES}."
    )


def _syncfs(fd: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.syncfs(fd) != 0:  # Python has os.sync and os.fsync, but not this one
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
