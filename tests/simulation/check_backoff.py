"""No lane backs off for ever: whoever failed tries again soon, however often it failed.

Looks at the agenda of the lanes, not at what is told: a lane with a failure either runs, or waits
for a moment that is near, or for its parent.
"""

from typing import TYPE_CHECKING, Any

from zrepl_py.daemon.lanes import RETRY_SECONDS, STANDING_SECONDS
from zrepl_py.events import Event

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

LONGEST_SECONDS = max(60.0, STANDING_SECONDS, *RETRY_SECONDS)


class BacksOffABit:
    """Checked at every failure, at every tick, and at the end."""

    def __init__(self, site: "Site") -> None:
        self.site = site

    def on_told(self, node: "SimNode", event: Event, fields: dict[str, Any]) -> None:
        """A failure says when it tries again; a tick is a moment to look at all."""
        if event is Event.LANE_FAILED and fields["retry_seconds"] > 60.0:
            self._say(node, f"{fields['dataset']} waits {fields['retry_seconds']} s")
        elif event is Event.TICK_TAKEN:
            self._look(node)

    def at_healed(self) -> None:
        """All lanes of all sources."""
        for node in self.site.sources:
            self._look(node)

    def _look(self, node: "SimNode") -> None:
        for uuid, state in node.source.lanes.states.items():
            if not state.failures:
                continue
            due = node.lane_tasks.due(("lane", uuid))
            if due is None or due > self.site.loop.now + LONGEST_SECONDS:
                self._say(node, f"{state.lane.dataset} failed and is next tried at {due}")

    def _say(self, node: "SimNode", what: str) -> None:
        self.site.watch.violation("backoff", f"{node.node.name}: {what}.")
