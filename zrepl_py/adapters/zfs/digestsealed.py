"""What is in an encrypted snapshot, as the records of core/proof_digest.py, without any key?

A raw send gives every object and block as it is stored, encrypted, with the codes by which ZFS
knows it to be untouched; a replica that was received raw has the very same. So two sides with equal
records open to the same content with the same key. What the two streams differ in is left out:
ranges that are free, and the pools' own checksums. What cannot be read ends the send: it is called
unreadable, and the next send begins at the next object that lets it.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator

from zrepl_py.adapters.zfs.sending import (
    Open,
    RecordKind,
    Sending,
    StreamRecord,
    open_sealed_sending,
)
from zrepl_py.core.proof_digest import (
    Key,
    Record,
    key_of,
    make_content,
    make_object,
    make_unreadable,
    sealed_path,
)
from zrepl_py.errors import ZrError
from zrepl_py.model.proof import PIECE_BYTES, START, Position

TRIES = 256
"""Objects behind a damaged one at which the next send is tried; a block of objects has 32."""
_SPILL = b"spill"
_OBJECT = re.compile(rb"object-([0-9]{15})")


class SealedReading:
    """One walk over an encrypted snapshot (its whole name)."""

    def __init__(
        self, snapshot: str, after: Position, open_sending: Open = open_sealed_sending
    ) -> None:
        self._snapshot, self._open = snapshot, open_sending
        self._first: Key = key_of(after)
        self._start = _start_at(self._first)
        if self._start is None:
            self._first = key_of(START)  # no position of such a reading: nothing is behind it
        self._assembly = _Assembly(0)

    def records(self) -> Iterator[Record]:
        """All records behind the position. Errors: snapshot-missing, those of send."""
        start, tries = self._start, 0
        while True:
            read = False
            try:
                for record in self._read(start):
                    read = True
                    yield record
                return
            except ZrError as error:
                missing = error.reason == "snapshot-missing"
                if missing and start is not None and not tries:
                    # The position's object is not on this side: all is read, from the beginning.
                    start = None
                    continue
                if error.reason != "io-error" and not (missing and tries):
                    raise
            if read or not tries:
                yield from self._wanted([self._unreadable()])
                start, tries = (self._assembly.number + 1, 0), TRIES
            elif start is not None and tries > 1:
                start, tries = (start[0] + 1, 0), tries - 1
            else:
                return

    def _unreadable(self) -> Record:
        """The piece in which a send ended, or the one behind the last; never before what was told
        already."""
        there = (sealed_path(self._assembly.number), self._assembly.next_piece)
        path, piece = max(there, self._first)
        return make_unreadable(path, piece, "EIO")

    def _read(self, start: tuple[int, int] | None) -> Iterator[Record]:
        self._assembly = _Assembly(start[0] if start else 0)
        with self._open(self._snapshot, start) as stream:
            yield from self._wanted(self._assembly.records(stream))

    def _wanted(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            if (record.components, record.index) >= self._first:
                self._first = (record.components, record.index + 1)
                yield record


def _start_at(first: Key) -> tuple[int, int] | None:
    components, index = first
    named = _OBJECT.fullmatch(components[0]) if components else None
    if named is None:
        return None
    behind = 0 if len(components) > 1 else max(0, index - 1)
    return int(named[1]), behind * PIECE_BYTES


class _Assembly:
    """From the records of a stream to those of a digest."""

    def __init__(self, number: int) -> None:
        self.number = number
        """The object where the reading stands; 0: before the first."""
        self._range = b""
        self._piece, self._size = 0, 0
        self._digest = hashlib.sha256()
        self._last = 0

    def records(self, stream: Sending) -> Iterator[Record]:
        """Those of a whole stream."""
        for record in stream.records():
            if record.kind is RecordKind.WRITE:
                yield from self._write(record)
                continue
            if record.kind is RecordKind.OBJECT_RANGE:
                # How the block of objects itself is sealed; part of each object in it.
                self._range = record.header[8:24] + record.header[32:73]
            if record.kind is RecordKind.OBJECT:
                yield from self._flush()
                self.number, self._last = record.object, 0
                stored = record.header[8:40] + record.header[48:59] + record.payload
                digest = hashlib.sha256(self._range + stored).hexdigest()
                yield make_object(sealed_path(self.number), digest)
            if record.kind is RecordKind.SPILL:
                yield from self._flush()
                stored = record.header[8:24] + record.header[33:34] + record.header[40:88]
                digest = hashlib.sha256(stored + record.payload).hexdigest()
                yield make_object(sealed_path(record.object, _SPILL), digest)
        yield from self._flush()

    @property
    def next_piece(self) -> int:
        """The piece that is being put together, or else the one behind the last."""
        return self._piece or self._last + 1

    def _write(self, record: StreamRecord) -> Iterator[Record]:
        piece = record.offset // PIECE_BYTES + 1
        if (record.object, piece) != (self.number, self._piece):
            yield from self._flush()
        self.number, self._piece = record.object, piece
        header = record.header
        # Type, offset, size; compression; stored size and how the block is sealed.
        self._digest.update(header[16:20] + header[24:40] + header[50:51] + header[96:140])
        self._digest.update(record.payload)
        self._size += record.size_bytes
        if record.offset + record.size_bytes >= piece * PIECE_BYTES:
            yield from self._flush()

    def _flush(self) -> Iterator[Record]:
        if self._piece:
            path, digest = sealed_path(self.number), self._digest.hexdigest()
            yield make_content(path, self._piece, digest, self._size)
            self._last, self._piece, self._size = self._piece, 0, 0
            self._digest = hashlib.sha256()
