"""A clock that a test owns: it goes on only when it is told, it steps, it drifts."""


class ModelClock:
    """ClockPort in memory."""

    def __init__(self, now: float = 1_795_000_000.0) -> None:
        self._now = now
        self._monotonic = 0.0
        self.drift = 0.0
        """The wall clock gains this share of every second that passes."""

    def now(self) -> float:
        """See ClockPort."""
        return self._now

    def monotonic(self) -> float:
        """See ClockPort."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """See ClockPort: nobody waits, time passes."""
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._monotonic += seconds
        self._now += seconds * (1 + self.drift)

    def step(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._now += seconds
