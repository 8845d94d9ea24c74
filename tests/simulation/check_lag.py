"""After healing, every lane's lag returns under one cadence within a few ticks, and stays there.

The lag is what would be lost if the source burned now: the age of the oldest snapshot that the
target has not. It is reckoned in true time, from the truth, not from what the daemon says.
"""

from typing import TYPE_CHECKING

from tests.simulation.link import LONGEST_STREAM_SECONDS
from zrepl_py.daemon.lanes import LOOK_SECONDS, STANDING_SECONDS
from zrepl_py.engine.commands import Command

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

TICKS = 3
"""Within so many ticks of its policy, and..."""
GRACE_SECONDS = 3 * STANDING_SECONDS + LONGEST_STREAM_SECONDS + 120.0
"""...what a lane may wait after its last failure, its parent's too, and the streams need."""


class LagReturns:
    """Looks at every tick after the last fault."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self._taken: dict[int, float] = {}
        """Snapshot's guid → true time at which it was taken."""

    def after_snapshot_changed(self, node: "SimNode", command: Command, value: object) -> None:
        """A tick: note when; and once healing had its time, how far behind targets are."""
        for name in command.args[0]:
            versions = node.pools.dataset(name).snapshots
            if versions and (version := versions[-1]).name == command.args[1]:
                self._taken[version.guid] = self.site.loop.now
        self._look(node)

    def at_healed(self) -> None:
        """The same without a tick."""
        for node in self.site.sources:
            self._look(node)

    def _look(self, node: "SimNode") -> None:
        now, truth = self.site.loop.now, self.site.truth
        grace = GRACE_SECONDS
        if "replica-destroyed" in self.site.scenario.faults:
            grace += LOOK_SECONDS  # until then an idle lane may not know that its replica is gone
        if now < self.site.healed_at + grace:
            return
        for source, dataset, target in self.site.lanes():
            cadence = self.site.order_of(dataset.name).policy.every_seconds
            lineage = truth.lineages.get(dataset.guid)
            if source is not node or lineage is None:
                continue
            if now < self.site.healed_at + grace + TICKS * cadence:
                continue
            arrived = truth.arrived.get((target.node.name, dataset.guid), [])
            place = lineage.place[arrived[-1]] if arrived else -1
            lacking = lineage.guids[place + 1 :]
            if lacking and now - self._taken[lacking[0]] > cadence + 60:
                self.site.watch.violation(
                    "lag",
                    f"{dataset.name} to {target.node.name} is {len(lacking)} snapshots and "
                    f"{now - self._taken[lacking[0]]:.0f} s behind, "
                    f"{now - self.site.healed_at:.0f} s after the last fault.",
                )
