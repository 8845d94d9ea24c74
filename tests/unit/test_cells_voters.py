"""Grids and calendars: which one of each hour, day and year stays, and what is said of it."""

from datetime import UTC, datetime

from zrepl_py.core.retention import judge
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.policy import Keep, Limits, Rung

from .histories import own_name, parse_history


def at(*texts: str) -> History:
    """Snapshots 1, 2, … at these moments of UTC."""
    times = [int(datetime.fromisoformat(t).replace(tzinfo=UTC).timestamp()) for t in texts]
    return History(tuple(Snapshot(g, g, own_name(g), t) for g, t in enumerate(times, 1)))


def kept(history: History, keep: Keep, cap: int = 100) -> list[int]:
    return [v.snapshot.guid for v in judge(history, keep, Limits(cap), {}) if v.keep]


def test_the_last_of_each_cell_stays() -> None:
    check_last_of_cells()


def check_last_of_cells() -> None:
    history = at("2026-11-21T08:01", "2026-11-21T08:59", "2026-11-21T09:00", "2026-11-21T09:30",
                 "2026-11-21T11:00")  # fmt: skip
    assert kept(history, Keep(grid=(Rung(9, 3600),))) == [2, 4, 5]
    assert kept(history, Keep(grid=(Rung(2, 3600),))) == [4, 5], "hours with nothing do not count"
    assert kept(history, Keep(calendar=(("daily", 3),))) == [5]


def test_rungs_and_names_vote_each_for_itself_and_every_reason_is_said() -> None:
    history = at("2026-10-31T12:00", "2026-11-20T12:00", "2026-11-21T08:00", "2026-11-21T09:00")
    keep = Keep(grid=(Rung(1, 3600),), calendar=(("daily", 2), ("monthly", 2)))
    verdicts = judge(history, keep, Limits(), {})
    assert [(v.keep, v.reasons) for v in verdicts] == [
        (True, ("monthly = 2",)),
        (True, ("daily = 2",)),
        (
            False,
            (
                "not the last of any of the newest 1 cells of 1h",
                "not the last of any of the newest 2 days",
                "not the last of any of the newest 2 months",
            ),
        ),
        (True, ("the newest", "grid = 1 x 1h", "daily = 2", "monthly = 2")),
    ]


def test_days_are_those_of_the_policys_zone() -> None:
    history = at("2026-11-20T22:30", "2026-11-20T23:30", "2026-11-21T22:30", "2026-11-21T22:40")
    assert kept(history, Keep(calendar=(("daily", 9),), timezone="UTC")) == [2, 4]
    assert kept(history, Keep(calendar=(("daily", 9),), timezone="Europe/Berlin")) == [1, 4]


def test_the_hour_that_berlin_has_twice_is_two_hours_and_one_day() -> None:
    night = at("2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30", "2026-10-25T22:50")
    hourly = Keep(calendar=(("hourly", 9),), timezone="Europe/Berlin")
    assert kept(night, hourly) == [1, 2, 3, 4]
    assert kept(night, Keep(calendar=(("daily", 9),), timezone="Europe/Berlin")) == [4]


def test_a_clock_that_was_set_back_displaces_nothing() -> None:
    """What was labelled 12 o'clock a second time is another hour, not the same again."""
    history = at("2026-11-21T12:10", "2026-11-21T12:50", "2026-11-21T13:10", "2026-11-21T12:20",
                 "2026-11-21T12:40", "2026-11-21T13:20")  # fmt: skip
    assert kept(history, Keep(grid=(Rung(9, 3600),))) == [2, 3, 5, 6]


def test_a_clock_ten_years_ahead_costs_one_cell() -> None:
    history = at("2026-11-20T12:00", "2026-11-21T12:00", "2036-11-21T12:00")
    assert kept(history, Keep(calendar=(("daily", 3),))) == [1, 2, 3]


def test_matching_names_stay_for_ever() -> None:
    check_matching()


def check_matching() -> None:
    history = parse_history("1 2 3 4 5 6")
    assert kept(history, Keep(matching=("zr_*_[23]_*",))) == [2, 3, 6], "and the newest"
    verdicts = judge(history, Keep(last=1, matching=("zr_*_2_*",)), Limits(), {})
    assert verdicts[1].reasons == ("keep_matching = 'zr_*_2_*'",)
    assert verdicts[0].reasons == ("older than the newest 1", "no pattern of keep_matching")


def test_a_minimum_count_keeps_the_newest_of_what_nobody_wants() -> None:
    check_minimum()


def check_minimum() -> None:
    history = at("2026-11-18T12:00", "2026-11-19T12:00", *[f"2026-11-21T12:0{n}" for n in range(5)])
    daily = (("daily", 2),)
    assert kept(history, Keep(calendar=daily)) == [2, 7]
    assert kept(history, Keep(calendar=daily, at_least=4)) == [2, 5, 6, 7]
    assert kept(history, Keep(calendar=daily, at_least=2)) == [2, 7]
    assert kept(history, Keep(at_least=3)) == [5, 6, 7]
    assert kept(history, Keep(at_least=9)) == [1, 2, 3, 4, 5, 6, 7]
    assert kept(history, Keep(calendar=daily, at_least=2), cap=1) == [2, 7], "nor does the cap"
