"""In a long run: whenever all has been well for some time, the target has caught up, and no more
snapshots are there than the policy explains. What other checkers ask once at the end, asked twice a
day; of the source also while its target is away.

Well is: the node is up, its link whole, no question open. Clocks may lie, and do: retention then
says why it keeps what it keeps, and the count is only bounded by the cap.
"""

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from tests.simulation.check_pruned import find_unexplained
from tests.simulation.truth import own_versions
from tests.simulation.wanted import is_in_doubt, most_of
from zrepl_py.daemon.lanes import LOOK_SECONDS
from zrepl_py.events import Event
from zrepl_py.model.policy import Keep, Policy
from zrepl_py.testing.model_zfs_state import ModelDataset

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

WELL_SECONDS = LOOK_SECONDS + 1200.0
EVERY_SECONDS = 12 * 3600.0
YOUNG_SECONDS = 300.0
"""What was taken since may not have been judged yet."""


class LongRun:
    """Only where the scenario has absences; looks at every tick whether all is well."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self._ill_at: dict[str, float] = {}
        """Node → when it was last not well."""
        self._looked_at = 0.0
        self._returns = [begins + seconds for begins, seconds in site.scenario.absences]
        self._taken: dict[int, float] = {}
        """Snapshot's guid → true time."""

    def on_told(self, node: "SimNode", event: Event, fields: dict[str, Any]) -> None:
        """A tick."""
        if event is not Event.TICK_TAKEN or not self.site.scenario.absences:
            return
        site, now = self.site, self.site.loop.now
        if fields["taken"]:
            for dataset in site.members_of(node):
                self._taken.setdefault(dataset.snapshots[-1].guid, now)
        asked = {name for name, _ in site.answers.open}
        for one in site.nodes:
            cut = one is not node and any(link.cut_off for _, link in site.links_to(one))
            if not one.up or one.frozen or cut or one.node.name in asked:
                self._ill_at[one.node.name] = now
        if now - self._looked_at > EVERY_SECONDS and self._is_well(node, now):
            self._looked_at = now
            self._look(now)

    def _is_well(self, node: "SimNode", now: float) -> bool:
        return now - self._ill_at.get(node.node.name, 0.0) > WELL_SECONDS

    def at_end(self) -> None:
        """Each absence was followed by a look, within a month."""
        month = self.site.scenario.window_seconds / 12
        if self._returns and self.site.loop.now - self._returns[0] > month:
            self._say(f"nobody looked after the absence that ended at {self._returns[0]:.0f} s")

    def _look(self, now: float) -> None:
        for source, dataset, target in self.site.lanes():
            policy = self.site.order_of(dataset.name).policy
            self._check_kept(source, dataset, policy, now)
            replica = self.site.truth.replica_of(target, dataset.guid)
            if replica is None or not self._is_well(target, now):
                self.site.watch.seen["looked while the target is away"] += 1
                continue
            self.site.watch.seen["looked while all is well"] += 1
            self._check_lag(dataset, target, now)
            self._check_kept(target, replica, policy, now)
            while self._returns and self._returns[0] < now:
                self._returns.pop(0)
                self.site.watch.seen["caught up after an absence"] += 1

    def _check_lag(self, dataset: ModelDataset, target: "SimNode", now: float) -> None:
        newest = own_versions(dataset)[-1].guid
        arrived = self.site.truth.arrived.get((target.node.name, dataset.guid), [0])
        if arrived[-1] != newest and now - self._taken.get(newest, now) > YOUNG_SECONDS:
            self._say(f"{dataset.name} has not caught up on {target.node.name}")

    def _check_kept(
        self, node: "SimNode", dataset: ModelDataset, policy: Policy, now: float
    ) -> None:
        keep = policy.keep.get(node.node.name, Keep())
        own = own_versions(dataset)
        young = {v.guid for v in own if now - self._taken.get(v.guid, now) < YOUNG_SECONDS}
        unexplained = find_unexplained(node, dataset, policy, young)
        if unexplained:
            self._say(
                f"{node.node.name} keeps {len(unexplained)} snapshots of {dataset.name} that "
                f"nothing explains, the first {unexplained[0]}"
            )
        most = policy.limits.max_snapshots
        labels = self.site.truth.labels(v.guid for v in own)
        own_clock = node.node.name == policy.source
        awaited = own_clock and not self._is_well(self.site.links[0].target, now)
        if not awaited and not is_in_doubt(labels, node.clock.now() if own_clock else None):
            matching = sum(fnmatchcase(v.name, p) for v in own for p in keep.matching)
            most = min(most, most_of(keep, policy.every_seconds) + matching)
        # The base, what is on its way, and what came since.
        if len(own) - len(young) > most + 3:
            self._say(f"{node.node.name} keeps {len(own)} snapshots of {dataset.name}, not {most}")

    def _say(self, sentence: str) -> None:
        self.site.watch.violation("year", sentence + ".")
