"""The canonical text of a tree, and the digest of it. docs/formats/digest.md. Pure.

Invariants: one snapshot has one sequence of records, whichever node reads it and however often the
reading was interrupted; the digest is a chain over the records, so it can go on from any position.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes

from zrepl_py.errors import Corrupt
from zrepl_py.model.proof import PIECE_BYTES, ROOT, Position

Components = tuple[bytes, ...]
Key = tuple[Components, int]
_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) != "%")
ENTRY, CONTENT, UNREADABLE, VOLUME, OBJECT = "e", "c", "x", "v", "o"
HEADS = (ENTRY, VOLUME, OBJECT)
"""Lines that stand for a path, and not for content."""
NAMES = "names:"
"""Before the error's name, where it is a directory's list that cannot be read."""
ATTRIBUTES = (
    "type",
    "mode",
    "owner",
    "group",
    "links",
    "object",
    "size",
    "modified",
    "changed",
    "accessed",
    "device",
    "target",
    "xattrs",
    "acl",
)
"""Fields of an entry, in order."""
ACL_FIELD = ATTRIBUTES.index("acl")


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the canonical text, without its end."""

    components: Components
    index: int
    line: str
    size_bytes: int = 0
    """Content that was read for it."""

    @property
    def is_entry(self) -> bool:
        """Does it stand for a path, and not for content?"""
        return self.index == 0

    @property
    def is_unreadable(self) -> bool:
        """Does it say that something could not be read?"""
        return self.line.startswith(UNREADABLE)


def render_path(components: Components) -> str:
    """(b"a", b"b c") → `a/b%20c`; the root is `.`."""
    return quote_from_bytes(b"/".join(components), safe=_SAFE) if components else ROOT


def parse_path(path: str) -> Components:
    """The other way. Errors: Corrupt(protocol)."""
    if path == ROOT:
        return ()
    components = tuple(unquote_to_bytes(path).split(b"/"))
    if any(c in (b"", b".", b"..") or b"\0" in c for c in components):
        raise Corrupt("protocol", "A path of a digest is none.")
    if render_path(components) != path:
        raise Corrupt("protocol", "A path of a digest is not in its own form.")
    return components


def key_of(position: Position) -> Key:
    """Where a position stands in the order of the records."""
    return parse_path(position.path), position.done


def make_entry(components: Components, fields: Iterable[str]) -> Record:
    """`fields` as ATTRIBUTES lists them; none has a space."""
    return Record(components, 0, " ".join((ENTRY, render_path(components), *fields)))


def make_volume(size_bytes: int) -> Record:
    """The entry of a volume's snapshot."""
    return Record((), 0, f"{VOLUME} {ROOT} {size_bytes}")


def sealed_path(number: int, *below: bytes) -> Components:
    """Where an object of an encrypted snapshot stands: the order of paths is that of numbers."""
    return (b"object-%015d" % number, *below)


def name_object(path: str) -> str:
    """A path of sealed_path, for people: `object-000000000000128` → `object 128`."""
    word, _, digits = path.partition("/")[0].partition("-")
    return f"{word} {int(digits)}" if digits.isdecimal() else path


def make_object(components: Components, digest: str) -> Record:
    """An object of an encrypted snapshot, or its spill block, as it is stored."""
    return Record(components, 0, f"{OBJECT} {render_path(components)} {digest}")


def make_content(components: Components, index: int, digest: str, size_bytes: int) -> Record:
    """Piece `index` (the first is 1) of a content."""
    line = f"{CONTENT} {render_path(components)} {offset_of(index)} {size_bytes} {digest}"
    return Record(components, index, line, size_bytes)


def make_unreadable(components: Components, index: int, error: str) -> Record:
    """What cannot be read: an entry (index 0), a directory's list or a piece of content."""
    line = f"{UNREADABLE} {render_path(components)} {offset_of(index)} {error}"
    return Record(components, index, line)


def offset_of(index: int) -> int:
    """Where piece `index` begins; -1 for an entry."""
    return -1 if index == 0 else (index - 1) * PIECE_BYTES


def index_of(line: str) -> int:
    """The index of a line within its path. Errors: Corrupt(protocol)."""
    fields = line.split(" ")
    if fields[0] in HEADS:
        return 0
    try:
        offset = int(fields[2])
    except (IndexError, ValueError):
        raise Corrupt("protocol", "A record of a digest is none.") from None
    return 0 if offset < 0 else offset // PIECE_BYTES + 1


def key_of_line(line: str) -> Key:
    """Where a line stands in the order. Errors: Corrupt(protocol)."""
    fields = line.split(" ", 3)
    if len(fields) < 3 or fields[0] not in (*HEADS, CONTENT, UNREADABLE):
        raise Corrupt("protocol", "A record of a digest is none.")
    return parse_path(fields[1]), index_of(line)


def chain(before: str, line: str) -> str:
    """The digest of everything before, and a line → the digest with that line."""
    return hashlib.sha256(bytes.fromhex(before) + line.encode("ascii") + b"\n").hexdigest()


def digest_values(values: Iterable[tuple[bytes, bytes]]) -> str:
    """Names and values (extended attributes, lists) → `COUNT:SHA256`; `-` where there are none."""
    known = sorted(values)
    if not known:
        return "-"
    digest = hashlib.sha256()
    for name, value in known:
        digest.update(b"%d %d " % (len(name), len(value)) + name + value)
    return f"{len(known)}:{digest.hexdigest()}"
