"""Everything that was ever written is somewhere; what has a receipt is where the primary is; what a
promotion passes by is what a person has accepted."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.simulation.role_truth import numbers_in, numbers_kept
from zrepl_py.core.promotion import render_moment
from zrepl_py.model.lineage import Memory, Taking
from zrepl_py.model.rescue import RESCUE_HOLD, RESCUE_PARENT, parse_rescue_snapshot
from zrepl_py.model.roles import State

if TYPE_CHECKING:
    from tests.simulation.role_node import SimRoleNode
    from tests.simulation.role_site import RoleSite


SERVING = (State.PRIMARY, State.PRIMARY_ALONE)


class NothingWrittenIsLost:
    """Primary ∪ standby ∪ rescues ∪ snapshots; less only where a machine's disks are gone."""

    def __init__(self, site: "RoleSite") -> None:
        self.site = site

    def remembered(self, node: "SimRoleNode", memory: Memory) -> None:
        """A forced epoch: what was typed is the moment of the tick from which it goes on."""
        head = memory.head
        if head is None or head.taking is not Taking.FORCED or head == node.memory.head:
            return
        if head.node == node.here.uuid and node.role is not None and head.accepted:
            ticks = [m for m in node.role.manifests if m.members == head.bases]
            if not any(render_moment(m.at) == head.accepted for m in ticks):
                self._say(f"{node.name} promotes another tick than that of {head.accepted}.")

    def moved(self, node: "SimRoleNode", row: str) -> None:
        """Looked at where something could have been lost."""
        if row == "promoted":
            self._check_promoted(node)
        if row in ("promoted", "rescued", "fast-forward"):
            self.look(f"after {row} on {node.name}")
        if row == "rescued":
            self._check_kept(node)

    def _check_promoted(self, node: "SimRoleNode") -> None:
        head = node.memory.head
        live = self.live(node)
        based = self._contents(node, head.bases) if head else set()
        if not based <= live:
            self._say(f"{node.name} opens {head and head.epoch} without {sorted(based - live)}, "
                      "which are in what it goes on from.")  # fmt: skip
        for known, before in self.site.truth.receipts.items():
            if known not in self.site.truth.aside and not before <= live:
                gone = sorted(before - live)[:5]
                self._say(f"{node.name} opens {head and head.epoch} without {gone}, which have "
                          f"the receipt {known}.")  # fmt: skip

    def _check_kept(self, node: "SimRoleNode") -> None:
        """What was set aside is held, closed, and under a name of its own."""
        for name, dataset in node.machine.pools.pools[node.machine.pool].datasets.items():
            for version in dataset.snapshots:
                label = parse_rescue_snapshot(version.name)
                mine = label is not None and f"/{RESCUE_PARENT}/{label}/" in name
                if mine and RESCUE_HOLD not in version.holds:
                    self._say(f"{name}@{version.name} on {node.name} is not held.")

    def look(self, when: str) -> None:
        """Every write is on some disk."""
        kept: set[int] = set()
        for node in (self.site.alpha, self.site.beta):
            if node.name != self.site.lost:
                kept |= numbers_kept(node.machine.pools)
        gone = {w.number for w in self.site.truth.writes} - kept - self.site.truth.accepted
        if gone:
            self._say(f"Writes {sorted(gone)[:5]} are nowhere {when}.")

    def lose(self, other: "SimRoleNode") -> None:
        """A machine's disks are gone: what the other one has not may be, if a person accepts it."""
        whole = other.whole()
        kept = self._contents(other, whole.members if whole else {})
        for before in self.site.truth.receipts.values():
            kept |= before
        self.site.truth.accepted |= {w.number for w in self.site.truth.writes} - kept

    def at_end(self) -> None:
        """What has a receipt is with the primary."""
        for node in (self.site.alpha, self.site.beta):
            if node.up and node.memory.opened and node.state in SERVING:
                self._check_promoted(node)

    def live(self, node: "SimRoleNode") -> set[int]:
        """What is under the members' own names."""
        found = (node.machine.pools.find(name) for name in node.members.values())
        return set().union(*(numbers_in(d.files) for d in found if d is not None))

    def _contents(self, node: "SimRoleNode", members: Mapping[str, int]) -> set[int]:
        """Of snapshots, wherever on a node they are."""
        wanted, found = set(members.values()), set[int]()
        for dataset in node.machine.pools.pools[node.machine.pool].datasets.values():
            for version in dataset.snapshots:
                if version.guid in wanted:
                    found |= numbers_in(version.files)
        return found

    def _say(self, sentence: str) -> None:
        self.site.watch.violation("tails", sentence)
