"""Simulated time: what happens next? A heap of moments; nothing here knows of nodes.

Deterministic: things due at the same moment happen in the order in which they were asked for.
"""

import heapq
from collections.abc import Callable

Act = Callable[[], None]


class Loop:
    """One line of time, in seconds since the simulation began."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self._heap: list[tuple[float, int, Act]] = []
        self._count = 0

    def after(self, seconds: float, act: Act) -> None:
        """Do it so many seconds from now."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + max(0.0, seconds), self._count, act))

    def run_until(self, moment: float, stop: Callable[[], bool] | None = None) -> None:
        """Let time pass until `moment`, or until `stop` says so."""
        heap = self._heap
        while heap and heap[0][0] <= moment:
            self.now, _, act = heapq.heappop(heap)
            self.steps += 1
            act()
            if stop is not None and stop():
                return
        self.now = max(self.now, moment)


class NodeClock:
    """ClockPort of one node: the monotonic clock is true, the wall clock may be wrong."""

    def __init__(self, loop: Loop, epoch: float) -> None:
        self._loop = loop
        self._epoch = epoch
        self.wrong_by_seconds = 0.0

    def now(self) -> float:
        """See ClockPort."""
        return self._epoch + self._loop.now + self.wrong_by_seconds

    def monotonic(self) -> float:
        """See ClockPort."""
        return self._loop.now

    def sleep(self, seconds: float) -> None:
        """Nothing that is simulated sleeps."""
        raise AssertionError("An engine slept.")
