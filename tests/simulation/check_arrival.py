"""Every snapshot that the policy wants on a target arrives there, or a rule says why not.

A snapshot may be left out only where the target's retention would drop it at once, where the
source's own retention (or a person) destroyed it before it could be sent, or where its dataset is
gone.
"""

from typing import TYPE_CHECKING

from tests.simulation.truth import own_versions
from zrepl_py.engine.commands import Command
from zrepl_py.model.policy import Keep

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site


class Arrival:
    """Whatever a commit jumps over must not have been wanted."""

    def __init__(self, site: "Site") -> None:
        self.site = site

    def after_receive(self, node: "SimNode", command: Command, value: object) -> None:
        """A commit: look at what was jumped over and still exists on the source."""
        truth = self.site.truth
        guid = command.kwargs["to_guid"]
        dataset = truth.dataset_of.get(guid)
        if dataset is None:
            return
        lineage = truth.lineages[dataset]
        arrived = truth.arrived[node.node.name, dataset]
        first = lineage.place[arrived[-2]] + 1 if len(arrived) > 1 else 0
        last = lineage.place[guid]
        if first == last:
            return
        present = {
            v.guid
            for source in self.site.sources
            for d in self.site.members_of(source)
            if d.guid == dataset
            for v in d.snapshots
        }
        keep = truth.order_of[dataset].policy.keep.get(node.node.name, Keep())
        for place in range(first, last):
            if lineage.guids[place] in present and self._wanted(lineage.labels, place, keep):
                self.site.watch.violation(
                    "arrival",
                    f"{command.args[0]} came to {node.node.name}, but guid "
                    f"{lineage.guids[place]} before it was left out, which {keep} wants.",
                )

    def _wanted(self, labels: list[int], place: int, keep: Keep) -> bool:
        newer = labels[place + 1 :]
        if keep == Keep():
            return True
        if keep.last is not None and len(newer) < keep.last:
            return True
        within = keep.within_seconds
        return within is not None and all(n - labels[place] <= within for n in newer)

    def at_end(self) -> None:
        """The newest of every dataset is everywhere."""
        for _, dataset, target in self.site.lanes():
            own = own_versions(dataset)
            arrived = self.site.truth.arrived.get((target.node.name, dataset.guid), [])
            if own and (not arrived or arrived[-1] != own[-1].guid):
                self.site.watch.violation(
                    "arrival",
                    f"{dataset.name}@{own[-1].name} never came to {target.node.name}.",
                )
