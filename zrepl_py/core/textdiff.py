"""How does one text differ from another, and is it a text at all? Pure.

What is too large or holds a NUL is none: then sizes, digests and the first difference have to do.
"""

import difflib
from collections.abc import Iterator

MAX_BYTES = 1 << 20
MAX_LINES = 20_000


def is_text(content: bytes) -> bool:
    """Whether its lines can be compared: of a size that ends in time, and without NUL."""
    return len(content) <= MAX_BYTES and b"\0" not in content and content.count(b"\n") <= MAX_LINES


def render_text_diff(
    old: bytes, new: bytes, old_name: str, new_name: str, context: int
) -> Iterator[str]:
    """A unified diff, line by line without line ends; bytes that are no UTF-8 as surrogates."""
    before, after = _lines(old), _lines(new)
    for line in difflib.unified_diff(before, after, old_name, new_name, n=context, lineterm=""):
        body, mark, _ = line.partition(_NO_END)
        yield body
        if mark:
            yield "\\ No newline at end of file"


_NO_END = "\udfff"  # what no decoded byte becomes


def _lines(content: bytes) -> list[str]:
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    last = lines.pop()
    return [*lines, last + _NO_END] if last else lines
