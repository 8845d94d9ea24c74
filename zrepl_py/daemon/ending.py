"""How does the daemon end? Asked to (a signal), or because a promise of ours is broken (Bug).

A Bug in any thread ends the whole daemon: systemd starts it again, and it observes everything
anew. To go on with a broken invariant is how data is lost. A reload (SIGHUP) is asked for here too,
since the main thread waits for both.
"""

import signal
from enum import Enum

from zrepl_py.adapters.signals import Wake
from zrepl_py.errors import Bug, ZrError


class Wish(Enum):
    """What the main thread should do next."""

    GO_ON = "go on"
    RELOAD = "reload"
    END = "end"


class Ending:
    """Whether the daemon should end, and why; or read its configuration again."""

    def __init__(self) -> None:
        self.error: ZrError | None = None
        self._ended = False
        self._wake = Wake()

    def on_signals(self) -> None:
        """SIGTERM and SIGINT end, SIGHUP reloads. Only in the main thread."""
        self._wake.set_by(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def fail(self, error: BaseException) -> None:
        """End because of what a thread could not deal with; the first one counts."""
        known = error if isinstance(error, ZrError) else Bug("task-failed", repr(error))
        self.error = self.error or known
        self._ended = True
        self._wake.set()

    def wait(self, seconds: float) -> Wish:
        """What is wished for, as soon as it is; GO_ON after the time."""
        self._wake.wait(seconds)
        numbers = self._wake.take()
        self._ended = self._ended or not numbers.isdisjoint({signal.SIGTERM, signal.SIGINT})
        if self._ended:
            return Wish.END
        return Wish.RELOAD if signal.SIGHUP in numbers else Wish.GO_ON
