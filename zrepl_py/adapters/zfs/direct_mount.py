"""Mount a file system as `zfs mount` does, without its process.

What a mount allows is on Linux the mount's own matter, so the flags are made of the properties
here, as libzfs makes them (lib/libzfs/os/linux/libzfs_mount_os.c); ZFS gets the same words.
Where anything is not plain (SELinux, an error), the caller asks the command, which also says why.
Must never be asked where files would be hidden: check_mountpoint_free (tree.py) comes first.
"""

import ctypes
import os

from zrepl_py.model.tree import TreeDataset

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_NOATIME, _MS_RELATIME, _MS_STRICTATIME = 0x400, 1 << 21, 1 << 24
_WORDS = {
    # property → where it is on, where it is off: the word for ZFS, the flag of the mount
    "atime": (("atime", 0), ("noatime", _MS_NOATIME)),
    "relatime": (("relatime", _MS_RELATIME), ("norelatime", _MS_STRICTATIME)),
    "devices": (("dev", 0), ("nodev", _MS_NODEV)),
    "exec": (("exec", 0), ("noexec", _MS_NOEXEC)),
    "setuid": (("suid", 0), ("nosuid", _MS_NOSUID)),
}
_SELINUX = "/sys/fs/selinux"


def plan_mount(dataset: TreeDataset) -> tuple[int, str]:
    """Flags and words of its mount. Pure."""
    flags, words = 0, ["defaults"]
    for name, (on, off) in _WORDS.items():
        word, flag = on if dataset.options.get(name) == "on" else off
        words.append(word)
        flags |= flag
    words.append("ro" if dataset.readonly else "rw")
    flags |= _MS_RDONLY if dataset.readonly else 0
    if flags & _MS_NOATIME:  # it would not be, with the other
        flags &= ~_MS_STRICTATIME
    return flags, ",".join([*words, "zfsutil", f"mntpoint={dataset.mountpoint}"])


def mount_directly(dataset: TreeDataset) -> bool:
    """Where its properties say; the directory is made. False: ask the command, nothing was done."""
    point = dataset.mountpoint
    whole = all(name in dataset.options for name in _WORDS)
    if not whole or not point.startswith("/") or "," in point or os.path.exists(_SELINUX):
        return False
    flags, words = plan_mount(dataset)
    try:
        os.makedirs(point, mode=0o755, exist_ok=True)
    except OSError:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    source, target, data = dataset.name.encode(), os.fsencode(point), os.fsencode(words)
    done: int = libc.mount(source, target, b"zfs", ctypes.c_ulong(flags), data)
    return done == 0
