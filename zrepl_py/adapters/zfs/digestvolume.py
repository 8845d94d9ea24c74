"""What is in a volume's snapshot, as the records of core/proof_digest.py, from any position on?

A replica's device is never made visible, so the bytes are taken out of a plain `send` of the
snapshot: no flags, so every block comes whole and uncompressed; what is not sent is zeros. A block
that cannot be read ends the send: its piece is called unreadable, and the next send begins behind
it. One send at a time, and never more than one piece in memory.
"""

import hashlib
from collections.abc import Iterator

from zrepl_py.adapters.zfs.sending import Open, RecordKind, Sending, open_plain_sending
from zrepl_py.core.proof_digest import (
    Record,
    key_of,
    make_content,
    make_unreadable,
    make_volume,
)
from zrepl_py.errors import Corrupt
from zrepl_py.model.proof import PIECE_BYTES, Position

_DATA_OBJECT = 1
_ZEROS = hashlib.sha256(bytes(PIECE_BYTES)).hexdigest()


class VolumeReading:
    """One walk over a volume's snapshot (its whole name)."""

    def __init__(
        self,
        snapshot: str,
        size_bytes: int,
        after: Position,
        open_sending: Open = open_plain_sending,
    ) -> None:
        self._snapshot, self._size, self._open = snapshot, size_bytes, open_sending
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
        start = (_DATA_OBJECT, offset) if offset else None
        with self._open(self._snapshot, start) as stream:
            yield from self._assemble(_writes_of(stream), first, last)

    def _assemble(
        self, writes: Iterator[tuple[int, bytes]], piece: int, last: int
    ) -> Iterator[Record]:
        block = bytearray(PIECE_BYTES)
        written = False
        for offset, octets in writes:
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


def _writes_of(stream: Sending) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of the data object, in order."""
    for record in stream.records():
        if record.kind is RecordKind.OBJECT and record.object > _DATA_OBJECT:
            return  # the data object is behind
        if record.kind is RecordKind.WRITE and record.object == _DATA_OBJECT:
            yield record.offset, record.payload
