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


ASYNC = frozenset({"PeerPort", "RolePeerPort"})
"""Those that are implemented as an AsyncPort."""


class AsyncPort(Protocol):
    """A port whose commands take their own time."""

    def call(self, command: Command, done: Outcome) -> None:
        """Begin; `done` is called later, or never if this node dies first."""


class Host(Protocol):
    """What a task needs of the node it runs on."""

    loop: Loop
    random: Random
    frozen: int
    """While it is above 0, nothing of it goes on..."""
    deferred: list[Callable[[], None]]
    """...and this is what goes on then."""
    asked_at: float
    """When the command that is performed was asked for, in the loop's seconds."""

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
        self._runs: dict[_Run, None] = {}
        self._count = 0

    @property
    def busy(self) -> bool:
        """Something runs, or is due now."""
        return bool(self._runs) or bool(self._ready)

    def forget(self) -> None:
        """The crash."""
        self.alive = False
        for each in list(self._runs):
            each.engine.close()
        self._runs.clear()
        self._jobs.clear()
        self._ready.clear()

    def due(self, key: Hashable) -> float | None:
        """When it runs next: now where it runs, None where it is not asked for."""
        if key in self._running:
            return self.host.loop.now
        job = self._jobs.get(key)
        return job.due if job is not None else None

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
        run = _Run(self, engine, ports, done)
        self._runs[run] = None
        run.arrived(None, None)

    def left(self, run: "_Run") -> None:
        """It has ended."""
        self._runs.pop(run, None)


class _Run:
    """One engine under way. This is the simulator's innermost loop: no closures, few calls."""

    __slots__ = (
        "_asked_at",
        "_command",
        "_done",
        "_outcome",
        "_port",
        "_ports",
        "_tasks",
        "engine",
    )

    def __init__(
        self,
        tasks: Tasks,
        engine: Generator[Command, Any, Any],
        ports: Mapping[str, Any],
        done: Outcome,
    ) -> None:
        self.engine = engine
        self._tasks, self._ports, self._done = tasks, ports, done
        self._port: Any = None
        self._command: Any = None
        self._asked_at = 0.0
        self._outcome: tuple[Any, Exception | None] = (None, None)

    def arrived(self, value: Any, error: Exception | None) -> None:
        """The outcome of its command is here (or it begins): on to the next."""
        tasks = self._tasks
        host = tasks.host
        if not tasks.alive:
            return
        if host.frozen:
            self._outcome = (value, error)
            host.deferred.append(self._arrive_late)
            return
        try:
            command = self.engine.send(value) if error is None else self.engine.throw(error)
        except StopIteration as ended:
            tasks.left(self)
            self._done(ended.value, None)
            return
        except CrashedError:
            return
        except Exception as raised:  # noqa: BLE001 - whatever it is, the simulation reports it
            tasks.left(self)
            if not isinstance(raised, ZrError):
                tasks.host.broken(raised)
            self._done(None, raised)
            return
        port = self._ports[command.port]
        if command.port in ASYNC:
            port.call(command, self.arrived)
            return
        self._port, self._command, self._asked_at = port, command, host.loop.now
        host.loop.after(host.latency(command), self._effect)

    def _effect(self) -> None:
        """The command happens; its outcome arrives now, or later."""
        tasks, command = self._tasks, self._command
        if not tasks.alive:
            return
        host, value, error = tasks.host, None, None
        if host.frozen:
            host.deferred.append(self._effect)
            return
        host.asked_at = self._asked_at
        try:
            value = host.perform(self._port, command)
        except CrashedError:
            return
        except ZrError as raised:
            error = raised
        if host.random.random() < 0.3:
            self._outcome = (value, error)
            host.loop.after(host.latency(command), self._arrive_late)
        else:
            self.arrived(value, error)

    def _arrive_late(self) -> None:
        self.arrived(*self._outcome)
