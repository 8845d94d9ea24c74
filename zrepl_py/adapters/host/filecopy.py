"""How is a file copied so that one can say it is equal, and how is that shown?

The digest is of every byte that was read from the source, holes included: SEEK_HOLE is not asked,
because a file system that is wrong about its holes (OpenZFS was, before 2.2.2) would then be
believed twice. Blocks of zeros become holes in the copy.
"""

import hashlib
import os
from collections.abc import Callable

BLOCK_BYTES = 128 * 1024
_ZEROS = bytes(BLOCK_BYTES)

Progress = Callable[[int], None]
"""Told the number of bytes that were dealt with since the last call."""


class SourceUnreadable(Exception):
    """Reading the source failed; `cause` is the OSError. Never leaves adapters/host."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def copy_with_digest(source_fd: int, copy_fd: int, progress: Progress) -> tuple[int, str]:
    """Copy all from the start of the source into the empty `copy_fd`: (size in bytes, sha256 hex).

    Errors: SourceUnreadable, OSError where the copy cannot be written.
    """
    digest = hashlib.sha256()
    offset = 0
    while block := _read(source_fd, offset):
        digest.update(block)
        if block != _ZEROS:
            _write(copy_fd, block, offset)
        offset += len(block)
        progress(len(block))
    os.ftruncate(copy_fd, offset)
    return offset, digest.hexdigest()


def stream_with_digest(source_fd: int, output_fd: int, progress: Progress) -> tuple[int, str]:
    """Write all of the source to a pipe, terminal or file: (size in bytes, sha256 hex).

    `progress` counts each byte twice, as everywhere. Errors: SourceUnreadable, OSError.
    """
    digest = hashlib.sha256()
    offset = 0
    while block := _read(source_fd, offset):
        digest.update(block)
        view = memoryview(block)
        while view:
            view = view[os.write(output_fd, view) :]
        offset += len(block)
        progress(2 * len(block))
    return offset, digest.hexdigest()


def digest_of_stored(fd: int, progress: Progress) -> str:
    """sha256 (hex) of a file as its file system gives it back; raises OSError.

    The caller has fsynced it. The page cache is dropped first; ZFS may still answer from its ARC.
    So this shows that what the file system holds is what was read from the snapshot (no lost,
    short or misplaced write), not that the disk's surface can be read: that is what scrubs do.
    """
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    digest = hashlib.sha256()
    offset = 0
    while block := os.pread(fd, BLOCK_BYTES, offset):
        digest.update(block)
        offset += len(block)
        progress(len(block))
    return digest.hexdigest()


def _read(fd: int, offset: int) -> bytes:
    try:
        return os.pread(fd, BLOCK_BYTES, offset)
    except OSError as error:
        raise SourceUnreadable(error) from error


def _write(fd: int, block: bytes, offset: int) -> None:
    view = memoryview(block)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
