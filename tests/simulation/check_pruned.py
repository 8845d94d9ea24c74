"""What retention drops is gone in the end, on both sides: whatever stays is explained.

By a rule (wanted.py, which reckons otherwise than core/voters.py), the cap, a hold, a clock in
doubt, or a target that runs for less than an hour and was not asked about that replica yet: here
no source notices by the signs of life that another daemon answers (daemon/contacts.py), so an idle
lane waits for its hourly look. check_destroys has the other half: that nothing wanted goes.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from tests.simulation.judging import judge_wish
from tests.simulation.truth import own_versions
from zrepl_py.daemon.lanes import LOOK_SECONDS
from zrepl_py.model.policy import Keep, Policy
from zrepl_py.testing.model_zfs_state import ModelDataset

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site


class UnwantedGone:
    """Checked when all is quiet."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self._booted_at: dict[SimNode, float] = {}

    def on_booted(self, node: "SimNode") -> None:
        """A daemon starts, which knows of no replica."""
        self._booted_at[node] = self.site.loop.now

    def at_end(self) -> None:
        """Every lane's two ends."""
        for source, dataset, target in self.site.lanes():
            policy = self.site.order_of(dataset.name).policy
            self._check(source, dataset, policy)
            replica = self.site.truth.replica_of(target, dataset.guid)
            if replica is not None and self._was_asked(source, dataset, target):
                self._check(target, replica, policy)

    def _was_asked(self, source: "SimNode", dataset: ModelDataset, target: "SimNode") -> bool:
        """About that lane, by its source, or should have been."""
        return self.site.loop.now - self._booted_at[target] >= LOOK_SECONDS or any(
            known.dataset == dataset.name and known.place.source == source.node
            for known in target.replicas.lanes.values()
        )

    def _check(self, node: "SimNode", dataset: ModelDataset, policy: Policy) -> None:
        answers, key = self.site.answers, (node.node.name, dataset.name)
        answered = answers.answered_at.get(key, float("-inf"))
        if key in answers.open or self.site.loop.now - answered < LOOK_SECONDS:
            return
        unwanted = find_unexplained(node, dataset, policy)
        if unwanted:
            keep = policy.keep.get(node.node.name, Keep())
            self.site.watch.violation(
                "pruned",
                f"{node.node.name} still has {len(unwanted)} snapshots of {dataset.name} that "
                f"{keep} drops, the first {unwanted[0]}.",
            )


def find_unexplained(
    node: "SimNode", dataset: ModelDataset, policy: Policy, young: Collection[int] = ()
) -> list[str]:
    """Names of snapshots that no rule and no hold keeps, oldest first; as if the `young` ones
    (guids) had not come yet."""
    own = [v for v in own_versions(dataset) if v.guid not in young]
    if not own:
        return []
    keep = policy.keep.get(node.node.name, Keep())
    now = node.clock.now() if node.node.name == policy.source else None  # whose clock they tell
    source = node.site.truth.dataset_of[own[-1].guid]
    _, wanted = judge_wish(node, source, policy, [v.guid for v in own], now)
    # What is held is pinned, and does not count for the cap.
    free = [place for place, version in enumerate(own) if not version.holds]
    spared = set(range(len(own) - (keep.at_least or 0), len(own)))
    capped = set(free[: -policy.limits.max_snapshots]) - spared
    return [own[place].name for place in free if own[place].guid not in wanted or place in capped]
