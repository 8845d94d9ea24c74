"""Who reads which copy now, of those that this daemon serves to its source? By guid.

A page is one question of many: who asked for one is a reader for five minutes more, as long as the
proof worker has the snapshot open. Safe to use from several threads.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from zrepl_py.ports.clock import ClockPort

BETWEEN_PAGES_SECONDS = 300.0


class Readers:
    """Those that this daemon knows of; others are seen by ZFS alone."""

    def __init__(self, clock: ClockPort) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[tuple[int, str], float] = {}

    def note(self, guid: int, who: str, seconds: float = BETWEEN_PAGES_SECONDS) -> None:
        """`who` reads it, for so long unless it is said again; 0 ends it."""
        now = self._clock.monotonic()
        with self._lock:
            self._until[guid, who] = now + seconds
            self._until = {key: until for key, until in self._until.items() if until > now}

    @contextmanager
    def reading(self, guid: int, who: str) -> Iterator[None]:
        """`who` reads it until the block ends."""
        self.note(guid, who, float("inf"))
        try:
            yield
        finally:
            self.note(guid, who, 0.0)

    def now(self) -> dict[int, str]:
        """guid → who."""
        now = self._clock.monotonic()
        with self._lock:
            return {guid: who for (guid, who), until in self._until.items() if until > now}
