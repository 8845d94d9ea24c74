"""Schedule: the watchdog notices a wall clock that stepped, and a tick that never came."""

from typing import Any

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.schedule import Schedule
from zrepl_py.events import Event


class HandClock:
    """A ClockPort that is moved by hand. Its wall clock is far ahead of the one that APScheduler
    follows, so nothing happens here but by the watchdog."""

    def __init__(self) -> None:
        self.wall, self.mono = MachineClock().now() + 30 * 86_400, 500.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.mono

    def sleep(self, seconds: float) -> None:
        self.mono += seconds

    def go(self, seconds: float) -> None:
        self.mono += seconds
        self.wall += seconds


class Asked(Agenda):
    """An agenda whose jobs are run by the test: the schedule only needs to ask."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock, 0, lambda error: None)
        self.jobs: dict[Any, Any] = {}

    def ask(self, key: Any, job: Any, after_seconds: float = 0.0) -> None:
        self.jobs[key] = job


def schedule_of(clock: HandClock) -> tuple[Schedule, Asked, list[str], list[tuple[Event, Any]]]:
    agenda, ticks, told = Asked(clock), list[str](), list[tuple[Event, Any]]()
    made = Schedule(
        {"station": 60}, ticks.append, clock, agenda, lambda event, **f: told.append((event, f))
    )
    made.start()
    return made, agenda, ticks, told


def test_ticks_once_at_the_start_and_is_quiet_while_on_time() -> None:
    clock = HandClock()
    schedule, agenda, ticks, told = schedule_of(clock)
    try:
        assert ticks == ["station"]
        clock.go(60)
        agenda.jobs["watchdog"]()
        assert ticks == ["station"]
        assert not told
    finally:
        schedule.stop()


def test_a_tick_that_never_came_is_made_up_for() -> None:
    """As after a step back of the wall clock by an hour: APScheduler would wait that hour."""
    clock = HandClock()
    schedule, agenda, ticks, told = schedule_of(clock)
    try:
        clock.wall -= 3600
        clock.go(95)
        agenda.jobs["watchdog"]()
        assert ticks == ["station", "station"]
        assert [(event, round(fields["seconds"])) for event, fields in told] == [
            (Event.CLOCK_STEPPED, -3600)
        ]
    finally:
        schedule.stop()


def test_a_step_of_ten_years_is_told_and_adds_no_storm_of_ticks() -> None:
    clock = HandClock()
    schedule, agenda, ticks, told = schedule_of(clock)
    try:
        clock.wall += 10 * 365 * 86_400
        clock.go(1)
        for _ in range(5):
            agenda.jobs["watchdog"]()
        assert ticks == ["station"]
        assert [event for event, _ in told] == [Event.CLOCK_STEPPED]
    finally:
        schedule.stop()
