"""The clock port. Only its adapter reads the machine's clocks."""

from typing import Protocol


class ClockPort(Protocol):
    """Two clocks: one that people read and that may step, one that only ever goes forward."""

    def now(self) -> float:
        """Seconds since 1970, UTC. May jump in both directions."""

    def monotonic(self) -> float:
        """Seconds since some moment; for cadence and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Wait, by the monotonic clock."""
