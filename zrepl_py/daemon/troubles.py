"""What is told of a trouble that goes on? Each cause once, and then that it is over.

Something that fails is tried again and again; an event for each try would bury the one that says
why. Two causes are the same when they differ in numbers only. Remembers, decides nothing.
"""

import re
from dataclasses import dataclass, field

CAUSES = 20
"""So many different causes of one trouble are told; of further ones only new reasons."""
_NUMBERED = re.compile(r"[\w.:,-]*\d[\w.:,-]*")


@dataclass
class Trouble:
    """One thing that fails, or does not."""

    tries: int = 0
    """That failed since it began."""
    since: float = 0.0
    """When it began: whatever clock the caller goes by."""
    _told: set[tuple[str, str]] = field(default_factory=set)

    def is_news(self, reason: str, message: str, now: float = 0.0) -> bool:
        """One more try failed; whether the cause is another one than all that were told."""
        if not self.tries:
            self.since = now
        self.tries += 1
        cause = (reason, _NUMBERED.sub("#", message))
        if cause in self._told or (len(self._told) >= CAUSES and self._knows(reason)):
            return False
        self._told.add(cause)
        return True

    def _knows(self, reason: str) -> bool:
        return any(known == reason for known, _ in self._told)

    def end(self, now: float = 0.0) -> tuple[int, int] | None:
        """It is over: how many tries failed, and for how many seconds; None: there was none."""
        if not self.tries:
            return None
        tries, seconds = self.tries, round(max(0.0, now - self.since))
        self.tries, self.since = 0, 0.0
        self._told.clear()
        return tries, seconds
