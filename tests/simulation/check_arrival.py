"""Every snapshot that the policy wants on a target arrives there, or a rule says why not.

A snapshot may be left out only where the target's retention would drop it at once, where the
source's own retention (or a person) destroyed it before it could be sent, or where its dataset is
gone.
"""

from typing import TYPE_CHECKING

from tests.simulation.truth import own_versions
from tests.simulation.wanted import wish_of
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
        jumped = present & set(lineage.guids[first:last])
        if not jumped:
            return
        there = {v.guid for v in node.pools.dataset(command.args[0].partition("@")[0]).snapshots}
        # What was there when the plan was made may be gone by now.
        for view in (there | present, there | present | set(lineage.guids[first:])):
            ordered = sorted(view & lineage.place.keys(), key=lineage.place.__getitem__)
            surely = wish_of(truth.labels(ordered), keep).surely
            jumped &= {ordered[place] for place in surely}
        if jumped:
            self.site.watch.violation(
                "arrival",
                f"{command.args[0]} came to {node.node.name}, but guids {sorted(jumped)} before it "
                f"were left out, which {keep} wants.",
            )

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
