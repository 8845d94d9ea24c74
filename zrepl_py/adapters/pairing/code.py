"""The one-time code: nine digits that a person can read aloud and type.

Nine digits are enough because nobody can try them: a PAKE gives one guess per connection, and the
node that shows the code ends after three. A code is used for one pairing and never stored.
"""

import re
import secrets

from zrepl_py.errors import Refused

DIGITS = 9
_SHAPE = re.compile(r"[0-9]{9}\Z")


def make_code() -> str:
    """Nine random digits."""
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"


def render_code(code: str) -> str:
    """As it is shown: 482-739-506."""
    return "-".join(code[i : i + 3] for i in range(0, DIGITS, 3))


def parse_code(text: str) -> str:
    """What a person typed → nine digits; spaces and dashes do not count. Refused(bad-code)."""
    code = re.sub(r"[\s-]", "", text)
    if not _SHAPE.match(code):
        raise Refused(
            "bad-code",
            "That is not a pairing code: it has nine digits, like 482-739-506.",
            "Type the code that `zr pair` shows on the other node.",
        )
    return code
