"""A few days at the year's scale gate a landing; `make sim-year` runs it whole."""

import pytest

from tests.simulation.year import draw_year, run_year

pytestmark = pytest.mark.long


def test_a_short_year() -> None:
    said: list[str] = []
    report = run_year(3, 3.0, said.append)
    assert report.ok, report.violations
    assert report.seen["caught up after an absence"] >= 3
    assert report.seen["looked while the target is away"]
    assert said[-1].endswith("0 violations")


def test_every_year_has_weeks_and_months_without_beta() -> None:
    for seed in range(20):
        away = [seconds / 86_400 for _, seconds in draw_year(seed).absences]
        assert max(away) >= 60
        assert sum(days >= 7 for days in away) >= 3
