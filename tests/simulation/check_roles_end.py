"""Healed, there is one primary and one standby, in sync by increments, and nothing moves any more;
no node became primary again by itself."""

from typing import TYPE_CHECKING

from zrepl_py.engine.commands import Command
from zrepl_py.model.lineage import Taking
from zrepl_py.model.names import parse_tick
from zrepl_py.model.roles import State

if TYPE_CHECKING:
    from tests.simulation.role_node import SimRoleNode
    from tests.simulation.role_site import RoleSite


class OnePrimaryAgain:
    """Looked at in the end; and no epoch without an order."""

    def __init__(self, site: "RoleSite") -> None:
        self.site = site
        self._whole: set[tuple[str, str]] = set()
        self.orders = 0
        """That may lead to an epoch."""
        self.moves_after = 0

    def received(self, node: "SimRoleNode", command: Command) -> None:
        """A replica comes whole once; after that, increments."""
        name = command.args[0].partition("@")[0]
        if command.kwargs["from_guid"] == 0:
            if (node.name, name) in self._whole:
                self._say(f"{name} came to {node.name} whole again.")
            self._whole.add((node.name, name))

    def moved(self, node: "SimRoleNode", row: str) -> None:
        """No node takes an epoch unless somebody has asked for it."""
        if self.site.quiet:
            self.moves_after += 1
        head = node.memory.head
        epochs = sum(e.taking is not Taking.FOUNDED for e in node.memory.lineage)
        if epochs > self.orders:
            self._say(f"{node.name} has {head and head.epoch}: more epochs than orders.")

    def at_end(self) -> None:
        """One primary, one standby."""
        alpha, beta = self.site.alpha, self.site.beta
        nodes = [n for n in (alpha, beta) if n.name != self.site.lost]
        states = {n.name: n.state.value for n in nodes}
        serving = [n for n in nodes if n.state in (State.PRIMARY, State.PRIMARY_ALONE)]
        if len(serving) != 1:
            self._say(f"There is not one primary in the end: {states}.")
            return
        if self.site.lost:
            return
        standby = next(n for n in nodes if n is not serving[0])
        if standby.state is not State.STANDBY or serving[0].state is not State.PRIMARY:
            self._say(f"In the end: {states}.")
            return
        if serving[0].memory.lineage != standby.memory.lineage:
            self._say("The two have different lineages in the end.")
        for member in self.site.scenario.members:
            there = [self._newest(n, member) for n in (serving[0], standby)]
            if there[0] != there[1]:
                self._say(f"{member} is not in sync in the end.")
        if self.moves_after:
            self._say(f"{self.moves_after} moves after everything had healed.")
        if not self.site.watch.writers.is_open(serving[0]):
            self._say(f"{serving[0].name} is primary, and closed.")
        if self.site.watch.writers.is_open(standby):
            self._say(f"{standby.name} is standby, and open.")

    def _newest(self, node: "SimRoleNode", member: str) -> int:
        found = node.machine.pools.find(node.members[member])
        ticks = [v for v in found.snapshots if parse_tick(v.name)] if found else []
        return ticks[-1].guid if ticks else 0

    def _say(self, sentence: str) -> None:
        self.site.watch.violation("roles-end", sentence)
