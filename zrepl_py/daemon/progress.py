"""How many bytes went out for each lane? Counted as they go, for `zr replicate` and `zr status`.

Told by the threads of transfers after every chunk, so it must be quick, and it takes no lock that
anybody holds for long. Forgotten at a restart.
"""

import threading
from dataclasses import dataclass

from zrepl_py.model.site import Lane


@dataclass
class _Count:
    whole_bytes: int = 0
    """Of all streams since the start."""
    stream_bytes: int = 0
    """Of the newest one."""


class Progress:
    """Bytes of streams, by lane."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}

    def count(self, lane: Lane, size_bytes: int) -> None:
        """`size_bytes` of the lane's running stream are out; 0: a new one begins."""
        with self._lock:
            known = self._counts.setdefault(lane.uuid, _Count())
            known.whole_bytes += max(0, size_bytes - known.stream_bytes)
            known.stream_bytes = size_bytes

    def sent_bytes(self, lane: str) -> int:
        """Of the lane with this uuid, since the daemon's start."""
        with self._lock:
            known = self._counts.get(lane)
            return known.whole_bytes if known else 0
