"""What becomes of snapshots without this daemon, or against its plan? Each is told once.

Somebody else destroyed what it remembered: that is survived, and said. Or something stands on what
should go, and ZFS would refuse: that stays, and who stands on it is said.
"""

from collections.abc import Collection, Iterable

from zrepl_py.core.retention import own_of
from zrepl_py.daemon.lanes import Tell
from zrepl_py.engine.last_look import LastLook
from zrepl_py.events import Event
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import join_snapshot

NAMED = 5


class Leftovers:
    """Of one side of the daemon."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._going: set[int] = set()
        """guids that this daemon gave to ZFS to destroy, and does not know what became of."""
        self._spared: dict[str, frozenset[str]] = {}
        """Dataset → what stays there against the plan, with its causes."""

    def begin(self, guids: Iterable[int]) -> None:
        """These are being destroyed by this daemon."""
        self._going.update(guids)

    def end(self, guids: Iterable[int]) -> None:
        """What became of them is remembered."""
        self._going.difference_update(guids)

    def note(self, dataset: str, look: LastLook) -> list[str]:
        """Tell what is gone; return what stays against the plan and was not told before."""
        self._note_gone(dataset, look.gone)
        known = self._spared.get(dataset, frozenset())
        lines = [
            f"{join_snapshot(dataset, snapshot.name)}: {'; '.join(causes)}"
            for snapshot, causes in look.spared.items()
        ]
        self._spared[dataset] = frozenset(lines)
        return [line for line in lines if line not in known]

    def compare(self, dataset: str, remembered: History, seen: History) -> None:
        """Tell what is missing in a pool that was looked at again."""
        there = {s.guid for s in seen.snapshots}
        self._note_gone(dataset, [s for s in own_of(remembered) if s.guid not in there])

    def _note_gone(self, dataset: str, gone: Collection[Snapshot]) -> None:
        others = [s.name for s in gone if s.guid not in self._going]
        self.end(s.guid for s in gone)
        if others:
            self._tell(
                Event.SNAPSHOTS_GONE, dataset=dataset, count=len(others), names=others[:NAMED]
            )
