"""When the faults have ended, nothing is stuck, and the lag returns under one cadence."""

from typing import TYPE_CHECKING

from tests.simulation.truth import members_of

if TYPE_CHECKING:
    from tests.simulation.site import Site


class Progress:
    """Checked some time after the last fault, while the world still writes."""

    def __init__(self, site: "Site") -> None:
        self.site = site

    def at_healed(self) -> None:
        """Lanes run without failures; what is not there yet is younger than one cadence."""
        alpha, truth = self.site.alpha, self.site.truth
        if not all(node.up for node in self.site.nodes):
            self.site.watch.violation("progress", "A node is down after all faults ended.")
            return
        for state in alpha.source.lanes.states.values():
            if state.failures:
                why = state.error or state.conflict
                self._say(f"{state.lane.dataset} to {state.lane.target.name} still fails: {why}")
        limit = alpha.clock.now() - 1.5 * self.site.scenario.cadence_seconds - 60
        for dataset in members_of(alpha.pools):
            lineage = truth.lineages.get(dataset.guid)
            if lineage is None:
                self._say(f"{dataset.name} has no snapshot")
                continue
            for target in self.site.targets:
                arrived = truth.arrived.get((target.node.name, dataset.guid), [])
                place = lineage.place[arrived[-1]] if arrived else -1
                lacking = lineage.labels[place + 1 :]
                if lacking and lacking[0] < limit:
                    self._say(f"{dataset.name} to {target.node.name} lags by {len(lacking)}")

    def at_end(self) -> None:
        """Nothing runs when nothing is to be done."""
        for node in self.site.nodes:
            if node.busy:
                self._say(f"{node.node.name} is still busy")

    def _say(self, sentence: str) -> None:
        self.site.watch.violation("progress", sentence + ".")
