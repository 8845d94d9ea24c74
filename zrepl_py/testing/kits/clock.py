"""Conformance kit of ClockPort. Which question: can a daemon pace itself by this clock?

Each `check_` function takes a ClockCase and fails with AssertionError. `CLOCK_CHECKS` lists them.
"""

from collections.abc import Callable
from typing import Protocol

from zrepl_py.adapters.clock import Deadline
from zrepl_py.ports.clock import ClockPort

_MOMENT_SECONDS = 0.02
_YEAR_2020, _YEAR_2200 = 1_577_836_800, 7_258_118_400


class ClockCase(Protocol):
    """A clock under test."""

    @property
    def clock(self) -> ClockPort:
        """The clock."""

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass, or a little more, without the clock's own `sleep`."""

    def step(self, seconds: float) -> bool:
        """Set the wall clock; False where this case cannot (a machine's clock is left alone)."""


def check_reads_utc_seconds(case: ClockCase) -> None:
    """`now` is in seconds since 1970, and goes on."""
    before = case.clock.now()
    assert isinstance(before, float)
    assert _YEAR_2020 < before < _YEAR_2200
    case.pass_time(_MOMENT_SECONDS)
    assert before < case.clock.now() < before + 60


def check_monotonic_goes_forward(case: ClockCase) -> None:
    """`monotonic` never goes back, and counts what passes."""
    readings = [case.clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)
    before = case.clock.monotonic()
    case.pass_time(_MOMENT_SECONDS)
    assert before + _MOMENT_SECONDS * 0.99 <= case.clock.monotonic() < before + 60


def check_sleep_waits_by_monotonic(case: ClockCase) -> None:
    """At least so long; not at all for nothing or less."""
    before = case.clock.monotonic()
    case.clock.sleep(_MOMENT_SECONDS)
    assert before + _MOMENT_SECONDS * 0.99 <= case.clock.monotonic() < before + 60
    before = case.clock.monotonic()
    case.clock.sleep(0.0)
    case.clock.sleep(-5.0)
    assert case.clock.monotonic() < before + 1


def check_steps_move_the_wall_clock_alone(case: ClockCase) -> None:
    """Both ways, by an hour and by ten years; pacing and deadlines do not notice."""
    for step in (3600.0, -7200.0, 315_360_000.0, -315_360_000.0):
        wall, steady = case.clock.now(), case.clock.monotonic()
        deadline = Deadline(case.clock, 30.0)
        if not case.step(step):
            return
        assert abs(case.clock.now() - wall - step) < 1
        assert steady <= case.clock.monotonic() < steady + 1
        assert not deadline.expired()


def check_deadlines_end(case: ClockCase) -> None:
    """A deadline is over when its time has passed, and not before."""
    deadline = Deadline(case.clock, _MOMENT_SECONDS)
    later = Deadline(case.clock, 3600.0)
    case.pass_time(2 * _MOMENT_SECONDS)
    assert deadline.expired()
    assert deadline.remaining_seconds() == 0.0
    assert not later.expired()
    assert Deadline(case.clock, None).never


CLOCK_CHECKS: tuple[Callable[[ClockCase], None], ...] = (
    check_reads_utc_seconds,
    check_monotonic_goes_forward,
    check_sleep_waits_by_monotonic,
    check_steps_move_the_wall_clock_alone,
    check_deadlines_end,
)
