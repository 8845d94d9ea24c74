"""The replica is a subsequence of the source's history, with the source's contents."""

from itertools import islice
from typing import TYPE_CHECKING

from tests.simulation.truth import content_of
from zrepl_py.engine.commands import Command
from zrepl_py.model.names import parse_tick

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site


class LineageKept:
    """Checked at every commit of a target; also writes down what a source took and a target got."""

    def __init__(self, site: "Site") -> None:
        self.site = site

    def after_snapshot_changed(self, node: "SimNode", command: Command, value: object) -> None:
        """A tick: note every snapshot, and that the model recorded what was written."""
        truth = self.site.truth
        name = command.args[1]
        for dataset in command.args[0]:
            found = node.pools.dataset(dataset)
            version = found.snapshots[-1] if found.snapshots else None
            if version is None or version.name != name or version.guid in truth.content:
                continue
            if not any(order.means(dataset) for order in self.site.orders):
                self.site.watch.violation("lineage", f"No policy means {dataset}@{name}.")
                continue
            truth.took(found, version, self.site.order_of(dataset))
            if content_of(version) != truth.content[version.guid]:
                self.site.watch.violation("lineage", f"{dataset}@{name} is not what was written.")

    def after_receive(self, node: "SimNode", command: Command, value: object) -> None:
        """A commit."""
        truth, watch = self.site.truth, self.site.watch
        snapshot: str = command.args[0]
        dataset_name, _, name = snapshot.partition("@")
        replica = node.pools.dataset(dataset_name)
        version = replica.snapshot(name)
        guid = command.kwargs["to_guid"]
        if version is None or version.guid != guid or guid not in truth.dataset_of:
            watch.violation("lineage", f"{snapshot} on {node.node.name} is not guid {guid}.")
            return
        if content_of(version) != truth.content[guid]:
            watch.violation("lineage", f"{snapshot} on {node.node.name} has other contents.")
        dataset = truth.dataset_of[guid]
        if replica.encrypted != (dataset in truth.secret):
            how = "is" if replica.encrypted else "is not"
            watch.violation("lineage", f"{dataset_name} {how} encrypted, unlike its source.")
        place = truth.lineages[dataset].place
        arrived = truth.arrived.setdefault((node.node.name, dataset), [])
        if arrived and place[guid] <= place[arrived[-1]]:
            watch.violation("lineage", f"{snapshot} came to {node.node.name} after a newer one.")
        if arrived and command.kwargs["from_guid"] == 0:
            watch.violation("lineage", f"{snapshot} was sent whole though a replica exists.")
        if not arrived:
            truth.first_arrived[node.node.name, dataset] = self.site.loop.now
        arrived.append(guid)
        truth.found(node.node.name, guid)  # here again, after a person's mistake
        # The one before it; what was before that was looked at when that one came.
        own = (v for v in islice(reversed(replica.snapshots), 1, None) if parse_tick(v.name))
        before = next(own, None)
        if before is not None and truth.dataset_of.get(before.guid) != dataset:
            watch.violation("lineage", f"{dataset_name} mixes two datasets' snapshots.")
