"""When does a group tick? APScheduler only posts "it is time"; a watchdog keeps it honest.

APScheduler 3 follows the wall clock: when that is set back by an hour, its next run is an hour
away. So the watchdog, on the monotonic clock, ticks a group whose last tick is older than one and
a half cadences, and schedules all anew. A clock that steps forward makes one early tick at most.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

from zrepl_py.daemon.agenda import Agenda
from zrepl_py.events import Event
from zrepl_py.ports.clock import ClockPort

WATCH_SECONDS = 1.0
LATE = 1.5


class Schedule:
    """Ticks for every key, each at its own cadence."""

    def __init__(
        self,
        cadences: Mapping[Any, int],
        start_tick: Callable[[Any], None],
        clock: ClockPort,
        agenda: Agenda,
        tell: Callable[..., None],
    ) -> None:
        self._cadences, self._tick = dict(cadences), start_tick
        self._clock, self._agenda, self._tell = clock, agenda, tell
        self._asked: dict[Any, float] = {}
        self._due: dict[Any, float] = {}
        """Key → monotonic moment of its next tick."""
        self._scheduler = BackgroundScheduler(timezone=UTC, daemon=True)
        self._offset = self._wall_offset()

    def start(self) -> None:
        """Tick everything once now, then at its cadence."""
        for key in self._cadences:
            self._post(key)
        self._scheduler.start()
        self._agenda.ask("watchdog", self._watch, WATCH_SECONDS)

    def stop(self) -> None:
        """No further ticks."""
        self._scheduler.shutdown(wait=False)

    def _add(self, key: Any) -> None:
        # One job for one tick: after a step forward of ten years, an interval would first reckon
        # every run that it missed, millions of them.
        due_in = self._due[key] - self._clock.monotonic()
        self._scheduler.add_job(
            self._post,
            DateTrigger(datetime.fromtimestamp(self._clock.now() + due_in, UTC)),
            args=(key,),
            id=repr(key),
            replace_existing=True,
            misfire_grace_time=None,
        )

    def _post(self, key: Any) -> None:
        now = self._clock.monotonic()
        self._asked[key] = now
        late = now - self._due.get(key, now)
        cadence = self._cadences[key]
        # Keep the rhythm; after a long sleep, begin a new one instead of catching up.
        self._due[key] = now + cadence - (late if 0 <= late < cadence else 0)
        self._add(key)
        self._tick(key)

    def _watch(self) -> None:
        offset = self._wall_offset()
        stepped = offset - self._offset
        self._offset = offset
        if abs(stepped) > WATCH_SECONDS:
            self._tell(Event.CLOCK_STEPPED, seconds=round(stepped, 1))
        for key, cadence in self._cadences.items():
            late = self._clock.monotonic() - self._asked[key] > LATE * cadence + WATCH_SECONDS
            if late:
                self._post(key)
            elif abs(stepped) > WATCH_SECONDS:
                self._add(key)
        self._agenda.ask("watchdog", self._watch, WATCH_SECONDS)

    def _wall_offset(self) -> float:
        return self._clock.now() - self._clock.monotonic()
