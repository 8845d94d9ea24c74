"""A command is a port's verb with its arguments, as data: printable, comparable, simulatable.

`snapshots = yield from ask(ZfsPort.observe_history, "tank/a")` asks, with types checked; the runner
performs it (engine never does) and sends the outcome back, or throws the port's error.
"""

from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Command(NamedTuple):
    """One verb of one port. (Made for every single thing that is done: a tuple is the cheapest.)"""

    port: str
    """The Protocol's name: ZfsPort, PeerPort, JournalPort."""
    verb: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        shown = [str(a) for a in self.args] + [f"{k}={v}" for k, v in self.kwargs.items()]
        return f"{self.port}.{self.verb}({', '.join(shown)})"


Engine = Generator[Command, Any, T]


def ask(
    verb: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs
) -> Generator[Command, Any, T]:
    """Yield one command and return its outcome."""
    port, name = _name_of(verb)
    outcome: T = yield Command(port, name, args, kwargs)
    return outcome


@cache  # one entry per verb
def _name_of(verb: Callable[..., Any]) -> tuple[str, str]:
    port, name = verb.__qualname__.split(".")
    return port, name


class Agenda(Protocol):
    """Who runs engines later. Between two commands an engine is alone: whatever it reads and
    changes then, no other engine of the same agenda sees half of it. While a command is performed
    everything may change."""

    def start(
        self,
        key: Hashable,
        engine: Callable[[], Engine[None]],
        ports: Mapping[str, Any],
        after_seconds: float = 0.0,
    ) -> None:
        """Run what `engine` makes under `key` once, not earlier than `after_seconds` from now. A
        key never runs twice at the same time; one that waits is moved earlier, never later."""


def run(
    engine: Engine[T],
    ports: Mapping[str, Any],
    monitor: AbstractContextManager[object] | None = None,
) -> T:
    """The plain runner: perform each command at once, in this thread.

    `ports` maps a Protocol's name to its implementation. Errors of ports are thrown into the
    engine, which may catch them; what it does not catch comes out here. `monitor` is held while
    the engine itself runs, never while a command is performed.
    """
    alone = monitor if monitor is not None else nullcontext()
    try:
        with alone:
            command = next(engine)
        while True:
            try:
                outcome = getattr(ports[command.port], command.verb)(
                    *command.args, **command.kwargs
                )
            except Exception as error:  # noqa: BLE001 - the engine decides, not the runner
                with alone:
                    command = engine.throw(error)
            else:
                with alone:
                    command = engine.send(outcome)
    except StopIteration as done:
        result: T = done.value
        return result
