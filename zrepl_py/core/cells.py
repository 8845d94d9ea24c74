"""Into which hour, day, week, month or year does a moment fall? Cells of time for retention.

A cell is (start, end): seconds since 1970, the start belongs to it, the end does not. Invariants:
- The cells of one kind divide all time: every moment is in exactly one, whatever a clock or a
  government does. Else pruning every minute would keep others than pruning once.
- Hours, and the cells of grids, are counted in UTC: an hour that a town's clocks show twice is two
  hours. Days and longer cells begin when the zone's calendar says so: 23 and 25 hours are days too.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

Cell = tuple[int, int]
CellOf = Callable[[int], Cell]

HOUR = 3600
DAY = 86_400
MONDAY = 4 * DAY
"""1970-01-05: cells of whole weeks begin on a Monday, as people's weeks do."""
_LAST_YEAR = 9998


def grid_cells(cell_seconds: int) -> CellOf:
    """Cells of equal width."""
    origin = MONDAY if cell_seconds % (7 * DAY) == 0 else 0

    def cell_of(at: int) -> Cell:
        start = at - (at - origin) % cell_seconds
        return start, start + cell_seconds

    return cell_of


@lru_cache(maxsize=64)
def calendar_cells(name: str, timezone: str) -> CellOf:
    """The cells of `hourly`, `daily`, `weekly`, `monthly`, `yearly` in a zone."""
    if name == "hourly":
        return grid_cells(HOUR)
    begin = _FIRST_DAY[name]
    zone = ZoneInfo(timezone)

    @lru_cache(maxsize=4096)
    def between(first: date, following: date) -> Cell:
        return _midnight(first, zone), _midnight(following, zone)

    def cell_of(at: int) -> Cell:
        day = _local_day(at, zone)
        cell = between(begin(day), _following(begin, day))
        while at >= cell[1]:  # clocks were set back over midnight: it is the second time
            day = _following(begin, day)
            cell = between(begin(day), _following(begin, day))
        return cell

    return cell_of


def _local_day(at: int, zone: ZoneInfo) -> date:
    try:
        day = datetime.fromtimestamp(at, zone).date()
    except (ValueError, OverflowError, OSError):  # a label beyond all calendars: a broken clock
        day = date.max
    return min(day, date(_LAST_YEAR, 1, 1))


def _midnight(day: date, zone: ZoneInfo) -> int:
    """The first moment of a day. Where clocks skip midnight, it is the moment of the skip."""
    if day.year > _LAST_YEAR:
        return 1 << 62
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _following(begin: Callable[[date], date], day: date) -> date:
    """The first day of the cell after that of `day`."""
    return begin(begin(day) + _LONGEST[begin])


def _day(day: date) -> date:
    return day


def _week(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _month(day: date) -> date:
    return day.replace(day=1)


def _year(day: date) -> date:
    return day.replace(month=1, day=1)


_FirstDay = Callable[[date], date]
_FIRST_DAY: dict[str, _FirstDay] = {
    "daily": _day,
    "weekly": _week,
    "monthly": _month,
    "yearly": _year,
}
_LONGEST: dict[_FirstDay, timedelta] = {
    _day: timedelta(days=1),
    _week: timedelta(days=7),
    _month: timedelta(days=31),
    _year: timedelta(days=366),
}
"""From a first day, so far leads into the following cell, never beyond it."""
