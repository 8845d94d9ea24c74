"""Where events go: one JSON object a line on standard error, which journald keeps.

Fields are plain JSON values; a secret never is one.
"""

import json
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from zrepl_py.events import Event
from zrepl_py.ports.clock import ClockPort


class EventLog:
    """tell(event, **fields), safe from several threads."""

    def __init__(self, clock: ClockPort) -> None:
        self._clock = clock
        self._lock = threading.Lock()

    def tell(self, event: Event, **fields: Any) -> None:
        """Write one event."""
        at = datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="milliseconds")
        line = json.dumps({**fields, "at": at, "event": event.value}, ensure_ascii=False)
        with self._lock:
            print(line, file=sys.stderr, flush=True)
