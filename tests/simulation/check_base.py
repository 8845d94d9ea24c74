"""The last common version is never lost: as long as a replica exists, its source can go on from it.

Looks after everything that takes away: whoever had a base before has one afterwards, however long
the target has been away and whatever anybody believes of it.
"""

from typing import TYPE_CHECKING

from zrepl_py.engine.commands import Command
from zrepl_py.model.names import parse_cursor

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site


class BaseKept:
    """Counted in the truth: what the target committed last, and what the source has."""

    def __init__(self, site: "Site") -> None:
        self.site = site

    def after_destroy_snapshots(self, node: "SimNode", command: Command, value: object) -> None:
        """Retention."""
        for dataset in {name.partition("@")[0] for name in command.args[0]}:
            self._look(node, dataset)

    def after_destroy_bookmarks(self, node: "SimNode", command: Command, value: object) -> None:
        """A cursor that was moved."""
        for dataset in {name.partition("#")[0] for name in command.args[0]}:
            self._look(node, dataset)

    def _look(self, node: "SimNode", name: str) -> None:
        found = node.pools.find(name)
        if found is None:
            return
        arrived = self.site.truth.arrived
        for target, _ in self.site.links_from(node):
            committed = arrived.get((target.node.name, found.guid))
            if not committed:
                continue
            base = committed[-1]
            marks = {m.guid for m in found.bookmarks.values() if parse_cursor(m.name)}
            if base not in marks and all(v.guid != base for v in found.snapshots):
                sentence = f"{name} has lost its last common version with {target.node.name}."
                self.site.watch.violation("base", sentence)
