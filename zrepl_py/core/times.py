"""Which instant does a person mean by `@09:15`, `@yesterday 09:15`, `@10 min ago`?

Pure: `now` and the zone are parameters. docs/reference/times.md is the grammar. Invariants:
- An instant is never guessed: a local time that exists twice or never is Refused, with both
  choices in a form that can be typed instead.
- An instant never lies after `now`, nor before 1970.
- What render_instant writes, parse_time reads back as the same instant (1971 to 9998).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from zrepl_py.errors import Refused
from zrepl_py.model.names import parse_tick

EXAMPLES = (
    'Write a time like @09:15, @"yesterday 09:15", @2026-11-20T09:15, @"10 min ago", @latest, '
    "or a snapshot's name."
)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\Z")
_DAY = re.compile(r"(today|yesterday)[ T]+(\S+)\Z")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:T| +)([\d:]+?)(Z|[+-]\d{2}:\d{2}(?::\d{2})?)?\Z")
_AGO = re.compile(r"(\d{1,9}) ?([a-z]+) ago\Z")
_UNIT_SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}


@dataclass(frozen=True, slots=True)
class Instant:
    """As it was at this moment: seconds since 1970, UTC."""

    at: int


@dataclass(frozen=True, slots=True)
class Latest:
    """As it is in the newest snapshot."""


@dataclass(frozen=True, slots=True)
class Named:
    """As it is in the snapshot with this name (the part after the @)."""

    snapshot: str


Wanted = Instant | Latest | Named


def split_target(text: str) -> tuple[str, str]:
    """`dir/in@side.wav@09:15` → (`dir/in@side.wav`, `09:15`): the last @ counts.

    Raises Refused(bad-time) where there is no @, or nothing before or after it.
    """
    path, at, moment = text.rpartition("@")
    if not at:
        raise Refused("bad-time", f"{text!r} does not say which time: there is no @.", EXAMPLES)
    if not path:
        raise Refused("bad-time", f"{text!r} does not say which file: nothing is before the @.")
    if not moment.strip():
        raise Refused("bad-time", f"{text!r} does not say which time after its last @.", EXAMPLES)
    return path, moment


def parse_time(text: str, now: float, zone: ZoneInfo, known: Collection[str] = ()) -> Wanted:
    """What a person typed after the @ → Instant, Latest or Named.

    `now` is in seconds since 1970; `zone` is the site's. `known` are names of snapshots that may be
    meant though zr did not make them; the grammar goes first. Raises Refused: bad-time,
    ambiguous-time, missing-time, future-time.
    """
    words = " ".join(text.split())
    lower = words.lower()
    if lower == "latest":
        return Latest()
    if parse_tick(words) is not None:
        return Named(words)
    moment = (
        _parse_ago(lower, now)
        or _parse_clock(lower, now, zone)
        or _parse_day(lower, now, zone)
        or _parse_date(words.upper(), now, zone)
    )
    if moment is None:
        if text in known:
            return Named(text)
        raise Refused("bad-time", f"{text!r} is not a time that zr understands.", EXAMPLES)
    if moment.at > now:
        raise Refused(
            "future-time",
            f"{render_instant(moment.at, zone)} is in the future: it is now "
            f"{render_instant(int(now), zone)}.",
            "Give a time that has passed, or @latest.",
        )
    return moment


def render_instant(at: int, zone: ZoneInfo) -> str:
    """Seconds since 1970 → `2026-11-20T09:15:00+01:00`, which parse_time reads back."""
    return datetime.fromtimestamp(at, UTC).astimezone(zone).isoformat()


def _parse_ago(text: str, now: float) -> Instant | None:
    match = _AGO.match(text)
    if match is None or match[2] not in _UNIT_SECONDS:
        return None
    at = int(now) - int(match[1]) * _UNIT_SECONDS[match[2]]
    if at < 0:
        raise Refused("bad-time", f"{text!r} was before 1970.", EXAMPLES)
    return Instant(at)


def _parse_clock(text: str, now: float, zone: ZoneInfo) -> Instant | None:
    """`09:15`: today's, or yesterday's where today's has not come yet."""
    wanted = _clock(text)
    if wanted is None:
        return None
    today = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
    choices = _readings(datetime.combine(today, wanted), zone)
    if min(choices) > now:
        return _resolve(today - timedelta(days=1), wanted, now, zone)
    return _resolve(today, wanted, now, zone)


def _parse_day(text: str, now: float, zone: ZoneInfo) -> Instant | None:
    """`yesterday 09:15`, `today 09:15`."""
    match = _DAY.match(text)
    wanted = _clock(match[2]) if match else None
    if match is None or wanted is None:
        return None
    today = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
    return _resolve(today - timedelta(days=match[1] == "yesterday"), wanted, now, zone)


def _parse_date(text: str, now: float, zone: ZoneInfo) -> Instant | None:
    """`2026-11-20T09:15`, with seconds, with a blank for the T, with Z or an offset."""
    match = _DATE.match(text)
    wanted = _clock(match[4]) if match else None
    if match is None or wanted is None:
        return None
    try:
        day = date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        raise Refused("bad-time", f"There is no day {text[:10]}.", EXAMPLES) from None
    if day.year <= 1970:
        raise Refused("bad-time", f"{text!r}: there are no snapshots of before 1971.", EXAMPLES)
    if day.year >= 9999:
        raise Refused("bad-time", f"{text!r} is far in the future.", EXAMPLES)
    if not match[5]:
        return _resolve(day, wanted, now, zone)
    moment = datetime.combine(day, wanted, tzinfo=_offset(match[5]))
    return Instant(int(moment.timestamp()))


def _clock(text: str) -> time | None:
    match = _CLOCK.match(text)
    if match is None:
        return None
    try:
        return time(int(match[1]), int(match[2]), int(match[3] or 0))
    except ValueError:
        raise Refused("bad-time", f"There is no time of day {text}.", EXAMPLES) from None


def _offset(text: str) -> timezone:
    if text == "Z":
        return UTC
    hours, minutes, seconds = (int(p) for p in (text[1:] + ":00").split(":")[:3])
    size = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if size >= timedelta(hours=24) or minutes > 59 or seconds > 59:
        raise Refused("bad-time", f"{text} is not an offset from UTC.", EXAMPLES)
    return timezone(-size if text[0] == "-" else size)


def _readings(local: datetime, zone: ZoneInfo) -> tuple[int, int]:
    """The two instants that a local time can mean; nearly always the same one twice."""
    first, second = (int(local.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    return first, second


def _resolve(day: date, wanted: time, now: float, zone: ZoneInfo) -> Instant:
    """The one instant of a local time, or Refused where there are two or none.

    A time whose second coming still lies ahead has happened once: it is the first one.
    """
    local = datetime.combine(day, wanted)
    choices = _readings(local, zone)
    if choices[0] == choices[1] or choices[0] < now < choices[1]:
        return Instant(choices[0])
    first, second = (f"@{render_instant(at, zone)}" for at in sorted(choices))
    shown = local.isoformat(" ")
    if choices[0] < choices[1]:
        raise Refused(
            "ambiguous-time",
            f"{shown} happened twice in {zone.key}: the clocks were set back.",
            f"Write {first} for the first or {second} for the second.",
        )
    raise Refused(
        "missing-time",
        f"{shown} never happened in {zone.key}: the clocks were set forward.",
        f"Write {first} or {second} instead.",
    )
