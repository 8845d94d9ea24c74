"""Tables, sizes, ages and JSON as people and scripts read them. Pure."""

import json
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from zrepl_py.core.times import render_instant
from zrepl_py.core.wording import count, render_size, render_span
from zrepl_py.model.names import parse_tick

__all__ = [
    "count", "find_zone", "render_json", "render_moment", "render_size", "render_span",
    "render_table", "render_taken",
]  # fmt: skip


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
