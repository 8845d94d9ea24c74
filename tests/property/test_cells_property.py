"""Cells of time divide all of it, whatever governments do with clocks."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from zrepl_py.core.cells import calendar_cells, grid_cells
from zrepl_py.model.policy import CALENDAR

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",  # set its clocks back at 00:01, over midnight
    "America/Sao_Paulo",  # skipped midnight
    "Australia/Lord_Howe",  # half an hour
    "Pacific/Apia",  # skipped a day
    "Asia/Kathmandu",
)
MOMENTS = st.integers(0, 4_000_000_000)


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@given(MOMENTS, st.sampled_from(ZONES), st.sampled_from(CALENDAR))
@example(moment("2006-10-29T02:45"), "America/St_Johns", "daily")
@example(moment("2011-12-30T12:00"), "Pacific/Apia", "daily")
@example(moment("2018-11-04T03:30"), "America/Sao_Paulo", "daily")
@example(1 << 60, "Europe/Berlin", "yearly")
def test_every_moment_is_in_one_cell_of_a_calendar(at: int, zone: str, name: str) -> None:
    check_cells(at, calendar_cells(name, zone))


@given(MOMENTS, st.integers(1, 3_000_000))
def test_every_moment_is_in_one_cell_of_a_grid(at: int, width: int) -> None:
    check_cells(at, grid_cells(width))
    start, end = grid_cells(width)(at)
    assert end - start == width


def check_cells(at: int, cell_of: object) -> None:
    assert callable(cell_of)
    start, end = cell_of(at)
    assert start <= at < end
    assert cell_of(start) == cell_of(end - 1) == (start, end)
    if end < 1 << 61:
        assert cell_of(end)[0] == end
        assert cell_of(start - 1)[1] == start


def test_days_of_23_and_25_hours_are_days_and_hours_are_hours() -> None:
    berlin, hours = calendar_cells("daily", "Europe/Berlin"), calendar_cells("hourly", "UTC")
    spring, autumn = berlin(moment("2026-03-29T12:00")), berlin(moment("2026-10-25T12:00"))
    assert (spring[1] - spring[0], autumn[1] - autumn[0]) == (23 * 3600, 25 * 3600)
    assert spring[0] == moment("2026-03-28T23:00")
    twice = [moment("2026-10-25T00:30"), moment("2026-10-25T01:30")]  # both are 02:30 in Berlin
    assert len({hours(at) for at in twice}) == 2


def test_weeks_begin_on_monday_and_months_and_years_on_their_first() -> None:
    zone = ZoneInfo("Europe/Berlin")
    for name, first in (("weekly", "2026-11-16"), ("monthly", "2026-11-01"),
                        ("yearly", "2026-01-01")):  # fmt: skip
        start, _ = calendar_cells(name, "Europe/Berlin")(moment("2026-11-21T12:00"))
        assert datetime.fromtimestamp(start, zone).isoformat()[:19] == f"{first}T00:00:00"
    week, _ = grid_cells(7 * 86_400)(moment("2026-11-21T12:00"))
    assert week == moment("2026-11-16T00:00")
