"""`python -m zrepl_py.adapters.hosting.elsewhere unmount|devices …`: what must happen in a mount
namespace other than zr's own, in a process of its own.

`unmount PID POINT…` leaves zr's namespace for that of a thread, and unmounts there, below that
thread's own root. Nothing of what is found there is executed. `devices DATASET…` mounts file
systems for a moment where nobody sees it, and prints `MAJOR:MINOR DATASET` of each: one that is
already in use has the same number there. Failures are silent: whoever asked looks again.
"""

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Sequence

from zrepl_py.adapters.host.privatemount import ensure_own_namespace

_NEW_NAMESPACE = 0x20000
_NOFOLLOW = 8
_DETACH = 2
_READ_ONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8
_CAREFUL = _NOSUID | _NODEV | _NOEXEC
_LIBC = ctypes.CDLL(None, use_errno=True)


def main(argv: Sequence[str]) -> int:
    """Always 0 where the words are understood."""
    verb, *names = argv
    if verb == "unmount":
        unmount(names[0], names[1:])
    elif verb == "devices":
        for dataset in names:
            if (device := find_device(dataset)) is not None:
                print(f"{os.major(device)}:{os.minor(device)} {dataset}", flush=True)
    else:
        return 2
    return 0


def unmount(task: str, points: Sequence[str]) -> None:
    """In the namespace, and below the root, of the thread at `task` (`/proc/PID/task/TID`)."""
    root = os.open(f"{task}/root", os.O_PATH | os.O_DIRECTORY)
    namespace = os.open(f"{task}/ns/mnt", os.O_RDONLY)
    if _LIBC.setns(namespace, _NEW_NAMESPACE) != 0:
        return
    os.fchdir(root)
    os.chroot(".")
    os.chdir("/")
    # The directory itself must not keep busy what it stands on.
    os.close(root)
    for point in points:
        _LIBC.umount2(os.fsencode(point), _NOFOLLOW)


def find_device(dataset: str) -> int | None:
    """The device number that the file system has while it is in use; None where it cannot be
    mounted (a volume, or its key is not loaded)."""
    ensure_own_namespace()
    place = tempfile.mkdtemp(prefix="zr-look-", dir="/run")
    try:
        # One that is in use can be mounted again in the way it is mounted already, and only so.
        for more in (_READ_ONLY, 0):
            flags = ctypes.c_ulong(_CAREFUL | more)
            if _LIBC.mount(os.fsencode(dataset), os.fsencode(place), b"zfs", flags, None) == 0:
                try:
                    return os.stat(place).st_dev
                finally:
                    _LIBC.umount2(os.fsencode(place), _DETACH)
        return None
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(place)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
