"""What did a person probably mean? For messages only; nothing is ever corrected silently."""

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean beta?`, or nothing where nothing is near."""
    by_lower = {k.lower(): k for k in sorted(known)}
    near = difflib.get_close_matches(word.lower(), by_lower, 1, 0.6)
    return f"; did you mean {by_lower[near[0]]}" if near else ""
