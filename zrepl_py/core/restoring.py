"""What does a person mean who asks for something back, and what are the names on the way?

Pure. Names that are made here fit into one component of 255 bytes, and end up beside the restored
thing, never in it.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from zrepl_py.errors import Refused
from zrepl_py.model.names import check_dataset_name

MAX_COMPONENT_BYTES = 255
STAGING_PREFIX = ".zr-restore-"


class From(StrEnum):
    """Where a copy may be taken from."""

    LOCAL = "local"
    PEER = "peer"
    OFFSITE = "offsite"


def parse_sources(text: str) -> tuple[From, ...]:
    """`local,peer` → in that order, each once. Raises Refused(bad-source)."""
    words = [word.strip() for word in text.split(",")]
    try:
        found = tuple(dict.fromkeys(From(word) for word in words))
    except ValueError:
        raise Refused(
            "bad-source",
            f"{text!r} does not say where to restore from.",
            "Write local, peer, or both parted by a comma.",
        ) from None
    if From.OFFSITE in found:
        raise Refused(
            "bad-source",
            "Restoring from the offsite bucket is not there yet.",
            "Write local, peer, or both parted by a comma.",
        )
    return found


def could_be_dataset(words: str) -> bool:
    """Could `words` (before the @) name a dataset? `./tank/a` and `/tank/a` never do."""
    if words.startswith(("/", "./", "../")) or words in (".", ".."):
        return False
    try:
        check_dataset_name(words.rstrip("/"))
    except Refused:
        return False
    return True


def is_bare(words: str) -> bool:
    """A file's name without a directory: it is also looked for elsewhere."""
    return "/" not in words and words not in (".", "..")


def render_kept_name(name: str, at: int, turn: int = 0) -> str:
    """What was called `name` before a restore in its place, at `at` (seconds since 1970).

    `a.wav` → `a.wav.before-restore-20261121T093000Z`, then `…Z-2`; raises Refused(bad-name) where
    it would be too long.
    """
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    kept = f"{name}.before-restore-{stamp}" + (f"-{turn + 1}" if turn else "")
    if len(kept.encode("utf-8", "surrogateescape")) > MAX_COMPONENT_BYTES:
        raise Refused(
            "bad-name",
            f"{name[:40]!r}… is so long that there is no room for a name beside it.",
            "Restore it to another place with --to.",
        )
    return kept


def render_staging_name(order: Sequence[str]) -> str:
    """`.zr-restore-` and 16 hex digits that are always the same for the same order.

    So an interrupted run that is repeated finds what it has already. `order`: all that the content
    depends on, and where it goes.
    """
    text = json.dumps(list(order))
    return STAGING_PREFIX + hashlib.sha256(text.encode()).hexdigest()[:16]


def printable(text: str) -> str:
    """For terminals: a name from a snapshot may hold what steers them, or be no UTF-8."""
    return "".join(c if c.isprintable() else "?" for c in text)
