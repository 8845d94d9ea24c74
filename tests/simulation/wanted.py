"""What does a retention want? Reckoned again, in another way than core/voters.py: from calendars'
dates and plain lists. Nothing here is quick, and nothing of production code is asked.

`surely` is what must not go, `perhaps` what may stay: between them is only what keep_within counts
by gaps, where a clock may have stepped.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import NamedTuple
from zoneinfo import ZoneInfo

from zrepl_py.model.policy import Keep, Rung

MONDAY = 4 * 86_400
WEEK = 7 * 86_400
STEP_SECONDS = 120
STEADY_SECONDS = 18 * 3600


class Label(NamedTuple):
    """A snapshot as a retention sees it."""

    at: int
    """What the clock said, seconds since 1970."""
    name: str
    """After the @."""


@dataclass(frozen=True)
class Wish:
    """Places in a history, oldest first."""

    surely: frozenset[int]
    perhaps: frozenset[int]


NOTHING = Wish(frozenset(), frozenset())
LADDER = Keep(last=60, grid=(Rung(96, 900), Rung(168, 3600), Rung(1_000_000, 86_400)))
"""What is left of a history that gives way."""


def wish_of(labels: Sequence[Label], keep: Keep) -> Wish:
    """What the rules ask for; not what they ask for in doubt, and without the cap."""
    count = len(labels)
    ruled = keep.last, keep.within_seconds, keep.grid, keep.calendar, keep.matching
    if not any(ruled) and keep.at_least is None:
        return Wish(frozenset(range(count)), frozenset(range(count)))
    surely = {count - 1} if count else set()
    surely.update(range(max(0, count - (keep.last or 0)), count))
    for rung in keep.grid:
        surely.update(_last_of_each(labels, _grid_key(rung.cell_seconds), rung.count))
    for name, number in keep.calendar:
        surely.update(_last_of_each(labels, _calendar_key(name, keep.timezone), number))
    for place, label in enumerate(labels if keep.matching else ()):
        if _matches(label.name, keep.matching):
            surely.add(place)
    perhaps = set(surely)
    if keep.within_seconds is not None:
        young, near = _within(labels, keep.within_seconds)
        surely |= young
        perhaps |= young | near
    if keep.at_least is not None:
        others = [place for place in range(count) if place not in perhaps]
        perhaps.update(others[max(0, len(others) - max(0, keep.at_least - len(perhaps))) :])
    return Wish(frozenset(surely), frozenset(perhaps))


def sparse_of(labels: Sequence[Label], keep: Keep) -> Wish:
    """What its hours, days and names want."""
    if not labels or not (keep.grid or keep.calendar or keep.matching):
        return NOTHING
    return wish_of(labels, replace(keep, last=None, within_seconds=None, at_least=None))


def wish_waiting(labels: Sequence[Label], keep: Keep, count: int) -> Wish:
    """What waits on a source for a target that has none of `labels` yet and keeps by `keep`: what
    hours, days and names want there, and of the rest the newest `count` and the ladder."""
    if not labels or not count:
        return NOTHING
    sparse = sparse_of(labels, keep)
    newest = max(keep.last or 0, keep.at_least or 0) or None
    dense = Keep(last=newest, within_seconds=keep.within_seconds)
    if dense == Keep() and sparse is not NOTHING:
        return sparse
    wish = wish_of(labels, dense)
    ladder = wish_of(labels, replace(LADDER, last=max(60, count))).surely
    return Wish(sparse.surely | wish.surely & ladder, sparse.perhaps | wish.perhaps & ladder)


def most_of(keep: Keep, every_seconds: int) -> int:
    """More than so many are never wanted, where clocks are right (patterns not counted)."""
    within = 2 * (keep.within_seconds or 0) // every_seconds + 2
    cells = sum(rung.count for rung in keep.grid) + sum(number for _, number in keep.calendar)
    return max(keep.at_least or 0, 1 + (keep.last or 0) + within + cells)


def is_in_doubt(labels: Sequence[Label], now: float | None) -> bool:
    """The newest is of the future, or the clock was set back within the last 18 hours."""
    if not labels:
        return False
    newest = labels[-1].at
    if now is not None and newest > now + STEP_SECONDS:
        return True
    for place in range(len(labels) - 1, 0, -1):
        if newest - labels[place].at >= STEADY_SECONDS:
            return False
        if labels[place - 1].at - labels[place].at > STEP_SECONDS:
            return True
    return False


@lru_cache(maxsize=100_000)
def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _last_of_each(labels: Sequence[Label], key: Callable[[int], Hashable], count: int) -> list[int]:
    """The last place of each of the newest `count` runs with the same key."""
    found: list[int] = []
    newer: Hashable = None
    for place in range(len(labels) - 1, -1, -1):
        this = key(labels[place].at)
        if this != newer:
            if len(found) == count:
                break
            found.append(place)
            newer = this
    return found


def _grid_key(cell_seconds: int) -> Callable[[int], Hashable]:
    origin = MONDAY if cell_seconds % WEEK == 0 else 0
    return lambda at: (at - origin) // cell_seconds


def _calendar_key(name: str, timezone: str) -> Callable[[int], Hashable]:
    return partial(_calendar_key_at, name, timezone)


@lru_cache(maxsize=100_000)
def _calendar_key_at(name: str, timezone: str, at: int) -> Hashable:
    day = datetime.fromtimestamp(at, ZoneInfo(timezone)).date()
    keys: dict[str, Hashable] = {
        "hourly": at // 3600,
        "daily": day,
        "weekly": day.isocalendar()[:2],
        "monthly": (day.year, day.month),
        "yearly": day.year,
    }
    return keys[name]


def _within(labels: Sequence[Label], seconds: int) -> tuple[set[int], set[int]]:
    """Those that no newer one is so much later than; and those that are near by gaps alone, or
    near the newest by the label."""
    surely, perhaps, latest, age = set(), set(), 0, 0.0
    for place in range(len(labels) - 1, -1, -1):
        at = labels[place].at
        if place < len(labels) - 1:
            age += min(max(0, labels[place + 1].at - at), seconds / 2)
        latest = max(latest, at)
        if latest - at <= seconds:
            surely.add(place)
        if age <= seconds or labels[-1].at - at <= seconds:
            perhaps.add(place)
    return surely, perhaps
