"""Resume tokens: where did a partial receive stop?

A token is `1-<fletcher4>-<size>-<hex of a zlib'd packed nvlist>` (dsl_dataset.c,
get_receive_resume_token_impl). Ours are read from our own kernel, never from a peer; still nothing
in one is trusted further than a bounded parse. Rendering exists for `zfs send -t` of the command
adapter, which gets only a validated (object, offset). Pure.
"""

import struct
import zlib
from dataclasses import dataclass

from zrepl_py.errors import Corrupt
from zrepl_py.model.observation import ResumePoint

_MAX_TOKEN_CHARS = 16_384
_MAX_PACKED_BYTES = 16_384
_TYPE_BOOLEAN, _TYPE_UINT64, _TYPE_STRING = 1, 8, 9
_HEADER = struct.pack("<BBHiI", 0, 1, 0, 0, 1)
"""Native encoding, little-endian, version 0, unique names."""
_HEADER_BYTES = 12
_PAIR = struct.Struct("<ihhii")
"""Size, size of the name, reserved, number of elements, type; then name and value, by 8 bytes."""

Value = int | str | None


@dataclass(frozen=True, slots=True)
class ResumeToken:
    """What a token says. Flags are those that the interrupted stream was sent with."""

    point: ResumePoint
    to_name: str
    large_blocks: bool = True
    compressed: bool = True
    embedded: bool = False


def parse_resume_token(text: str) -> ResumeToken:
    """Text → ResumeToken; raises Corrupt(bad-token)."""
    fields = parse_token_fields(text)
    numbers: dict[str, int] = {}
    for key in ("object", "offset", "bytes", "toguid", "fromguid"):
        value = fields.get(key, 0)
        if not isinstance(value, int):
            raise _bad(f"{key} is not a number")
        numbers[key] = value
    name = fields.get("toname")
    if not isinstance(name, str) or not numbers["toguid"]:
        raise _bad("it does not say of which snapshot it is")
    point = ResumePoint(
        to_guid=numbers["toguid"],
        from_guid=numbers["fromguid"],
        object=numbers["object"],
        offset=numbers["offset"],
        bytes_received=numbers["bytes"],
        raw="rawok" in fields,
    )
    return ResumeToken(
        point, name, "largeblockok" in fields, "compressok" in fields, "embedok" in fields
    )


def parse_token_fields(text: str) -> dict[str, Value]:
    """The token's nvlist; a boolean that is present has the value None."""
    parts = text.split("-")
    if len(text) > _MAX_TOKEN_CHARS or len(parts) != 4 or parts[0] != "1":
        raise _bad("it does not look like one")
    try:
        checksum, size, packed = int(parts[1], 16), int(parts[2], 16), bytes.fromhex(parts[3])
    except ValueError:
        raise _bad("it has characters that do not belong there") from None
    if size > _MAX_PACKED_BYTES:
        raise _bad("it claims to be too large")
    if fletcher4(packed) != checksum:
        raise _bad("its checksum is wrong")
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(packed, size)
    except zlib.error:
        raise _bad("it cannot be unpacked") from None
    if len(plain) != size:
        raise _bad("its size is wrong")
    return _parse_nvlist(plain)


def render_resume_token(token: ResumeToken) -> str:
    """ResumeToken → text. parse(render(x)) == x, but for what a token cannot say."""
    point = token.point
    pairs: list[tuple[str, Value]] = []
    if point.from_guid:
        pairs.append(("fromguid", point.from_guid))
    pairs += [
        ("object", point.object),
        ("offset", point.offset),
        ("bytes", point.bytes_received),
        ("toguid", point.to_guid),
        ("toname", token.to_name),
    ]
    flags = {
        "largeblockok": token.large_blocks,
        "embedok": token.embedded,
        "compressok": token.compressed,
        "rawok": point.raw,
    }
    pairs += [(name, None) for name, given in flags.items() if given]
    plain = _HEADER + b"".join(_render_pair(name, value) for name, value in pairs) + bytes(4)
    packed = zlib.compress(plain, 6)
    return f"1-{fletcher4(packed):x}-{len(plain):x}-{packed.hex()}"


def fletcher4(buffer: bytes) -> int:
    """First word of fletcher_4_native_varsize: the sum of whole little-endian 32-bit words."""
    whole = len(buffer) - len(buffer) % 4
    return int(sum(word for (word,) in struct.iter_unpack("<I", buffer[:whole]))) & (2**64 - 1)


def _parse_nvlist(plain: bytes) -> dict[str, Value]:
    """A packed nvlist in native encoding, of either byte order."""
    if plain[:1] != b"\0" or plain[1:2] not in (b"\0", b"\1"):
        raise _bad("it is not in native encoding")
    order = "<" if plain[1] else ">"
    fields: dict[str, Value] = {}
    at = _HEADER_BYTES
    try:
        while True:
            (size,) = struct.unpack_from(order + "i", plain, at)
            if size == 0:
                return fields
            if size < _PAIR.size or at + size > len(plain):
                raise _bad("one of its pairs has a wrong size")
            name, value = _parse_pair(plain[at : at + size], order)
            fields[name] = value
            at += size
    except (struct.error, UnicodeDecodeError):
        raise _bad("it ends too early") from None


def _parse_pair(pair: bytes, order: str) -> tuple[str, Value]:
    _, name_size, _, count, kind = struct.unpack_from(order + _PAIR.format[1:], pair)
    name = pair[_PAIR.size : _PAIR.size + name_size].split(b"\0", 1)[0].decode()
    at = _PAIR.size + _round8(name_size)
    if kind == _TYPE_UINT64 and count == 1:
        return name, int(struct.unpack_from(order + "Q", pair, at)[0])
    if kind == _TYPE_STRING and count == 1:
        return name, pair[at:].split(b"\0", 1)[0].decode()
    # Booleans carry nothing; other kinds (redaction lists) are noted as present.
    return name, None


def _render_pair(name: str, value: Value) -> bytes:
    raw_name = name.encode() + b"\0"
    if value is None:
        kind, count, body = _TYPE_BOOLEAN, 0, b""
    elif isinstance(value, int):
        kind, count, body = _TYPE_UINT64, 1, struct.pack("<Q", value)
    else:
        kind, count, body = _TYPE_STRING, 1, _padded(value.encode() + b"\0")
    size = _PAIR.size + _round8(len(raw_name)) + len(body)
    return _PAIR.pack(size, len(raw_name), 0, count, kind) + _padded(raw_name) + body


def _padded(raw: bytes) -> bytes:
    return raw.ljust(_round8(len(raw)), b"\0")


def _round8(size: int) -> int:
    return (size + 7) & ~7


def _bad(why: str) -> Corrupt:
    return Corrupt(
        "bad-token", f"The resume token cannot be used: {why}.", "Abort the partial receive."
    )
