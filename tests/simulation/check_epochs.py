"""The highest epoch that a node has written down only rises; it never speaks under a lower one; no
epoch is made twice."""

from typing import TYPE_CHECKING

from zrepl_py.model.lineage import Memory
from zrepl_py.model.names import Epoch
from zrepl_py.model.properties import EPOCH_PROPERTY
from zrepl_py.model.roles import State

if TYPE_CHECKING:
    from tests.simulation.role_node import SimRoleNode
    from tests.simulation.role_site import RoleSite


class EpochsOnlyRise:
    """By a book of its own, which no crash tears."""

    def __init__(self, site: "RoleSite") -> None:
        self.site = site
        self._highest: dict[str, int] = {}
        self._made: dict[Epoch, str] = {}
        self._lineage: dict[str, tuple[Epoch, ...]] = {}

    def forget(self, node: "SimRoleNode") -> None:
        """A node's journal is lost: it cannot know what it had seen."""
        self._highest.pop(node.name, None)
        self._lineage.pop(node.name, None)

    def remembered(self, node: "SimRoleNode", memory: Memory) -> None:
        """What is on the disk now."""
        highest = self._highest.get(node.name, 0)
        seen = memory.seen.n if memory.seen else 0
        if seen < highest:
            self._say(f"{node.name} has seen epoch {highest}, and now says {seen}.")
        heads = tuple(entry.epoch for entry in memory.lineage)
        before = self._lineage.get(node.name, ())
        new = heads[-1] if heads and heads != before else None
        if [e.n for e in heads] != sorted({e.n for e in heads}):
            self._say(f"The lineage of {node.name} does not rise: {heads}.")
        if new is not None and memory.lineage[-1].node == memory.node:
            if new not in self._made and new.n <= highest:
                self._say(f"{node.name} takes epoch {new}, and has seen {highest}.")
            if self._made.setdefault(new, node.name) != node.name:
                self._say(f"{node.name} takes epoch {new}, which {self._made[new]} has made.")
        self._lineage[node.name] = heads
        self._highest[node.name] = max(highest, seen, *(e.n for e in heads), 0)

    def speaks(self, node: "SimRoleNode", epoch: Epoch | None) -> None:
        """A stream, a confirmation, a receipt."""
        highest = self._highest.get(node.name, 0)
        if (epoch.n if epoch else 0) < highest:
            self._say(f"{node.name} speaks under {epoch}, and has seen epoch {highest}.")

    def received(self, node: "SimRoleNode") -> None:
        """A stream was received: under the node's own newest epoch, which it had checked. One that
        is under way when a person promotes the node may commit, until the members are brought to
        the tick that was presented."""
        head = node.memory.head
        highest = self._highest.get(node.name, 0)
        if (
            head is not None
            and head.node == node.here.uuid
            and not self._is_taking(node, head.epoch)
        ):
            self._say(f"{node.name} receives in an epoch of its own, {head.epoch}.")
        if head is not None and head.epoch.n < highest:
            self._say(f"{node.name} receives under {head.epoch}, and has seen {highest}.")

    def _is_taking(self, node: "SimRoleNode", epoch: Epoch) -> bool:
        """Promoted, and the members are not all brought to one tick yet."""
        found = [node.machine.pools.find(name) for name in node.members.values()]
        brought = all(p is None or p.local.get(EPOCH_PROPERTY) == str(epoch) for p in found)
        return node.state is State.PROMOTING and not brought

    def _say(self, sentence: str) -> None:
        self.site.watch.violation("epochs", sentence)
