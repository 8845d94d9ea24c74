"""Are two open files the same, byte by byte, and where do they differ first? Reads both once."""

import hashlib
import os
from dataclasses import dataclass

from zrepl_py.adapters.files import translate_file_error
from zrepl_py.adapters.host.filecopy import Progress

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FilePair:
    """What was read."""

    sizes: tuple[int, int]
    digests: tuple[str, str]
    """sha256, hexadecimal."""
    first_difference: int | None
    """The offset of the first byte that differs, or where the shorter one ends; None: equal."""


def compare_files(old: int, new: int, progress: Progress) -> FilePair:
    """`old`, `new`: descriptors; `progress`: told of bytes read. Errors: io-error, file-failed."""
    digests = (hashlib.sha256(), hashlib.sha256())
    sizes = [0, 0]
    first: int | None = None
    try:
        while True:
            blocks = [_read(fd, size) for fd, size in zip((old, new), sizes, strict=True)]
            if not any(blocks):
                break
            if first is None and blocks[0] != blocks[1]:
                first = sizes[0] + _common(*blocks)
            for i, block in enumerate(blocks):
                digests[i].update(block)
                sizes[i] += len(block)
                progress(len(block))
    except OSError as error:
        raise translate_file_error(error, "A file that is compared") from error
    return FilePair((sizes[0], sizes[1]), (digests[0].hexdigest(), digests[1].hexdigest()), first)


def read_whole(fd: int, most: int) -> bytes:
    """The first `most` bytes. Errors: io-error, file-failed."""
    try:
        return _read(fd, 0, most)
    except OSError as error:
        raise translate_file_error(error, "A file that is compared") from error


def _read(fd: int, at: int, most: int = _BLOCK_BYTES) -> bytes:
    """Up to `most` bytes from `at`; fewer only at the end."""
    found = bytearray()
    while len(found) < most:
        part = os.pread(fd, most - len(found), at + len(found))
        if not part:
            break
        found += part
    return bytes(found)


def _common(a: bytes, b: bytes) -> int:
    """How many bytes at the beginning are equal."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
