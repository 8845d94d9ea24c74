"""Where events go: one JSON object a line, on standard error (which journald keeps) and into files
of the daemon's own, which `zr events` reads and which survive a restart and a reboot.

Fields are plain JSON values; a secret never is one. Nothing is fsynced: what must not be lost is in
the journal. A disk that is full or fails must not hurt the daemon: then the files miss lines.
"""

import json
import os
import re
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zrepl_py.events import Event
from zrepl_py.ports.clock import ClockPort

SEGMENT_BYTES = 8 << 20
SEGMENTS = 8
"""64 MiB in all: about a week of thirty datasets that change every minute."""
_SEGMENT = re.compile(r"events-(\d{8})\.jsonl\Z")


class EventLog:
    """tell(event, **fields), safe from several threads."""

    def __init__(self, clock: ClockPort, files: "EventFiles | None" = None) -> None:
        self._clock = clock
        self._files = files
        self._lock = threading.Lock()

    def tell(self, event: Event, **fields: Any) -> None:
        """Write one event."""
        at = datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="milliseconds")
        line = json.dumps({**fields, "at": at, "event": event.value}, ensure_ascii=False)
        with self._lock:
            print(line, file=sys.stderr, flush=True)
            if self._files is not None:
                self._files.append(line)


class EventFiles:
    """Numbered segments in one directory; the oldest go. One writer: whoever has the journal."""

    def __init__(self, folder: str) -> None:
        """Nothing is opened before the first line, so a second daemon changes nothing here."""
        self._folder = Path(folder)
        self._fd = -1
        self._size_bytes = 0
        self._failed = False

    def append(self, line: str) -> None:
        """Write one line; a failure is said once on standard error, then tried again each time."""
        content = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            if self._fd < 0 or self._size_bytes + len(content) > SEGMENT_BYTES:
                self._open(fresh=self._fd >= 0)
            # One write, so that a reader sees whole lines.
            self._size_bytes += os.write(self._fd, content)
            self._failed = False
        except OSError as error:
            if not self._failed:
                print(f"events are not kept in {self._folder}: {error}", file=sys.stderr)
            self._failed = True

    def _open(self, *, fresh: bool) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        known = find_segments(self._folder)
        number = max(known, default=0) + (1 if fresh or not known else 0)
        path = self._folder / f"events-{number:08d}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._size_bytes = fd, os.fstat(fd).st_size
        if self._size_bytes and not fresh:
            # A power loss may have torn the last line.
            self._size_bytes += os.write(fd, b"\n")
        known[number] = path
        for old in sorted(known)[:-SEGMENTS]:
            known[old].unlink(missing_ok=True)


def find_segments(folder: Path) -> dict[int, Path]:
    """Number → file, of those that are there. Raises OSError."""
    found = ((p, _SEGMENT.match(p.name)) for p in folder.iterdir())
    return {int(match[1]): path for path, match in found if match}
