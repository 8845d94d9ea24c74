"""One line of the journal: how a record is written, hashed and read again.

Which question it answers: is this line exactly what was written after that one? Each line is one
JSON object in canonical form (sorted keys, no spaces, ASCII) whose `hash` is the SHA-256 of the
object without it, and whose `prev` is the hash of the line before, in the earlier segment too.
docs/formats/journal.md is the specification. No files here.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zrepl_py.errors import Bug
from zrepl_py.ports.journal import Json

FORMAT = 1
NO_HASH = "0" * 64
SEGMENT_KIND = "segment"
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
)
MAX_LINE_BYTES = 8 * 1024 * 1024
RESERVED = frozenset({"kind", "at", "hash", "prev"})


class DamagedLineError(ValueError):
    """A line is not what was written; the text says how."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was read and whose hash is right."""

    kind: str
    at: float
    prev: str
    hash: str
    fields: Mapping[str, Json]

    def record(self) -> Mapping[str, Json]:
        """As JournalPort shows it: `kind`, `at`, `hash`, and the fields."""
        return {"kind": self.kind, "at": self.at, "hash": self.hash, **self.fields}


def render_line(kind: str, at: float, prev: str, fields: Mapping[str, Json]) -> tuple[bytes, str]:
    """A record → (its line with the newline, its hash). Errors: Bug(journal-field)."""
    if RESERVED & fields.keys():
        raise Bug("journal-field", f"A record of kind {kind} uses a reserved field's name.")
    value = {"kind": kind, "at": at, "prev": prev, **fields}
    try:
        # Encoded once, in the two halves between which the hash goes: both have a field at least.
        before = _canonical({name: held for name, held in value.items() if name < "hash"})[:-1]
        after = _canonical({name: held for name, held in value.items() if name > "hash"})[1:]
    except (TypeError, ValueError) as error:
        raise Bug("journal-field", f"A record of kind {kind} is not JSON: {error}.") from error
    digest = hashlib.sha256(before + b"," + after).hexdigest()
    line = b'%b,"hash":"%b",%b\n' % (before, digest.encode(), after)
    if len(line) > MAX_LINE_BYTES:
        raise Bug("journal-field", f"A record of kind {kind} has {len(line)} bytes.")
    return line, digest


def parse_line(line: bytes, prev: str | None) -> Line:
    """A line without its newline → Line; `prev` None accepts any predecessor.

    Errors: DamagedLineError.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise DamagedLineError("it is not JSON") from None
    if not isinstance(value, dict):
        raise DamagedLineError("it is not an object")
    digest = value.pop("hash", None)
    try:
        fits = hashlib.sha256(_canonical(value)).hexdigest() == digest
    except ValueError:  # NaN and its like, which Python reads but never writes here.
        fits = False
    if not fits or not isinstance(digest, str):
        raise DamagedLineError("its hash does not fit its content")
    if _canonical({**value, "hash": digest}) != line:
        raise DamagedLineError("it is not in canonical form")
    kind, at, before = value.pop("kind", None), value.pop("at", None), value.pop("prev", None)
    if not isinstance(kind, str) or not isinstance(before, str) or type(at) not in (int, float):
        raise DamagedLineError("it lacks kind, at or prev")
    if prev is not None and before != prev:
        raise DamagedLineError("it does not follow the line before it")
    return Line(kind, float(at), before, digest, value)


def is_whole(tail: bytes) -> bool:
    """Whether an unterminated tail begins with a whole JSON object: then it was not torn there."""
    try:
        json.JSONDecoder().raw_decode(tail.decode("ascii", "replace"))
    except (ValueError, RecursionError):
        return False
    return True


def _canonical(value: Mapping[str, Any]) -> bytes:
    return _CANONICAL.encode(value).encode("ascii")
