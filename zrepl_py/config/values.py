"""Words of the configuration that stand for numbers: `5s`, `10%`, `0.0.0.0:7676`.

Each parse_ raises ValueError with one sentence that says what was expected; config/reading.py adds
file and key. parse(render(x)) == x.
"""

import re

from zrepl_py.model.config import Endpoint

_DURATION = re.compile(r"([0-9]{1,9})\s?([smhdw])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PERCENT = re.compile(r"([0-9]{1,3})\s?%\Z")
_ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})\Z")
CENTURY_SECONDS = 100 * 366 * 86_400


def parse_duration(text: str) -> int:
    """`5s`, `1m`, `2h`, `7d`, `4w` → seconds, at least 1."""
    match = _DURATION.match(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= CENTURY_SECONDS:
        raise ValueError(f"{text!r} is not a duration like 5s, 1m, 2h or 7d")
    return seconds


def parse_percent(text: str) -> int:
    """`10%` → 10, at most 90."""
    match = _PERCENT.match(text)
    if match is None or int(match[1]) > 90:
        raise ValueError(f'{text!r} is not a share like "10%" (from 0% to 90%)')
    return int(match[1])


def parse_endpoint(text: str) -> Endpoint:
    """`beta.lan:7676`, `10.0.0.2:7676`, `[fd00::2]:7676` → Endpoint."""
    match = _ENDPOINT.match(text)
    if match is None or not 0 < int(match[3]) < 65_536:
        raise ValueError(f"{text!r} is not an address with a port like 10.0.0.2:7676")
    return Endpoint(match[1] or match[2], int(match[3]))
