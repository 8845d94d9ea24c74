"""Send streams of an encrypted snapshot, made by hand, for the tests of what reads them."""

import os
import struct
from collections.abc import Mapping, Set

from zrepl_py.adapters.zfs.sending import RECORD_BYTES, Open, RecordKind, Sending
from zrepl_py.errors import Corrupt, Standing

SEAL = bytes(range(36))
"""Salt, initialisation vector and code of a block."""


def pack(kind: RecordKind, body: bytes, payload: bytes = b"", declared: int = 0) -> bytes:
    return (
        struct.pack("<II", kind, declared).ljust(8, b"\0")
        + body.ljust(RECORD_BYTES - 8, b"\0")
        + payload
    )


def make_begin(payload: bytes = b"nvlist..") -> bytes:
    return pack(RecordKind.BEGIN, b"", payload, len(payload))


def make_range(first: int, seal: bytes = SEAL) -> bytes:
    return pack(RecordKind.OBJECT_RANGE, struct.pack("<QQQ", first, 32, 9) + seal)


def make_dnode(number: int, bonus: bytes = b"bonus", toguid: int = 9) -> bytes:
    body = struct.pack("<QIIII", number, 19, 44, 131072, len(bonus))
    body += struct.pack("<BBBBIQQBBB", 7, 2, 1, 0, len(bonus), toguid, 3, 17, 2, 1)
    return pack(RecordKind.OBJECT, body, bonus)


def make_write(number: int, offset: int, stored: bytes, size: int = 131072) -> bytes:
    body = struct.pack("<QIIQQQ", number, 19, 0, offset, size, 9)
    body += struct.pack("<BBB5x", 7, 0, 2).ljust(48, b"k") + struct.pack("<Q", len(stored)) + SEAL
    return pack(RecordKind.WRITE, body, stored)


def make_spill(number: int, stored: bytes, size: int = 512) -> bytes:
    body = struct.pack("<QQQBB6xQ", number, size, 9, 0, 2, len(stored)) + SEAL
    return pack(RecordKind.SPILL, body, stored)


END = pack(RecordKind.END, b"")
Place = tuple[int, int]
"""An object and an offset in it."""
RANGE, DNODE, SPILL = -2, -1, 1 << 60
"""Offsets that stand for what is no content."""


def opening(
    blocks: Mapping[Place, bytes],
    broken: Set[Place] = frozenset(),
    opened: list[Place] | None = None,
) -> Open:
    """A snapshot whose stream is these records, in order. A send ends with an error at what is
    broken; one that begins at an object that is not there is refused, as by ZFS."""

    def open_sending(snapshot: str, start: Place | None) -> Sending:
        if opened is not None and start is not None:
            opened.append(start)

        def send(fd: int) -> None:
            with os.fdopen(fd, "wb") as pipe:
                if start is not None and (start[0], DNODE) not in blocks:
                    raise Standing("snapshot-missing", "There is no such object.")
                pipe.write(make_begin())
                for place, record in sorted(blocks.items()):
                    if start is not None and not _is_sent(place, start):
                        continue
                    if place in broken:
                        pipe.flush()
                        raise Corrupt("io-error", "It cannot be read.")
                    pipe.write(record)
                pipe.write(END)

        return Sending(send, snapshot)

    return open_sending


def _is_sent(place: Place, start: Place) -> bool:
    """Behind `start`; with its object, and the block of objects in which that is."""
    number, offset = place
    if offset == RANGE:
        return number + 32 > start[0]
    return place >= start or place == (start[0], DNODE)
