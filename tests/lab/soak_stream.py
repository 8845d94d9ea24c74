"""Runs inside a node: what a volume's snapshot holds, as one digest, read from its full stream.

`python -c THIS` with a JSON list of snapshots on standard input. A replica's device is never made
visible, so `zfs send` (no flags: plain blocks) is decoded instead: every object's bytes by offset,
where blocks of zeros and holes count the same. The soak proves once that this reads what the device
reads (`device_digest`). Standard library only.
"""

import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

RECORD_BYTES = 312
BEGIN, OBJECT, FREEOBJECTS, WRITE, FREE, END, _, WRITE_EMBEDDED, SPILL = range(9)
STEP_BYTES = 4096
DATA_OBJECT = 1


def read_exactly(stream: IO[bytes], size: int) -> bytes:
    """All of it, or EOFError."""
    octets = stream.read(size)
    if len(octets) != size:
        raise EOFError(f"the stream ends {size - len(octets)} bytes too early")
    return octets


def read_records(stream: IO[bytes]) -> Iterator[tuple[int, bytes, bytes]]:
    """(type, record, payload) until END."""
    while True:
        record = read_exactly(stream, RECORD_BYTES)
        kind, payload_bytes = struct.unpack_from("<II", record)
        if kind == WRITE:
            compressed, logical = record[50], struct.unpack_from("<Q", record, 32)[0]
            if compressed:
                raise ValueError("a block is compressed, although -c was not given")
            payload_bytes = logical
        elif kind == OBJECT:
            payload_bytes = (struct.unpack_from("<I", record, 28)[0] + 7) & ~7
        elif kind in (WRITE_EMBEDDED, SPILL):
            raise ValueError(f"a record of type {kind} in a plain stream of a volume")
        yield kind, record, read_exactly(stream, payload_bytes)
        if kind == END:
            return


def digest_of(stream: IO[bytes]) -> tuple[str, int, str]:
    """(digest of everything, bytes that are not zero, digest of the data object's blocks)."""
    everything = hashlib.sha256()
    blocks: dict[tuple[int, int], bytes] = {}
    for kind, record, payload in read_records(stream):
        if kind == OBJECT:
            everything.update(record[8:32] + payload)
        elif kind == WRITE:
            number, _, offset = struct.unpack_from("<QIxxxxQ", record, 8)
            for start in range(0, len(payload), STEP_BYTES):
                piece = payload[start : start + STEP_BYTES]
                if piece.strip(b"\0"):
                    blocks[number, offset + start] = piece
    contents = hashlib.sha256()
    for (number, offset), piece in sorted(blocks.items()):
        everything.update(struct.pack("<QQ", number, offset) + piece)
        if number == DATA_OBJECT:
            contents.update(struct.pack("<Q", offset) + piece)
    return everything.hexdigest(), sum(map(len, blocks.values())), contents.hexdigest()


def device_digest(device: IO[bytes]) -> str:
    """The third value of digest_of, from the block device of the snapshot or volume itself."""
    contents, offset = hashlib.sha256(), 0
    while piece := device.read(STEP_BYTES):
        if piece.strip(b"\0"):
            contents.update(struct.pack("<Q", offset) + piece)
        offset += len(piece)
    return contents.hexdigest()


def main() -> None:
    """Snapshot → [digest, bytes, digest of the data]."""
    found: dict[str, tuple[str, int, str]] = {}
    for snapshot in json.load(sys.stdin):
        if snapshot.startswith("/dev/"):
            with open(snapshot, "rb") as device:
                found[snapshot] = ("", 0, device_digest(device))
            continue
        with subprocess.Popen(["zfs", "send", snapshot], stdout=subprocess.PIPE) as sending:
            assert sending.stdout is not None
            found[snapshot] = digest_of(sending.stdout)
        if sending.returncode != 0:
            raise SystemExit(f"zfs send {snapshot} ended with {sending.returncode}")
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
