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
        self.stopped = False
        """Something is wrong: nothing happens any more."""
        self._heap: list[tuple[float, int, Act]] = []
        self._count = 0

    def after(self, seconds: float, act: Act) -> None:
        """Do it so many seconds from now (0 or more)."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + seconds, self._count, act))

    def run_until(self, moment: float) -> None:
        """Let time pass until `moment`, or until somebody sets `stopped`."""
        heap, pop, steps = self._heap, heapq.heappop, 0
        while heap and heap[0][0] <= moment and not self.stopped:
            self.now, _, act = pop(heap)
            steps += 1
            act()
        self.steps += steps
        if not self.stopped:
            self.now = max(self.now, moment)


class NodeClock:
    """ClockPort of one node: the monotonic clock is true, the wall clock may be wrong."""

    def __init__(self, loop: Loop, epoch: float) -> None:
        self._loop = loop
        self._epoch = epoch
        self.wrong_by_seconds = 0.0
        self._drift = 0.0
        self._drifts_since = 0.0

    def now(self) -> float:
        """See ClockPort."""
        true = self._loop.now
        drifted = (true - self._drifts_since) * self._drift
        return self._epoch + true + self.wrong_by_seconds + drifted

    def drift(self, share: float) -> None:
        """From now on it gains (or loses) this share of every second; 0: it is put right again."""
        self._drift, self._drifts_since = share, self._loop.now

    def monotonic(self) -> float:
        """See ClockPort."""
        return self._loop.now

    def sleep(self, seconds: float) -> None:
        """Nothing that is simulated sleeps."""
        raise AssertionError("An engine slept.")
