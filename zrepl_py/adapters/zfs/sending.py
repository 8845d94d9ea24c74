"""What is in a send of one snapshot, record by record? For the readings that prove copies.

The send runs in a thread of its own and writes into a pipe; closing the reading end ends it. While
it runs, ZFS keeps its snapshot. One record at a time is in memory: at most a block, 16 MiB.
"""

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import IO

from zrepl_py.adapters.files import ClosedAtExit
from zrepl_py.adapters.flow.task import Task
from zrepl_py.adapters.zfs.lzc_binding import binding, words_of
from zrepl_py.adapters.zfs.translate import judge_errno
from zrepl_py.errors import Corrupt, Standing

RECORD_BYTES = 312
_END_SECONDS = 30.0


class RecordKind(IntEnum):
    """Types of records that zr's sends of one snapshot have (drr_type)."""

    BEGIN = 0
    OBJECT = 1
    FREEOBJECTS = 2
    WRITE = 3
    FREE = 4
    END = 5
    SPILL = 7
    OBJECT_RANGE = 9


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record of a send stream."""

    kind: RecordKind
    header: bytes
    """312 bytes: `dmu_replay_record_t`, little-endian."""
    payload: bytes

    @property
    def object(self) -> int:
        """Of OBJECT, WRITE and SPILL."""
        return int(struct.unpack_from("<Q", self.header, 8)[0])

    @property
    def offset(self) -> int:
        """Of WRITE: where in the object its bytes begin."""
        return int(struct.unpack_from("<Q", self.header, 24)[0])

    @property
    def size_bytes(self) -> int:
        """Of WRITE and SPILL: of its content, as applications see it."""
        place = 32 if self.kind is RecordKind.WRITE else 16
        return int(struct.unpack_from("<Q", self.header, place)[0])


class Sending(ClosedAtExit):
    """A running send; see open_sending."""

    def __init__(self, send: Callable[[int], None], name: str) -> None:
        """`send(fd)` writes the stream into `fd`, and closes it."""
        reader, writer = os.pipe()
        self._file: IO[bytes] = os.fdopen(reader, "rb", 1 << 20)
        try:
            self._task = Task(lambda: send(writer), f"digest {name}")
        except BaseException:
            os.close(writer)
            self._file.close()
            raise

    def close(self) -> None:
        """End it; bounded."""
        self._file.close()
        self._task.wait(_END_SECONDS)
        self._task.close()

    def records(self) -> Iterator[StreamRecord]:
        """All records, without END. Errors: those of send, Standing(zfs-failed)."""
        while True:
            header = self._read(RECORD_BYTES)
            kind = _kind_of(header)
            payload = self._read(_payload_bytes(kind, header))
            if kind is RecordKind.END:
                return
            yield StreamRecord(kind, header, payload)

    def _read(self, size: int) -> bytes:
        octets = self._file.read(size)
        if len(octets) < size:
            # The stream ended before its end: say why.
            self._task.wait(_END_SECONDS)
            if self._task.ended:
                self._task.outcome()
            raise Corrupt(
                "io-error", "ZFS ended a send before its end.", "Look at `zpool status -v`."
            )
        return octets


Open = Callable[[str, tuple[int, int] | None], Sending]
"""A snapshot's whole name, and from where on (object, offset); None: from its beginning."""


def open_plain_sending(snapshot: str, start: tuple[int, int] | None) -> Sending:
    """Without flags: every block comes whole and uncompressed."""
    return Sending(lambda fd: _send(snapshot, start, fd, []), snapshot)


def open_sealed_sending(snapshot: str, start: tuple[int, int] | None) -> Sending:
    """Of an encrypted snapshot, as it is stored."""
    flags = ["large_blocks", "compress", "raw"]
    return Sending(lambda fd: _send(snapshot, start, fd, flags), snapshot)


def _send(snapshot: str, start: tuple[int, int] | None, fd: int, flags: list[str]) -> None:
    try:
        z = binding()
        try:
            if start is not None:
                z.lzc_send_resume(snapshot.encode(), None, fd, flags, *start)
            else:
                z.lzc_send(snapshot.encode(), None, fd, flags)
        except z.exceptions.ZFSError as error:
            raise judge_errno("send", error.errno, snapshot, words_of(error)) from error
    finally:
        os.close(fd)


def _kind_of(header: bytes) -> RecordKind:
    (number,) = struct.unpack_from("<I", header)
    try:
        return RecordKind(number)
    except ValueError:
        raise Standing(
            "zfs-failed",
            f"A stream of a snapshot has a record of type {number}, which zr does not know.",
            "Report it, with the output of `zfs version`.",
        ) from None


def _payload_bytes(kind: RecordKind, header: bytes) -> int:
    """How long what follows the header is; include/sys/zfs_ioctl.h, DRR_*_PAYLOAD_SIZE."""
    if kind is RecordKind.OBJECT:
        bonus, raw_bonus = struct.unpack_from("<I4xI", header, 28)
        return int(raw_bonus or (bonus + 7) & ~7)
    if kind is RecordKind.WRITE:
        logical, stored = struct.unpack_from("<Q56xQ", header, 32)
        return int(stored if header[50] else logical)
    if kind is RecordKind.SPILL:
        logical, stored = struct.unpack_from("<Q16xQ", header, 16)
        return int(stored or logical)
    return int(struct.unpack_from("<I", header, 4)[0])
