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
_HOURS = re.compile(r"([0-9]{1,2})-([0-9]{1,2})\Z")
_SIZE = re.compile(r"([0-9]{1,9})\s?([KMGT]i?B)\Z")
_BYTES = {f"{letter}{i}B": (1024 if i else 1000) ** (n + 1)
          for n, letter in enumerate("KMGT") for i in ("", "i")}  # fmt: skip
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


def parse_period(text: str) -> int | None:
    """As parse_duration; `never` → None."""
    return None if text == "never" else parse_duration(text)


def parse_hours(text: str) -> tuple[int, int]:
    """`1-5` → (1, 5): from one o'clock until before five; `22-6` goes over midnight."""
    match = _HOURS.match(text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 24:
        raise ValueError(f'{text!r} are not hours like "1-5" or "22-6"')
    return int(match[1]), int(match[2])


def parse_size(text: str) -> int:
    """`500KiB`, `20MiB`, `1GB` → bytes, at least 1000."""
    match = _SIZE.match(text)
    size = int(match[1]) * _BYTES[match[2]] if match else 0
    if not size:
        raise ValueError(f"{text!r} is not a size like 500KiB, 20MiB or 1GB")
    return size
