"""The model's streams: a real BEGIN record (so that the same checks work), then small records.

A record is a head (kind, object, offset, length, running checksum) and a payload. First NAMES: all
files of the version, and which of them are in the stream; then WRITE after WRITE in order of
(object, offset); then END. An increment without changes is BEGIN and END only. A resumed stream
says so in BEGIN and starts writing in the middle. Same version, same stream, byte by byte.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from zrepl_py.adapters.zfs.begin import (
    COMPRESSED,
    FLAG_CLONE,
    LARGE_BLOCKS,
    RAW,
    RESUMING,
    Begin,
    parse_begin,
    render_begin,
)
from zrepl_py.errors import Corrupt, Passing
from zrepl_py.model.observation import Kind
from zrepl_py.testing.model_zfs_state import Version

RECORD_BYTES = 65_536
HEAD = struct.Struct("<BIQII")  # kind, object, offset, length, checksum
NAMES, WRITE, END = 1, 2, 3
_OST = {Kind.FILESYSTEM: 2, Kind.VOLUME: 3}
KIND_OF = {number: kind for kind, number in _OST.items()}


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a stream, its checksum already compared."""

    kind: int
    object: int
    offset: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be sent."""

    to: Version
    whole_name: str
    kind: Kind
    base_guid: int
    """0 for a full stream."""
    base_txg: int
    raw: bool
    resume: tuple[int, int] | None
    clone: bool = False
    """The base is of the dataset that this one is a clone of."""


def render_stream(order: Order) -> Iterator[bytes]:
    """Order → pieces of its stream; the first is the BEGIN record."""
    features = LARGE_BLOCKS | COMPRESSED | (RAW if order.raw else 0)
    if order.resume is not None:
        features |= RESUMING
    yield render_begin(
        Begin(
            to_name=order.whole_name,
            to_guid=order.to.guid,
            from_guid=order.base_guid,
            features=features,
            flags=FLAG_CLONE if order.clone else 0,
            objset_type=_OST[order.kind],
            created_at=order.to.created_at,
            payload_bytes=0,
        )
    )
    if order.base_guid and order.to.changed_txg <= order.base_txg:
        yield _record(END, 0, 0, b"", 0)[1]
        return
    names = sorted(order.to.files)
    listed = [
        [name, len(f.content), f.mode, f.born > order.base_txg]
        for name, f in ((n, order.to.files[n]) for n in names)
    ]
    checksum, piece = _record(NAMES, 0, 0, json.dumps(listed).encode(), 0)
    yield piece
    first, start = order.resume or (1, 0)
    for number, name in enumerate(names, 1):
        file = order.to.files[name]
        if file.born <= order.base_txg or number < first:
            continue
        for offset in range(start if number == first else 0, len(file.content), RECORD_BYTES):
            part = file.content[offset : offset + RECORD_BYTES]
            checksum, piece = _record(WRITE, number, offset, part, checksum)
            yield piece
    yield _record(END, 0, 0, b"", checksum)[1]


class StreamReader:
    """Bytes in any pieces → records. Feed until `next_record` has one; then read on."""

    def __init__(self, read: "ReadExactly") -> None:
        self._read = read
        self._checksum = 0
        self._head = b""

    def begin(self) -> Begin:
        """The BEGIN record; errors: stream-cut, unexpected-stream."""
        return parse_begin(self._read(312))

    def look_ahead(self) -> None:
        """The head of the first record behind BEGIN; errors: stream-cut."""
        self._head = self._read(HEAD.size)

    def records(self) -> Iterator[Record]:
        """All records up to and with END; errors: stream-cut, stream-damaged."""
        while True:
            head, self._head = self._head or self._read(HEAD.size), b""
            kind, number, offset, length, checksum = HEAD.unpack(head)
            if kind not in (NAMES, WRITE, END) or length > 1 << 26:
                raise damaged("no record starts here")
            payload = self._read(length)
            self._checksum = zlib.crc32(payload, zlib.crc32(head[:-4], self._checksum))
            if self._checksum != checksum:
                raise damaged("a checksum is wrong")
            yield Record(kind, number, offset, payload)
            if kind == END:
                return


class ReadExactly:
    """Protocol-like: `read(n)` returns exactly n bytes or raises Passing(stream-cut)."""

    def __call__(self, size: int) -> bytes:
        raise NotImplementedError


class FromBytes(ReadExactly):
    """Reads a stream that is in memory."""

    def __init__(self, stream: bytes) -> None:
        self._view = memoryview(stream)

    def __call__(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        if len(self._view) < size:
            raise cut()
        piece, self._view = self._view[:size], self._view[size:]
        return bytes(piece)


class FromPipe(ReadExactly):
    """Reads a stream from a pipe, which it does not close."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __call__(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        buffer = bytearray()
        while len(buffer) < size:
            piece = os.read(self._fd, size - len(buffer))
            if not piece:
                raise cut()
            buffer += piece
        return bytes(buffer)


def damaged(why: str) -> Corrupt:
    """The stream's checksums do not fit."""
    return Corrupt("stream-damaged", f"The stream is damaged: {why}.", "Send it again.")


def cut() -> Passing:
    """The stream ended early."""
    return Passing("stream-cut", "The stream ended early.")


def _record(kind: int, number: int, offset: int, payload: bytes, before: int) -> tuple[int, bytes]:
    head = HEAD.pack(kind, number, offset, len(payload), 0)[:-4]
    checksum = zlib.crc32(payload, zlib.crc32(head, before))
    return checksum, head + struct.pack("<I", checksum) + payload
