"""Tables, sizes, ages and JSON as people and scripts read them. Pure."""

import json
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from zrepl_py.core.times import render_instant
from zrepl_py.model.names import parse_tick

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def render_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines of columns that are as wide as their widest cell."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = []
    for row in (header, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    return lines


def render_json(value: Any, *, one_line: bool = False) -> str:
    """What `--json` prints."""
    return json.dumps(value, indent=None if one_line else 2, ensure_ascii=False)


def render_size(size_bytes: float) -> str:
    """1536 → `1.5 KiB`."""
    unit = 0
    while size_bytes >= 1024 and unit < len(_UNITS) - 1:
        size_bytes, unit = size_bytes / 1024, unit + 1
    return f"{size_bytes:.0f} {_UNITS[0]}" if unit == 0 else f"{size_bytes:.1f} {_UNITS[unit]}"


def render_span(seconds: float) -> str:
    """4000 → `1 h 6 min`, to the two largest units."""
    whole = max(0, round(seconds))
    for size, big, small_size, small in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // small_size
            return f"{whole // size} {big}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def count(number: int, thing: str) -> str:
    """`1 dataset`, `2 datasets`, `2 policies`."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number} {thing if number == 1 else plural}"


def render_moment(at: float, zone: ZoneInfo) -> str:
    """Seconds since 1970 → `2026-11-21 10:13:42`, in the zone."""
    return render_instant(int(at), zone)[:19].replace("T", " ")


def render_taken(snapshot: str | None, zone: ZoneInfo) -> str:
    """When a snapshot with this name was taken; its name where zr did not make it."""
    tick = parse_tick(snapshot) if snapshot else None
    return render_moment(tick.at, zone) if tick else snapshot or "none yet"


def find_zone(names: set[str]) -> ZoneInfo:
    """The one zone that is named, else UTC."""
    try:
        return ZoneInfo(names.pop()) if len(names) == 1 else ZoneInfo("UTC")
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return ZoneInfo("UTC")
