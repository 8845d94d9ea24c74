"""What became of a group's ticks, for whoever asks how this node does."""

from dataclasses import dataclass, field

from zrepl_py.daemon.troubles import Trouble
from zrepl_py.errors import ZrError
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import parse_tick
from zrepl_py.model.site import Manifest

VALID_KEPT = 1000


@dataclass
class Ticks:
    """What became of the ticks of one group since the daemon's start, counted from 1."""

    begun: int = 0
    ended: int = 0
    taken: int = 0
    """Snapshots that the last one took."""
    error: ZrError | None = None
    """Why the last one took none."""
    trouble: Trouble = field(default_factory=Trouble)
    """What was told of those that took none."""


class Validity:
    """Until when was a snapshot all that its dataset had?"""

    def __init__(self) -> None:
        self._known: dict[str, dict[int, int]] = {}

    def note(self, manifest: Manifest) -> None:
        """At that tick these were; by the datasets' own names."""
        for dataset, guid in manifest.members.items():
            known = self._known.setdefault(dataset, {})
            known[guid] = manifest.at
            while len(known) > VALID_KEPT:  # of older ones the name says when they were taken
                del known[next(iter(known))]

    def until(self, dataset: str, snapshot: Snapshot) -> int | None:
        """The last tick at which it was, in seconds since 1970."""
        tick = parse_tick(snapshot.name)
        return self._known.get(dataset, {}).get(snapshot.guid, tick.at if tick else None)
