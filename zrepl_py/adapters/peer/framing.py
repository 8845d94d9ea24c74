"""Frames. Which question it answers: where does one message end, and may it be this long?

A frame is `type u8, length u32 big endian, payload`. No I/O here: bytes go in, in any split, and
whole frames come out, or Corrupt(protocol). The decoder never allocates what a length field
claims: its buffer at most doubles beyond what has arrived.

A payload is a view into the decoder's buffer and is valid only until the next `space()`.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

from zrepl_py.errors import Bug, Corrupt


class FrameType(IntEnum):
    """The first byte of a frame. Numbers are for ever; new types get new numbers."""

    HELLO = 1
    CALL = 2
    ANSWER = 3
    FAILURE = 4
    BEGIN = 5
    READY = 6
    CHUNK = 7
    CHUNK_ZSTD = 8
    END = 9
    COMMITTED = 10
    CANCEL = 11
    PING = 12
    PONG = 13
    FETCH = 14
    COPIES = 15


CHUNK_LIMIT = 1 << 20
CALL_LIMIT = 16 << 20
SMALL_LIMIT = 64 << 10

# (least, most) payload bytes of each type.
LENGTHS: dict[FrameType, tuple[int, int]] = {
    FrameType.HELLO: (2, SMALL_LIMIT),
    FrameType.CALL: (2, CALL_LIMIT),
    FrameType.ANSWER: (2, CALL_LIMIT),
    FrameType.FAILURE: (2, SMALL_LIMIT),
    FrameType.BEGIN: (2, SMALL_LIMIT),
    FrameType.READY: (0, 0),
    FrameType.CHUNK: (1, CHUNK_LIMIT),
    FrameType.CHUNK_ZSTD: (1, CHUNK_LIMIT),
    FrameType.END: (2, SMALL_LIMIT),
    FrameType.COMMITTED: (2, SMALL_LIMIT),
    FrameType.CANCEL: (0, 0),
    FrameType.PING: (0, 0),
    FrameType.PONG: (0, 0),
    FrameType.FETCH: (2, SMALL_LIMIT),
    FrameType.COPIES: (2, CALL_LIMIT),
}

_HEADER = struct.Struct("!BI")
HEADER_BYTES = _HEADER.size
_FIRST_BUFFER = 64 << 10
_KEPT_BUFFER = 2 << 20
_LEAST_SPACE = 16 << 10


class Frame(NamedTuple):
    """One whole frame; `payload` is valid until the decoder's next `space()`."""

    type: FrameType
    payload: memoryview


def check_length(frame_type: FrameType, length_bytes: int) -> bool:
    """Whether a payload of this length may be in a frame of this type."""
    least, most = LENGTHS[frame_type]
    return least <= length_bytes <= most


def write_header(buffer: bytearray, frame_type: FrameType, length_bytes: int) -> None:
    """Put a header in front of a payload that already stands at buffer[HEADER_BYTES:]."""
    if not check_length(frame_type, length_bytes):
        raise Bug("frame-length", f"A {frame_type.name} frame of {length_bytes} bytes was made.")
    _HEADER.pack_into(buffer, 0, frame_type, length_bytes)


def render_frame(frame_type: FrameType, payload: bytes = b"") -> bytes:
    """Type and payload → the bytes of the frame."""
    if not check_length(frame_type, len(payload)):
        raise Bug("frame-length", f"A {frame_type.name} frame of {len(payload)} bytes was made.")
    return _HEADER.pack(frame_type, len(payload)) + payload


class FrameDecoder:
    """Bytes → frames.

    `view = space()`; read into it; `arrived(count)`; then `take()` until it returns None.
    """

    def __init__(self) -> None:
        self._buffer = bytearray(_FIRST_BUFFER)
        self._start = 0
        self._end = 0

    @property
    def unfinished_bytes(self) -> int:
        """Bytes that have arrived and were not yet taken as a frame."""
        return self._end - self._start

    @property
    def allocated_bytes(self) -> int:
        """Size of the buffer: never more than twice what has arrived, or the first size."""
        return len(self._buffer)

    def space(self) -> memoryview:
        """Where the next bytes go; never empty. Payloads handed out before are void."""
        rest = self._end - self._start
        free = len(self._buffer) - self._end
        if rest == 0 and len(self._buffer) > _KEPT_BUFFER:
            self._move_to(bytearray(_FIRST_BUFFER))
        elif self._start and (rest <= _LEAST_SPACE or free < _LEAST_SPACE):
            self._move_to(self._buffer)
        elif free < _LEAST_SPACE:
            self._move_to(bytearray(2 * len(self._buffer)))
        return memoryview(self._buffer)[self._end :]

    def arrived(self, count: int) -> None:
        """`count` bytes were put at the beginning of the last `space()`."""
        self._end += count

    def feed(self, octets: bytes) -> None:
        """Copy bytes in; for callers that do not read into `space()`."""
        rest = memoryview(octets)
        while rest:
            space = self.space()
            count = min(len(space), len(rest))
            space[:count] = rest[:count]
            self.arrived(count)
            rest = rest[count:]

    def take(self) -> Frame | None:
        """The next whole frame, or None; raises Corrupt(protocol) as soon as a header is wrong."""
        if self._end - self._start < HEADER_BYTES:
            return None
        number, length = _HEADER.unpack_from(self._buffer, self._start)
        try:
            frame_type = FrameType(number)
        except ValueError:
            raise Corrupt("protocol", f"The peer sent a frame of unknown type {number}.") from None
        if not check_length(frame_type, length):
            raise Corrupt("protocol", f"The peer sent a {frame_type.name} frame of {length} bytes.")
        first = self._start + HEADER_BYTES
        if self._end < first + length:
            return None
        self._start = first + length
        return Frame(frame_type, memoryview(self._buffer)[first : first + length].toreadonly())

    def _move_to(self, buffer: bytearray) -> None:
        rest = self._end - self._start
        # Views into the old buffer stay alive, so nothing here may resize a bytearray.
        with memoryview(self._buffer) as old, memoryview(buffer) as new:
            new[:rest] = old[self._start : self._end]
        self._buffer, self._start, self._end = buffer, 0, rest
