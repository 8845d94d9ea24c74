"""What retention drops is gone in the end, on both sides: no snapshot stays that nobody wants.

Counted from the pools alone. Where a rule of time votes too, only the cap is checked here (what it
wants depends on clocks; check_destroys has the other half: that nothing wanted goes).
"""

from typing import TYPE_CHECKING

from tests.simulation.truth import own_versions
from zrepl_py.model.policy import Keep, Policy
from zrepl_py.testing.model_zfs_state import ModelDataset

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site


class UnwantedGone:
    """Checked when all is quiet."""

    def __init__(self, site: "Site") -> None:
        self.site = site

    def at_end(self) -> None:
        """Every lane's two ends."""
        for source, dataset, target in self.site.lanes():
            policy = self.site.order_of(dataset.name).policy
            self._check(source, dataset, policy)
            replica = self.site.truth.replica_of(target, dataset.guid)
            if replica is not None:
                self._check(target, replica, policy)

    def _check(self, node: "SimNode", dataset: ModelDataset, policy: Policy) -> None:
        own = own_versions(dataset)
        keep = policy.keep.get(node.node.name, Keep())
        # What is held is pinned, and does not count for the cap.
        free = [v.name for v in own if not v.holds]
        unwanted = free[: -policy.limits.max_snapshots]
        if keep.last is not None and keep == Keep(last=keep.last):  # no rule votes beside it
            unwanted += [v.name for v in own[: -keep.last] if not v.holds]
        if unwanted:
            self.site.watch.violation(
                "pruned",
                f"{node.node.name} still has {len(unwanted)} snapshots of {dataset.name} that "
                f"{keep} drops, the first {unwanted[0]}.",
            )
