"""Never two writers in one epoch; where nobody lied, never two; and no gate without proof."""

from typing import TYPE_CHECKING

from zrepl_py.core.lineage import recall
from zrepl_py.engine.commands import Command
from zrepl_py.model.host import Holding
from zrepl_py.model.lineage import Memory
from zrepl_py.model.roles import Record, State

if TYPE_CHECKING:
    from tests.simulation.role_node import SimRoleNode
    from tests.simulation.role_site import RoleSite

MAY_OPEN = (State.PROMOTING, State.PRIMARY, State.PRIMARY_ALONE)
NOT_YET_CLOSED = (*MAY_OPEN, State.INIT, State.UNKNOWN, State.DRAINING, State.FENCED, State.SPLIT,
                  State.FAULTED)  # fmt: skip


class NeverTwoWriters:
    """Looked at after everything that a machine is told to do, and at every write."""

    def __init__(self, site: "RoleSite") -> None:
        self.site = site

    def is_open(self, node: "SimRoleNode") -> bool:
        """Whether a program could write into a member, now or as soon as it wakes."""
        host = node.machine.host
        for name in node.members.values():
            system = host.file_systems.get(name)
            if system is None or not node.machine.on:
                continue
            mapped = any(Holding.MAPS in p.holdings.get(name, ()) for p in host.programs.values())
            if mapped or (not system.readonly and host._in_use(name)):
                return True
        return False

    def look(self) -> None:
        """Both gates."""
        alpha, beta = self.site.alpha, self.site.beta
        if not (self.is_open(alpha) and self.is_open(beta)):
            return
        heads = [node.memory.head for node in (alpha, beta)]
        if heads[0] is not None and heads[1] is not None and heads[0].epoch == heads[1].epoch:
            self._say(f"Both nodes are open in epoch {heads[0].epoch}.")
        elif not self.site.somebody_lied:
            self._say("Both nodes are open, and nobody lied.")

    def before(self, node: "SimRoleNode", command: Command) -> None:
        """Nothing is mounted, made writable or served without the right to."""
        opens = command.verb in ("mount", "start_service", "add_address") or (
            command.verb == "set_gate" and command.args[1].get("readonly") == "off"
        )
        if not opens:
            return
        if node.state not in MAY_OPEN:
            self._say(f"{node.name} opens its gate as {node.state}: {command}")
        if recall(node.memory) not in (Record.PRIMARY, Record.PROMOTING):
            self._say(f"{node.name} opens, though its journal says {recall(node.memory)}.")
        if command.verb in ("start_service", "add_address") and node.state is State.PROMOTING:
            self._say(f"{node.name} serves before the epoch was opened.")

    def remembered(self, node: "SimRoleNode", memory: Memory) -> None:
        """`opened` is journalled only when it is so."""
        head = memory.head
        if recall(memory) is Record.HANDED_OVER and self.is_open(node):
            self._say(f"{node.name} hands over, and is open.")
        if not memory.opened or node.memory.opened or head is None or len(memory.lineage) < 2:
            return
        for name in node.members.values():
            system = node.machine.host.file_systems.get(name)
            mounted = system is not None and any(m.own for m in system.mounts)
            if system is None or not mounted or system.readonly:
                self._say(f"{node.name} has opened {head.epoch}, but {name} is not open.")
            elif system.marker.strip() != str(head.epoch):
                self._say(f"{node.name} has opened {head.epoch}, but {name} is not marked.")

    def moved(self, node: "SimRoleNode", row: str, before: State) -> None:
        """Who was fenced goes on only when it is closed."""
        if before is State.FENCED and row != "broken" and self.is_open(node):
            self._say(f"{node.name} goes on from fenced by {row}, and is open.")

    def wrote(self, node: "SimRoleNode", number: int) -> None:
        """A write lands only on a node that is, or did not yet prove that it is no more, open."""
        record = recall(node.memory)
        if record is Record.HANDED_OVER:
            self._say(f"Write {number} lands on {node.name}, which has handed over.")
        if node.state not in NOT_YET_CLOSED:
            self._say(f"Write {number} lands on {node.name}, which is {node.state}.")
        if record is Record.STANDBY:
            self._say(f"Write {number} lands on {node.name} in the other one's epoch.")

    def _say(self, sentence: str) -> None:
        self.site.watch.violation("writers", sentence)
