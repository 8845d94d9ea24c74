"""What is to be done when? One heap of due jobs by the monotonic clock, a few threads that do them.

A key is never run twice at the same time; asking for a key that is waiting moves it earlier, asking
for one that is running lets it run once more afterwards. So "wake this lane" may be said as often
as one likes. Engines that are run here are alone between their commands (`monitor`), so what they
share needs no locks of its own.
"""

import heapq
import threading
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from zrepl_py.engine.commands import Engine, run
from zrepl_py.ports.clock import ClockPort

Job = Callable[[], None]
T = TypeVar("T")


class Agenda:
    """Threads that run keyed jobs when they are due."""

    def __init__(
        self,
        clock: ClockPort,
        threads: int,
        failed: Callable[[BaseException], None],
        monitor: AbstractContextManager[Any] | None = None,
    ) -> None:
        """`monitor`: that of another agenda, whose engines share state with those of this one."""
        self._clock = clock
        self._failed = failed
        self.monitor: AbstractContextManager[Any] = monitor or threading.RLock()
        """Held by whoever reads or changes what engines share; never for long."""
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Hashable]] = []
        self._jobs: dict[Hashable, tuple[float, Job]] = {}
        self._running: dict[Hashable, float | None] = {}
        self._count = 0
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"zr-agenda-{i}", daemon=True)
            for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, key: Hashable, job: Job, after_seconds: float = 0.0) -> None:
        """Run `job` under `key` once, not earlier than `after_seconds` from now."""
        due = self._clock.monotonic() + after_seconds
        with self._changed:
            known = self._jobs.get(key)
            if known is not None and known[0] <= due:
                return
            self._jobs[key] = (due, job)
            self._count += 1
            heapq.heappush(self._heap, (due, self._count, key))
            self._changed.notify()

    def start(
        self,
        key: Hashable,
        engine: Callable[[], Engine[None]],
        ports: Mapping[str, Any],
        after_seconds: float = 0.0,
    ) -> None:
        """See engine/commands.py."""
        self.ask(key, lambda: self.run(engine(), ports), after_seconds)

    def run(self, engine: Engine[T], ports: Mapping[str, Any]) -> T:
        """Run an engine now, in this thread."""
        return run(engine, ports, self.monitor)

    def idle(self) -> bool:
        """Nothing is running and nothing is due now."""
        with self._changed:
            now = self._clock.monotonic()
            return not self._running and all(due > now for due, _ in self._jobs.values())

    def stop(self, wait_seconds: float) -> bool:
        """Begin nothing more; True if what was running ended within the time."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        deadline = self._clock.monotonic() + wait_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while True:
            with self._changed:
                key, job = self._next()
                if job is None:
                    return
                self._running[key] = None
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - a thread's outermost edge
                self._failed(error)
            finally:
                with self._changed:
                    del self._running[key]
                    self._changed.notify_all()

    def _next(self) -> tuple[Hashable, Job | None]:
        """Wait for a due job that is not running; (key, None) means stop. Called with the lock."""
        while not self._stopping:
            now = self._clock.monotonic()
            put_back = []
            found: tuple[Hashable, Job] | None = None
            while self._heap and self._heap[0][0] <= now and found is None:
                entry = heapq.heappop(self._heap)
                due, job = self._jobs.get(entry[2], (None, None))
                if due != entry[0] or job is None:
                    continue  # an older request for the same key
                if entry[2] in self._running:
                    put_back.append(entry)
                    continue
                del self._jobs[entry[2]]
                found = (entry[2], job)
            for entry in put_back:
                heapq.heappush(self._heap, entry)
            if found is not None:
                return found
            future = [due for due, _, key in self._heap if key not in self._running]
            self._changed.wait(max(0.0, min(future) - now) if future else None)
        return None, None
