"""Where did an interrupted comparison stop? One file, replaced whole.

A file that cannot be understood counts as none: losing it costs reading again, and nothing more.
"""

import json

from zrepl_py.adapters.files import read_limited, write_atomically
from zrepl_py.core.codec import decode, encode
from zrepl_py.errors import ZrError
from zrepl_py.model.proof import FORMAT, Reading

_LIMIT_BYTES = 16 << 20


class PositionFile:
    """`STATE/proof-position.json`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def load(self) -> Reading | None:
        """The comparison that was interrupted, or None."""
        try:
            content = read_limited(self._path, _LIMIT_BYTES)
            value = json.loads(content) if content else None
            if not isinstance(value, dict) or value.get("format") != FORMAT:
                return None
            reading: Reading | None = decode(Reading | None, value.get("reading"))
        except (ZrError, ValueError):
            return None
        return reading

    def store(self, reading: Reading | None) -> None:
        """Remember it; None: there is none. Errors: those of write_atomically."""
        text = json.dumps({"format": FORMAT, "reading": encode(reading)})
        write_atomically(self._path, text.encode() + b"\n")
