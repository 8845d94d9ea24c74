"""The BEGIN record of a ZFS stream: what does a stream claim to be, and is it what we expect?

312 bytes in the byte order of the sender (include/sys/zfs_ioctl.h, dmu_replay_record_t). Pure.
Must never let a stream through that is compound, deduplicated, redacted, a clone, carries embedded
data, or differs from what was announced.
"""

import struct
from dataclasses import dataclass

from zrepl_py.errors import Refused

BEGIN_BYTES = 312
MAGIC = 0x2F5BACBAC
SUBSTREAM = 1
_LAYOUT = "IIQQQIIQQ256s"
_DRR_BEGIN, _DRR_END = 0, 5

SA_SPILL = 1 << 2
EMBED_DATA = 1 << 16
LZ4 = 1 << 17
LARGE_BLOCKS = 1 << 19
RESUMING = 1 << 20
COMPRESSED = 1 << 22
LARGE_DNODE = 1 << 23
RAW = 1 << 24
ZSTD = 1 << 25
LONGNAME = 1 << 28
LARGE_MICROZAP = 1 << 29
_ALLOWED = (
    SA_SPILL | LZ4 | LARGE_BLOCKS | RESUMING | COMPRESSED | LARGE_DNODE | RAW | ZSTD
    | LONGNAME | LARGE_MICROZAP
)  # fmt: skip
FLAG_CLONE = 1 << 0
_MAX_PAYLOAD_BYTES = 1 << 20
_OST_ZFS, _OST_ZVOL = 2, 3


@dataclass(frozen=True, slots=True)
class Begin:
    """A stream's own words about itself."""

    to_name: str
    to_guid: int
    from_guid: int
    features: int
    flags: int
    objset_type: int
    created_at: int
    payload_bytes: int
    header_type: int = SUBSTREAM

    @property
    def raw(self) -> bool:
        """Whether blocks are sent as they are on disk, encrypted ones without their key."""
        return bool(self.features & RAW)

    @property
    def resuming(self) -> bool:
        """Whether it continues a partial receive."""
        return bool(self.features & RESUMING)


def parse_begin(record: bytes) -> Begin:
    """312 bytes → Begin, in either byte order; raises Refused(unexpected-stream)."""
    if len(record) != BEGIN_BYTES:
        raise _refuse("it does not start with a whole BEGIN record")
    for order in "<>":
        fields = struct.unpack_from(order + _LAYOUT, record)
        if fields[0] == _DRR_BEGIN and fields[2] == MAGIC:
            break
    else:
        raise _refuse("it does not start like a ZFS stream")
    _, payload, _, version, creation, objset_type, flags, to_guid, from_guid, name = fields
    return Begin(
        to_name=name.split(b"\0", 1)[0].decode("utf-8", "replace"),
        to_guid=to_guid,
        from_guid=from_guid,
        features=(version >> 2) & ((1 << 56) - 1),
        flags=flags,
        objset_type=objset_type,
        created_at=creation,
        payload_bytes=payload,
        header_type=version & 3,
    )


def is_end_record(record: bytes, to_guid: int) -> bool:
    """Whether these last 312 bytes of a stream are its END record."""
    if len(record) != BEGIN_BYTES:
        return False
    found = (struct.unpack_from(order + "II4QQ", record) for order in "<>")
    return any(fields[0] == _DRR_END and fields[6] == to_guid for fields in found)


def render_begin(begin: Begin) -> bytes:
    """Begin → 312 bytes, little-endian; for the model and for tests."""
    version = begin.header_type | begin.features << 2
    head = struct.pack(
        "<" + _LAYOUT,
        _DRR_BEGIN,
        begin.payload_bytes,
        MAGIC,
        version,
        begin.created_at,
        begin.objset_type,
        begin.flags,
        begin.to_guid,
        begin.from_guid,
        begin.to_name.encode(),
    )
    return head.ljust(BEGIN_BYTES, b"\0")


def check_begin(
    begin: Begin, *, to_guid: int, from_guid: int, raw: bool, clone: bool = False
) -> None:
    """Refused(unexpected-stream) unless the stream is the announced one, and of a kind we take.

    `clone`: it may be one, for the receiver has said of what."""
    if begin.header_type != SUBSTREAM:
        raise _refuse("it is not a single stream")
    if begin.objset_type not in (_OST_ZFS, _OST_ZVOL):
        raise _refuse("it is neither of a file system nor of a volume")
    if begin.flags & FLAG_CLONE and not clone:
        raise _refuse("it is a clone")
    if begin.features & EMBED_DATA:
        raise _refuse("it has embedded data, which OpenZFS 2.3.9 loses silently")
    if begin.features & ~_ALLOWED:
        raise _refuse(f"it has features {begin.features & ~_ALLOWED:#x} that are never sent by zr")
    if begin.payload_bytes > _MAX_PAYLOAD_BYTES:
        raise _refuse("its BEGIN record is too large")
    if begin.raw != raw:
        raise _refuse("it is raw" if begin.raw else "it is not raw")
    if begin.to_guid != to_guid:
        raise _refuse(f"it is of {begin.to_guid:#x}, not of {to_guid:#x}")
    if begin.from_guid != from_guid:
        raise _refuse(f"it starts from {begin.from_guid:#x}, not from {from_guid:#x}")


def _refuse(why: str) -> Refused:
    return Refused(
        "unexpected-stream",
        f"The stream is not the expected one: {why}.",
        "Nothing was written. If it happens again, compare the versions of zr on both nodes.",
    )
