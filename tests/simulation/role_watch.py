"""Dispatches what happens in a story with roles to its checkers; one checker per file."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.simulation.check_epochs import EpochsOnlyRise
from tests.simulation.check_roles_end import OnePrimaryAgain
from tests.simulation.check_tails import NothingWrittenIsLost
from tests.simulation.check_writers import NeverTwoWriters
from zrepl_py.core.codec import decode
from zrepl_py.engine.commands import Command
from zrepl_py.model.lineage import Memory
from zrepl_py.model.names import Epoch
from zrepl_py.model.roles import State

if TYPE_CHECKING:
    from tests.simulation.role_node import SimRoleNode
    from tests.simulation.role_site import RoleSite


class RoleWatch:
    """All checkers of one site."""

    def __init__(self, site: "RoleSite") -> None:
        self.site = site
        self.violations: list[str] = []
        self.seen: Counter[str] = Counter()
        self.writers = NeverTwoWriters(site)
        self.tails = NothingWrittenIsLost(site)
        self.epochs = EpochsOnlyRise(site)
        self.end = OnePrimaryAgain(site)

    def violation(self, checker: str, sentence: str) -> None:
        """A property does not hold."""
        self.site.loop.stopped = True
        self.violations.append(f"[{checker}] at {self.site.loop.now:.1f} s: {sentence}")

    def before(self, node: "SimRoleNode", command: Command) -> None:
        """A command is about to take effect."""
        if command.port in ("DatasetPort", "HostPort"):
            self.writers.before(node, command)

    def after(self, node: "SimRoleNode", command: Command, value: Any) -> None:
        """A command took effect."""
        if command.port in ("DatasetPort", "HostPort") and command.verb[:7] != "observe":
            self.writers.look()
        if command.verb == "append" and command.args[0] == "role":
            self.remembered(node, decode(Memory, command.args[1]["memory"]))
        if command.verb == "append" and command.args[0] == "tick":
            self.seen["tick"] += 1
        if command.verb == "receive_stream":
            self.epochs.received(node)
            self.end.received(node, command)

    def booted(self, node: "SimRoleNode") -> None:
        """A daemon starts."""
        assert node.role is not None
        self.epochs.remembered(node, node.role.memory)
        node.memory = node.role.memory

    def wrote(self, node: "SimRoleNode", number: int) -> None:
        """A program's write returned."""
        self.writers.wrote(node, number)

    def moved(self, node: "SimRoleNode", row: str, before: State) -> None:
        """A decision was carried out: the state is another."""
        self.seen[f"row {row}"] += 1
        self.seen[f"state {node.state}"] += 1
        self.writers.moved(node, row, before)
        self.tails.moved(node, row)
        self.end.moved(node, row)

    def remembered(self, node: "SimRoleNode", memory: Memory) -> None:
        """A memory is durable."""
        self.epochs.remembered(node, memory)
        self.writers.remembered(node, memory)
        self.tails.remembered(node, memory)
        node.memory = memory

    def sends(self, node: "SimRoleNode", epoch: Epoch | None) -> None:
        """A stream is sent under an epoch."""
        self.seen["stream"] += 1
        self.epochs.speaks(node, epoch)

    def confirms(self, node: "SimRoleNode", epoch: Epoch) -> None:
        """A standby confirms."""
        self.epochs.speaks(node, epoch)

    def receipted(self, node: "SimRoleNode", ident: str, before: frozenset[int]) -> None:
        """A client has its receipt."""
        self.seen["receipt"] += 1
        head = node.memory.head
        self.epochs.speaks(node, head.epoch if head else None)
        self.site.truth.receipts[ident] = before

    def healed(self) -> None:
        """Everything is healed, and had time."""
        self.tails.look("after healing")
        self.end.at_end()
        self.tails.at_end()
