"""What is in a volume's snapshot, as the records of core/proof_digest.py, from any position on?

A replica's device is never made visible, so the bytes are taken out of a plain `send` of the
snapshot: no flags, so every block comes whole and uncompressed; what is not sent is zeros. A block
that cannot be read ends the send: its piece is called unreadable, and the next send begins behind
it. One send at a time, and never more than one piece in memory.
"""

import hashlib
import os
import struct
from collections.abc import Iterator
from typing import IO

from zrepl_py.adapters.flow.task import Task
from zrepl_py.adapters.zfs.lzc_binding import binding, words_of
from zrepl_py.adapters.zfs.translate import judge_errno
from zrepl_py.core.proof_digest import (
    Record,
    key_of,
    make_content,
    make_unreadable,
    make_volume,
)
from zrepl_py.errors import Corrupt, Standing
from zrepl_py.model.proof import PIECE_BYTES, Position

_RECORD_BYTES = 312
_BEGIN, _OBJECT, _FREEOBJECTS, _WRITE, _FREE, _END = range(6)
_DATA_OBJECT = 1
_END_SECONDS = 30.0
_ZEROS = hashlib.sha256(bytes(PIECE_BYTES)).hexdigest()


class VolumeReading:
    """One walk over a volume's snapshot (its whole name)."""

    def __init__(self, snapshot: str, size_bytes: int, after: Position) -> None:
        self._snapshot, self._size = snapshot, size_bytes
        self._first = key_of(after)[1]

    def records(self) -> Iterator[Record]:
        """All records behind the position. Errors: key-missing, snapshot-missing, those of send."""
        if self._first == 0:
            yield make_volume(self._size)
        piece, last = max(1, self._first), -(-self._size // PIECE_BYTES)
        while piece <= last:
            try:
                for record in self._pieces(piece, last):
                    yield record
                    piece = record.index + 1
            except Corrupt as error:
                if error.reason != "io-error":
                    raise
                yield make_unreadable((), piece, "EIO")
                piece += 1

    def _pieces(self, first: int, last: int) -> Iterator[Record]:
        """Content from piece `first` on; ends with Corrupt(io-error) at what cannot be read."""
        offset = (first - 1) * PIECE_BYTES
        stream = _Sending(self._snapshot, offset)
        try:
            yield from self._assemble(stream, first, last)
        finally:
            stream.close()

    def _assemble(self, stream: "_Sending", piece: int, last: int) -> Iterator[Record]:
        block = bytearray(PIECE_BYTES)
        written = False
        for offset, octets in stream.writes():
            at = 0
            while at < len(octets):
                wanted = (offset + at) // PIECE_BYTES + 1
                while piece < min(wanted, last + 1):
                    yield self._record(piece, block if written else None)
                    if written:
                        block, written = bytearray(PIECE_BYTES), False
                    piece += 1
                if wanted != piece:
                    break  # behind the volume's end, or before where this reading began
                place = (offset + at) % PIECE_BYTES
                count = min(len(octets) - at, PIECE_BYTES - place)
                block[place : place + count] = octets[at : at + count]
                written, at = True, at + count
        while piece <= last:
            yield self._record(piece, block if written else None)
            block, written = bytearray(PIECE_BYTES), False
            piece += 1

    def _record(self, piece: int, block: bytearray | None) -> Record:
        length = min(PIECE_BYTES, self._size - (piece - 1) * PIECE_BYTES)
        if block is None and length == PIECE_BYTES:
            return make_content((), piece, _ZEROS, length)
        view = memoryview(block if block is not None else bytes(length))[:length]
        return make_content((), piece, hashlib.sha256(view).hexdigest(), length)


class _Sending:
    """A plain send of a snapshot's data object, beginning at an offset."""

    def __init__(self, snapshot: str, offset: int) -> None:
        reader, writer = os.pipe()
        self._file: IO[bytes] = os.fdopen(reader, "rb", 1 << 20)
        try:
            self._task = Task(lambda: _send(snapshot, offset, writer), f"digest {snapshot}")
        except BaseException:
            os.close(writer)
            self._file.close()
            raise

    def close(self) -> None:
        """End it; bounded."""
        self._file.close()
        self._task.wait(_END_SECONDS)
        self._task.close()

    def writes(self) -> Iterator[tuple[int, bytes]]:
        """(offset, bytes) of the data object, in order. Errors: those of send, stream-damaged."""
        while True:
            record = self._file.read(_RECORD_BYTES)
            if len(record) < _RECORD_BYTES:
                self._raise_end()
            kind, payload_bytes = struct.unpack_from("<II", record)
            if kind == _END:
                return
            if kind == _WRITE:
                number, _, offset = struct.unpack_from("<QIxxxxQ", record, 8)
                (payload_bytes,) = struct.unpack_from("<Q", record, 32)
                if record[50]:
                    raise _unexpected(kind)
            elif kind == _OBJECT:
                (number,) = struct.unpack_from("<Q", record, 8)
                if number > _DATA_OBJECT:
                    return  # the data object is behind
                payload_bytes = (struct.unpack_from("<I", record, 28)[0] + 7) & ~7
            elif kind not in (_BEGIN, _FREEOBJECTS, _FREE):
                raise _unexpected(kind)
            payload = self._file.read(payload_bytes)
            if len(payload) < payload_bytes:
                self._raise_end()
            if kind == _WRITE and number == _DATA_OBJECT:
                yield offset, payload

    def _raise_end(self) -> None:
        """The stream ended before its end: say why."""
        self._task.wait(_END_SECONDS)
        if self._task.ended:
            self._task.outcome()
        raise Corrupt("io-error", "ZFS ended a send before its end.", "Look at `zpool status -v`.")


def _send(snapshot: str, offset: int, fd: int) -> None:
    try:
        z = binding()
        try:
            if offset:
                z.lzc_send_resume(snapshot.encode(), None, fd, [], _DATA_OBJECT, offset)
            else:
                z.lzc_send(snapshot.encode(), None, fd, [])
        except z.exceptions.ZFSError as error:
            raise judge_errno("send", error.errno, snapshot, words_of(error)) from error
    finally:
        os.close(fd)


def _unexpected(kind: int) -> Standing:
    return Standing(
        "zfs-failed",
        f"A plain stream of a volume has a record of type {kind}, which zr does not know.",
        "Report it, with the output of `zfs version`.",
    )
