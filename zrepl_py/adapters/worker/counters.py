"""What a worker has done since it started: forks and calls. Which question: is the cycle cheap?

`forks` counts everything that starts a process, seen by Python's audit hooks, so also what a
library does (a Popen that uses posix_spawn is seen twice); `call:VERB` counts calls. Tests and
people read them; nothing decides by them.
"""

import sys
import threading
from collections import Counter

_FORKS = frozenset(
    {
        "subprocess.Popen",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "os.system",
        "os.exec",
        "pty.spawn",
    }
)


class Counters:
    """Counts, safe from any thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter({"forks": 0})
        self._lock = threading.Lock()

    def watch_forks(self) -> None:
        """Count forks of this process from now on; call it once: a hook cannot be removed."""
        sys.addaudithook(self._audit)

    def _audit(self, event: str, _arguments: object) -> None:
        if event in _FORKS:
            self.count("forks")
            self.count(f"fork:{event}")

    def count(self, what: str) -> None:
        """One more of `what`."""
        with self._lock:
            self._counts[what] += 1

    def observe(self) -> dict[str, int]:
        """A copy of all counts."""
        with self._lock:
            return dict(self._counts)
