"""One node's runner: engines stepped command by command, interleaved by the latencies that a seed
draws. Which question it answers: in which order do the commands of many engines happen?

A command takes effect at one moment and its outcome arrives at another, so everything may happen in
between. A crash forgets every task; commands that took effect stay in effect.
"""

import heapq
from collections.abc import Callable, Generator, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Protocol

from tests.simulation.loop import Loop
from zrepl_py.engine.commands import Command, Engine
from zrepl_py.errors import ZrError

Outcome = Callable[[Any, Exception | None], None]
"""Called once with what came out: (value, None) or (None, error)."""


class AsyncPort(Protocol):
    """A port whose commands take their own time."""

    def call(self, command: Command, done: Outcome) -> None:
        """Begin; `done` is called later, or never if this node dies first."""


class Host(Protocol):
    """What a task needs of the node it runs on."""

    loop: Loop
    random: Random

    def perform(self, port: Any, command: Command) -> Any:
        """Do it now. Raises what the port raises, or Crashed."""

    def latency(self, command: Command) -> float:
        """How long this one takes, in seconds."""

    def broken(self, error: Exception) -> None:
        """An engine ended with what nobody may raise."""


class CrashedError(Exception):
    """The node went down around a command: nothing on it goes on."""


@dataclass(slots=True)
class _Job:
    due: float
    engine: Callable[[], Engine[None]]
    ports: Mapping[str, Any]


class Tasks:
    """Everything that runs on a node from its start to its crash; implements engine's Agenda."""

    def __init__(self, host: Host, threads: int) -> None:
        self.host = host
        self.alive = True
        self._threads = threads
        self._jobs: dict[Hashable, _Job] = {}
        self._ready: list[tuple[float, int, Hashable]] = []
        self._running: set[Hashable] = set()
        self._tasks: set[int] = set()
        self._engines: dict[int, Generator[Command, Any, Any]] = {}
        self._count = 0

    @property
    def busy(self) -> bool:
        """Something runs, or is due now."""
        return bool(self._engines) or bool(self._ready)

    def forget(self) -> None:
        """The crash."""
        self.alive = False
        for engine in list(self._engines.values()):
            engine.close()
        self._engines.clear()
        self._jobs.clear()
        self._ready.clear()

    # The agenda.

    def start(
        self,
        key: Hashable,
        engine: Callable[[], Engine[None]],
        ports: Mapping[str, Any],
        after_seconds: float = 0.0,
    ) -> None:
        """See engine/commands.py."""
        due = self.host.loop.now + after_seconds
        known = self._jobs.get(key)
        if known is not None and known.due <= due:
            return
        self._jobs[key] = _Job(due, engine, ports)
        self.host.loop.after(after_seconds, lambda: self._due(key, due))

    def _due(self, key: Hashable, due: float) -> None:
        job = self._jobs.get(key)
        if not self.alive or job is None or job.due != due:
            return
        self._count += 1
        heapq.heappush(self._ready, (due, self._count, key))
        self._pump()

    def _pump(self) -> None:
        waiting = []
        while self._ready and len(self._running) < self._threads:
            entry = heapq.heappop(self._ready)
            key = entry[2]
            job = self._jobs.get(key)
            if job is None or job.due != entry[0]:
                continue
            if key in self._running:
                waiting.append(entry)
                continue
            del self._jobs[key]
            self._running.add(key)
            self.run(job.engine(), job.ports, partial(self._ended, key))
        for entry in waiting:
            heapq.heappush(self._ready, entry)

    def _ended(self, key: Hashable, _value: Any, error: Exception | None) -> None:
        self._running.discard(key)
        if error is not None:
            self.host.broken(error)
        if self.alive:
            self._pump()

    # Stepping.

    def run(self, engine: Engine[Any], ports: Mapping[str, Any], done: Outcome) -> None:
        """Run an engine from now on; `done` is never called when the node dies first."""
        self._count += 1
        number = self._count
        self._engines[number] = engine
        self._step(number, ports, done, lambda: next(engine))

    def _step(
        self, number: int, ports: Mapping[str, Any], done: Outcome, resume: Callable[[], Command]
    ) -> None:
        if not self.alive:
            return
        try:
            command = resume()
        except StopIteration as ended:
            del self._engines[number]
            done(ended.value, None)
            return
        except CrashedError:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the simulation reports it
            self._engines.pop(number, None)
            if not isinstance(error, ZrError):
                self.host.broken(error)
            done(None, error)
            return
        self._perform(number, ports, done, command)

    def _perform(
        self, number: int, ports: Mapping[str, Any], done: Outcome, command: Command
    ) -> None:
        host, port = self.host, ports[command.port]

        def arrived(value: Any, error: Exception | None) -> None:
            engine = self._engines.get(number)
            if engine is None or not self.alive:
                return
            if error is None:
                self._step(number, ports, done, lambda: engine.send(value))
            else:
                self._step(number, ports, done, lambda: engine.throw(error))

        if hasattr(port, "call"):
            port.call(command, arrived)
            return

        def effect() -> None:
            if not self.alive:
                return
            value, error = None, None
            try:
                value = host.perform(port, command)
            except CrashedError:
                return
            except ZrError as raised:
                error = raised
            if host.random.random() < 0.3:
                host.loop.after(host.latency(command), lambda: arrived(value, error))
            else:
                arrived(value, error)

        host.loop.after(host.latency(command), effect)
