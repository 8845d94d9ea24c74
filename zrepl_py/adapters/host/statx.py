"""What the kernel knows of an entry, with the moment of its birth, which os.stat does not give.

On ZFS the birth (crtime) tells a file from a later one that got the same inode number. Follows no
link in the last component. Reads only.
"""

import ctypes
import os
import stat
from dataclasses import dataclass

_AT_EMPTY_PATH, _AT_SYMLINK_NOFOLLOW = 0x1000, 0x100
_AT_FDCWD, _NO_AUTOMOUNT, _DONT_SYNC, _MODE = -100, 0x800, 0x4000, 0x3
_BASIC_AND_BIRTH, _BIRTH = 0xFFF, 0x800
_SECOND_NS = 1_000_000_000


class _Time(ctypes.Structure):
    _fields_ = (
        ("seconds", ctypes.c_int64),
        ("nanoseconds", ctypes.c_uint32),
        ("_spare", ctypes.c_int32),
    )


class _Answer(ctypes.Structure):
    """struct statx of linux/stat.h, 256 bytes."""

    _fields_ = (
        ("mask", ctypes.c_uint32),
        ("block_size", ctypes.c_uint32),
        ("attributes", ctypes.c_uint64),
        ("links", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("gid", ctypes.c_uint32),
        ("mode", ctypes.c_uint16),
        ("_spare0", ctypes.c_uint16),
        ("inode", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("blocks", ctypes.c_uint64),
        ("attributes_mask", ctypes.c_uint64),
        ("read_at", _Time),
        ("born_at", _Time),
        ("changed_at", _Time),
        ("modified_at", _Time),
        ("device_major_of_node", ctypes.c_uint32),
        ("device_minor_of_node", ctypes.c_uint32),
        ("device_major", ctypes.c_uint32),
        ("device_minor", ctypes.c_uint32),
        ("_rest", ctypes.c_uint8 * 112),
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """What is kept of it. Times are nanoseconds since 1970."""

    inode: int
    born_ns: int
    """0 where the file system does not say it."""
    size_bytes: int
    modified_ns: int
    changed_ns: int
    mode: int
    links: int
    uid: int
    gid: int
    device: tuple[int, int]
    """Of the file system that it is on."""


_LIBC = ctypes.CDLL(None, use_errno=True)


def observe_facts(name: str, folder: int) -> Facts:
    """Of the entry `name` in the directory with descriptor `folder`; an empty name means the
    directory itself. Raises OSError."""
    answer = _Answer()
    flags = _AT_SYMLINK_NOFOLLOW | (0 if name else _AT_EMPTY_PATH)
    found = _LIBC.statx(folder, os.fsencode(name), flags, _BASIC_AND_BIRTH, ctypes.byref(answer))
    if found != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    return Facts(
        answer.inode,
        _nanoseconds(answer.born_at) if answer.mask & _BIRTH else 0,
        answer.size,
        _nanoseconds(answer.modified_at),
        _nanoseconds(answer.changed_at),
        answer.mode,
        answer.links,
        answer.uid,
        answer.gid,
        (answer.device_major, answer.device_minor),
    )


def observe_devices(path: str) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """The device of the file system that a path, links followed, lies in, and its own number where
    it is a block device. Asks no server and no disk: a dead network mount does not make it hang.
    Raises OSError."""
    answer = _Answer()
    found = _LIBC.statx(
        _AT_FDCWD, os.fsencode(path), _DONT_SYNC | _NO_AUTOMOUNT, _MODE, ctypes.byref(answer)
    )
    if found != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    within = (answer.device_major, answer.device_minor)
    if not stat.S_ISBLK(answer.mode):
        return within, None
    return within, (answer.device_major_of_node, answer.device_minor_of_node)


def _nanoseconds(time: _Time) -> int:
    return int(time.seconds) * _SECOND_NS + int(time.nanoseconds)
