"""What the two nodes of a group hear of each other: two directions, each of which can be cut.

A call (RolePeerPort) is answered over both directions within its deadline, or is silence; what is
on its way when a direction is cut is lost, or comes late. Nothing is carried to a later start of
the hearer: its connections were others.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.role_lane import Streamed
from tests.simulation.tasks import Outcome
from zrepl_py.engine.commands import Command
from zrepl_py.engine.role_node import say
from zrepl_py.errors import Passing, ZrError
from zrepl_py.testing.model_roles import ModelRolePeer, RoleEnd
from zrepl_py.testing.model_roles import RoleWire as ModelWire

if TYPE_CHECKING:
    from tests.simulation.role_node import SimRoleNode
    from tests.simulation.role_site import RoleSite

DEADLINE_SECONDS = 5.0
AGAIN_SECONDS = 10.0
CODED_EVERY = 5
"""Of so many seeds one carries its words as JSON values, through the codec."""


class RoleWire:
    """Both directions."""

    def __init__(self, site: "RoleSite") -> None:
        self.site = site
        self.random = Random(f"{site.seed}/wire")
        self.cut = {"alpha": 0, "beta": 0}
        """By the speaker's name: above 0 nothing of it arrives."""
        self.cuts_streams = 0
        """While above 0 half of a stream arrives."""
        self.loses = ""
        """The member whose streams do not arrive at all."""
        self.model = ModelWire()

    def end_of(self, node: "SimRoleNode") -> "WireEnd":
        """A node's RolePeerPort, for one start of its daemon."""
        if node.here.uuid not in self.model.ends:
            for each in (self.site.alpha, self.site.beta):
                self.model.ends[each.here.uuid] = RoleEnd(
                    each.here.uuid, each.here.short, each.zfs, each.machine.datasets,
                    each.journal, each.machine.clock,
                )  # fmt: skip
        return WireEnd(self, node)

    def send(self, speaker: "SimRoleNode", message: object) -> None:
        """Something of a lane, that nobody waits for."""
        if isinstance(message, Streamed):
            if message.member == self.loses:
                return
            if self.cuts_streams:
                message = replace(message, content=message.content[: len(message.content) // 2])
        self.carry(speaker, lambda: speaker.peer.lane.arrived(message))

    def carry(self, speaker: "SimRoleNode", arrive: Callable[[], None]) -> None:
        """Over one direction."""
        hearer = speaker.peer
        instance = hearer.tasks
        seconds = self.site.latency_seconds * (0.5 + self.random.random())

        def due() -> None:
            if self.cut[speaker.name]:
                if self.random.random() < 0.5:
                    self.site.loop.after(1.0 + 30 * self.random.random(), due)
            elif hearer.tasks is instance and instance is not None:
                if hearer.frozen:
                    hearer.deferred.append(due)
                else:
                    arrive()

        self.site.loop.after(seconds, due)


class WireEnd:
    """RolePeerPort of one node: an AsyncPort of the simulator."""

    def __init__(self, wire: RoleWire, node: "SimRoleNode") -> None:
        self.wire, self.node = wire, node
        self._silent_until = 0.0
        """There is no connection, and until then none is tried: calls fail at once."""

    def call(self, command: Command, done: Outcome) -> None:
        """Ask the other one; what it does, it does at one moment."""
        wire, node = self.wire, self.node
        loop, over = wire.site.loop, list[bool]()
        silent = Passing("peer-silent", "The other node does not answer.")
        if loop.now < self._silent_until:
            loop.after(wire.site.latency_seconds, lambda: done(None, silent))
            return

        def end(value: Any, error: Exception | None) -> None:
            if not over:
                over.append(True)
                done(value, error)

        def arrive() -> None:
            value, failed = None, None
            try:
                value = self._ask(command)
            except ZrError as error:
                failed = error
            wire.carry(node.peer, lambda: end(value, failed))

        wire.carry(node, arrive)

        def give_up() -> None:
            if not over:
                self._silent_until = loop.now + AGAIN_SECONDS
                end(None, silent)

        loop.after(DEADLINE_SECONDS, give_up)

    def _ask(self, command: Command) -> Any:
        peer = self.node.peer
        for each in (self.node, peer):
            self.wire.model.ends[each.here.uuid].node = each.role
        if peer.role is None:
            raise Passing("peer-silent", "The other node does not answer.")
        if command.verb == "exchange" and self.wire.site.seed % CODED_EVERY:
            return say(peer.role)
        port = ModelRolePeer(self.wire.model, self.node.here.uuid)
        value = getattr(port, command.verb)(*command.args, **command.kwargs)
        if command.verb == "ship_rescue":
            self.wire.site.watch.seen["rescue shipped"] += 1
            peer.machine.reflect()
        return value
