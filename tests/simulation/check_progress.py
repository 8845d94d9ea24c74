"""When the faults have ended, nothing is stuck: lanes run without failures, and come to rest."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.site import Site


class Progress:
    """Checked some time after the last fault, while the world still writes; and in quiet."""

    def __init__(self, site: "Site") -> None:
        self.site = site

    def at_healed(self) -> None:
        """Lanes run without failures; every dataset that is to be protected is a member."""
        if not all(node.up for node in self.site.nodes):
            self._say("A node is down after all faults ended")
            return
        for node in self.site.sources:
            for state in node.source.lanes.states.values():
                if state.failures:
                    why = state.error or state.conflict
                    self._say(
                        f"{state.lane.dataset} to {state.lane.target.name} still fails: {why}"
                    )
        for _, dataset, _ in self.site.lanes():
            if dataset.guid not in self.site.truth.lineages:
                self._say(f"{dataset.name} has no snapshot")

    def at_end(self) -> None:
        """Nothing runs when nothing is to be done."""
        for node in self.site.nodes:
            if node.busy:
                self._say(f"{node.node.name} is still busy")

    def _say(self, sentence: str) -> None:
        self.site.watch.violation("progress", sentence + ".")
