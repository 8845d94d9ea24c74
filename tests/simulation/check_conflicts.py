"""An increment is always possible: no lane ends in a conflict, nor in an error that stays."""

from typing import TYPE_CHECKING, Any

from zrepl_py.events import Event

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

EXPECTED = {"peer-silent", "stream-cut", "busy", "parent-missing"}
"""They need no fault: a stream may just be long, a child's turn come before its parent's."""
_GONE = {"renamed", "destroyed-dataset", "replica-destroyed"}
_FULL = {"source-full", "target-full", "low-space", "little-room"}
AFTER_FAULTS = {
    "low-space": _FULL,
    "no-space": _FULL | {"journal-full"},
    "pool-suspended": {"suspended"},
    "dataset-missing": _GONE,
    "snapshot-missing": _GONE | {"person-destroys", "person-releases"},
    "base-mismatch": {"replica-destroyed"},
    "wrong-guid": {"replica-destroyed"},
}
"""Reasons that are expected only where such things happen, or people do them."""

FAILURES = {Event.LANE_FAILED, Event.RECEIVE_REFUSED, Event.PRUNE_FAILED, Event.TICK_MISSED}


class Conflicts:
    """Checked at every event."""

    def __init__(self, site: "Site") -> None:
        self.site = site

    def on_told(self, node: "SimNode", event: Event, fields: dict[str, Any]) -> None:
        """An event."""
        if event is Event.LANE_CONFLICT:
            self._say(f"{fields['dataset']}: {fields['kind']}: {fields['evidence']}")
        elif event in FAILURES and not self._expected(fields["reason"]):
            self._say(f"{node.node.name}: {event.value}: {fields}")

    def _expected(self, reason: str) -> bool:
        deeds = AFTER_FAULTS.get(reason, set())
        return reason in EXPECTED or bool(deeds & self.site.scenario.faults)

    def _say(self, sentence: str) -> None:
        self.site.watch.violation("conflicts", sentence)
