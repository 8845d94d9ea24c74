"""What is in use in the kernel, and which block devices have the volumes?

The list of objsets is the proof that nothing can write into a file system: a mount in any
namespace, also one that no list shows any more, keeps its entry. A volume is always listed while
it has a device. Devices are asked by ioctl, because udev's links may be missing or late.
"""

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Collection, Iterator

from zrepl_py.adapters.hosting.holders import Device
from zrepl_py.adapters.zfs.kstat import read_pool_state
from zrepl_py.model.host import VolumeSeen

_KSTAT = "/proc/spl/kstat/zfs"
_BLOCK = "/sys/block"
_NAME_BYTES = 256
_GET_NAME = (2 << 30) | (_NAME_BYTES << 16) | (0x12 << 8) | 125
"""BLKZNAME of OpenZFS: _IOR(0x12, 125, char[256])."""
_GET_READONLY = 0x125E
"""BLKROGET."""


def observe_objsets(pool: str) -> frozenset[str]:
    """See HostPort. Errors: pool-missing, module-missing."""
    read_pool_state(pool)
    folder, found = f"{_KSTAT}/{pool}", set()
    for entry in os.listdir(folder):
        if entry.startswith("objset-"):
            with contextlib.suppress(OSError), open(f"{folder}/{entry}", encoding="utf-8") as file:
                found |= set(_names(file.readlines()))
    return frozenset(found)


def _names(lines: Collection[str]) -> Iterator[str]:
    for line in lines:
        words = line.rstrip("\n").split(maxsplit=2)
        if len(words) == 3 and words[0] == "dataset_name":
            yield words[2]


def observe_volumes(datasets: Collection[str]) -> list[VolumeSeen]:
    """See HostPort."""
    wanted, found = frozenset(datasets), []
    for disk in _disks():
        path = f"/dev/{disk}"
        with contextlib.suppress(OSError), _opened(path) as fd:
            name = _name_of(fd)
            if name in wanted:
                readonly = struct.unpack("i", fcntl.ioctl(fd, _GET_READONLY, bytes(4)))[0] != 0
                found.append(VolumeSeen(name, path, readonly, _above(disk), _is_claimed(path)))
    return sorted(found, key=lambda volume: volume.dataset)


def find_volume_devices(volumes: Collection[VolumeSeen]) -> dict[Device, str]:
    """Device number → dataset, of the volumes and their partitions."""
    found = {}
    for volume in volumes:
        for part in _with_partitions(volume.device.removeprefix("/dev/")):
            with contextlib.suppress(OSError), open(f"{part}/dev", encoding="ascii") as file:
                major, _, minor = file.read().strip().partition(":")
                found[int(major), int(minor)] = volume.dataset
    return found


def _disks() -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(name for name in os.listdir(_BLOCK) if name.startswith("zd"))
    return []


@contextlib.contextmanager
def _opened(path: str, flags: int = 0) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    try:
        yield fd
    finally:
        os.close(fd)


def _name_of(fd: int) -> str:
    answer = fcntl.ioctl(fd, _GET_NAME, bytes(_NAME_BYTES))
    return answer.partition(b"\0")[0].decode("utf-8", "replace")


def _with_partitions(disk: str) -> list[str]:
    folder = f"{_BLOCK}/{disk}"
    parts = sorted(name for name in os.listdir(folder) if name.startswith(disk))
    return [folder, *(f"{folder}/{part}" for part in parts)]


def _above(disk: str) -> tuple[str, ...]:
    found: set[str] = set()
    for part in _with_partitions(disk):
        with contextlib.suppress(OSError):
            found |= set(os.listdir(f"{part}/holders"))
    return tuple(sorted(found))


def _is_claimed(path: str) -> bool:
    """To open for oneself alone is refused where somebody else did. It counts for the whole disk
    also when only a partition was claimed."""
    try:
        with _opened(path, os.O_EXCL):
            return False
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise
