"""The record of what was done, read back: by `zr events` from the daemon's files, also while the
daemon is down. Never writes; a torn or foreign line is left out.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zrepl_py.adapters.events import find_segments
from zrepl_py.errors import Standing

DIRECTORY = "events"
"""Below the state directory."""


class EventReader:
    """Goes through all segments in order; called again, it goes on where it was (`--follow`)."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._number = 0
        self._offset_bytes = 0

    def read(self) -> Iterator[dict[str, Any]]:
        """The events that were not read yet, oldest first. Errors: Standing(no-rights, no-events).

        A line that is still being written is left for the next time.
        """
        known = self._segments()
        for number in sorted(n for n in known if n >= self._number):
            if number != self._number:
                self._number, self._offset_bytes = number, 0
            try:
                with known[number].open("rb") as file:
                    file.seek(self._offset_bytes)
                    for line in file:
                        if not line.endswith(b"\n"):
                            break
                        self._offset_bytes += len(line)
                        event = _parse(line)
                        if event is not None:
                            yield event
            except FileNotFoundError:
                continue  # dropped meanwhile, as the oldest one
            except OSError as error:
                raise self._unreadable(error) from None

    def _segments(self) -> dict[int, Path]:
        try:
            return find_segments(self._folder)
        except FileNotFoundError:
            raise Standing(
                "no-events",
                f"No events were kept yet in {self._folder}.",
                "Start the daemon: systemctl start zr. Older ones may be in journalctl -u zr.",
            ) from None
        except OSError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: OSError) -> Standing:
        return Standing(
            "no-rights",
            f"The events in {self._folder} cannot be read: {error.strerror}.",
            "Use sudo: they belong to root and user zr.",
        )


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(value, dict) and all(isinstance(value.get(k), str) for k in ("at", "event"))
    return value if whole else None
