"""The machine's clocks. The only place in zr that reads them.

`now` may step in both directions, `monotonic` never does. Everything that waits measures with a
Deadline made from an injected clock, so that tests can own the time.
"""

import time

from zrepl_py.ports.clock import ClockPort


class MachineClock:
    """ClockPort, by the machine."""

    def now(self) -> float:
        """Seconds since 1970, UTC, as the machine believes."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some moment; does not count the time a machine was suspended."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, by the monotonic clock; a negative time is no wait."""
        time.sleep(max(0.0, seconds))


class Deadline:
    """A moment on the monotonic clock, `seconds` from now; None is never."""

    def __init__(self, clock: ClockPort, seconds: float | None) -> None:
        self._clock = clock
        self._at = None if seconds is None else clock.monotonic() + seconds

    @property
    def never(self) -> bool:
        """There is no such moment."""
        return self._at is None

    def remaining_seconds(self) -> float | None:
        """Seconds left, at least 0; None where there is no end."""
        return None if self._at is None else max(0.0, self._at - self._clock.monotonic())

    def expired(self) -> bool:
        """The moment is over."""
        return self.remaining_seconds() == 0.0
