"""In quiet, the holds and bookmarks that exist are exactly those that should, on both sides."""

from typing import TYPE_CHECKING

from tests.simulation.truth import own_versions
from zrepl_py.model.names import parse_cursor, parse_hold, render_hold
from zrepl_py.testing.model_zfs_state import ModelDataset

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site


class TenureExact:
    """Checked at the end."""

    def __init__(self, site: "Site") -> None:
        self.site = site

    def at_end(self) -> None:
        """The base is held and bookmarked for each target; a replica's newest is held."""
        for source in self.site.sources:
            for dataset in self.site.members_of(source):
                self._check_source(dataset)
        for source, dataset, target in self.site.lanes():
            self._check_replica(source, dataset, target)

    def _check_source(self, dataset: ModelDataset) -> None:
        own = own_versions(dataset)
        if not own:
            return
        wanted = self.site.order_of(dataset.name).policy.targets
        shorts = [t.node.short for t in self.site.targets if t.node.name in wanted]
        held = _holds_of(dataset)
        if held != {(own[-1].guid, render_hold(short)) for short in shorts}:
            self._say(f"{dataset.name} has holds {sorted(held)}, newest {own[-1].guid}")
        marks = sorted(
            (parsed[0], mark.guid)
            for mark in dataset.bookmarks.values()
            if (parsed := parse_cursor(mark.name))
        )
        if marks != sorted((short, own[-1].guid) for short in shorts):
            self._say(f"{dataset.name} has cursors {marks}, newest {own[-1].guid}")

    def _check_replica(self, source: "SimNode", dataset: ModelDataset, target: "SimNode") -> None:
        replica = self.site.truth.replica_of(target, dataset.guid)
        if replica is None:
            return  # check_arrival says so
        if replica.partial is not None:
            self._say(f"{replica.name} still has a partial receive")
        if replica.local.get("zr:orig:recordsize") != dataset.local.get("recordsize"):
            self._say(f"{replica.name} does not know the properties of {dataset.name}")
        there = own_versions(replica)
        held_there = _holds_of(replica)
        if held_there != {(there[-1].guid, render_hold(source.node.short))}:
            self._say(f"{replica.name} has holds {sorted(held_there)}, newest {there[-1].guid}")

    def _say(self, sentence: str) -> None:
        self.site.watch.violation("tenure", sentence + ".")


def _holds_of(dataset: ModelDataset) -> set[tuple[int, str]]:
    """(guid, tag) of all of zr's, on foreign snapshots too."""
    return {(v.guid, tag) for v in dataset.snapshots for tag in v.holds if parse_hold(tag)}
