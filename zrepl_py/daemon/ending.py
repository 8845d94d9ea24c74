"""How does the daemon end? Asked to (a signal), or because a promise of ours is broken (Bug).

A Bug in any thread ends the whole daemon: systemd starts it again, and it observes everything
anew. To go on with a broken invariant is how data is lost.
"""

import signal

from zrepl_py.adapters.signals import Wake
from zrepl_py.errors import Bug, ZrError


class Ending:
    """Whether the daemon should end, and why."""

    def __init__(self) -> None:
        self.error: ZrError | None = None
        self._asked = Wake()

    def on_signals(self) -> None:
        """SIGTERM and SIGINT ask, too. Only in the main thread."""
        self._asked.set_by(signal.SIGTERM, signal.SIGINT)

    def ask(self) -> None:
        """End in good order."""
        self._asked.set()

    def fail(self, error: BaseException) -> None:
        """End because of what a thread could not deal with; the first one counts."""
        known = error if isinstance(error, ZrError) else Bug("task-failed", repr(error))
        self.error = self.error or known
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """True as soon as the daemon should end, False after the time."""
        return self._asked.wait(seconds)
