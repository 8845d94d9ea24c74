"""How does what one node has set aside come to the other one, without holding up the group's turns?

A job of its own: while a stream runs, which may take hours, the group's role is looked at, ordered
and changed as ever. One dataset at a time; before each it is asked again whether this node still
follows that primary, so nothing is begun after that has changed. What was cut begins again later:
the other node says what it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.lanes import Tell
from zrepl_py.daemon.roles import GroupRole, Sending
from zrepl_py.daemon.troubles import Trouble
from zrepl_py.engine.commands import Engine
from zrepl_py.engine.role_rescue import Shipping, find_shipment, list_unshipped, ship_rescue
from zrepl_py.engine.role_turn import must_ship
from zrepl_py.errors import Bug, ZrError
from zrepl_py.events import Event
from zrepl_py.ports.clock import ClockPort

AGAIN_SECONDS = (2.0, 10.0, 60.0)
"""After one that failed."""


@dataclass
class Shipper:
    """Of one group."""

    role: GroupRole
    ports: Mapping[str, Any]
    agenda: Agenda
    """Not the one on which turns are taken; with the same monitor."""
    clock: ClockPort
    tell: Tell

    def __post_init__(self) -> None:
        self._trouble = Trouble()
        self._asked = False

    def note_turn(self) -> None:
        """A turn has ended: begin, if something is to be sent and nothing is on its way. Called
        with the monitor held."""
        if not self._asked and self._is_due():
            self._asked = True
            self._ask(0.0)

    def _is_due(self) -> bool:
        role = self.role
        if role.look is None or not must_ship(role.node, role.look):
            return False
        return bool(role.look.trees.labels and list_unshipped(role.node, role.look.trees))

    def _ask(self, after_seconds: float) -> None:
        self.agenda.ask(("ship", self.role.plan.uuid), self._work, after_seconds)

    def _work(self) -> None:
        after = self.agenda.run(self._try(), self.ports)
        if after is not None:
            self._ask(after)

    def _try(self) -> Engine[float | None]:
        """In how many seconds there is more to do; None: a turn will say so."""
        role = self.role
        try:
            more = yield from self._ship()
        except Bug:
            raise  # the agenda ends the daemon
        except ZrError as error:
            if self._trouble.is_news(error.reason, str(error), self.clock.monotonic()):
                why = {"reason": error.reason, "message": str(error)}
                self.tell(Event.RESCUE_DELAYED, group=role.name, target=role.peer.name, **why)
            return AGAIN_SECONDS[min(self._trouble.tries, len(AGAIN_SECONDS)) - 1]
        finally:
            role.sending = None
        self._trouble.end()
        if not more:
            self._asked = False
        return 0.0 if more else None

    def _ship(self) -> Engine[bool]:
        """Send one; whether there was one."""
        role = self.role
        if not self._is_due() or role.look is None:
            return False
        due: Shipping | None = yield from find_shipment(role.node, role.look.trees)
        if due is None or not self._is_due():
            role.rescues_at = None  # what was not known to be there, is
            return False
        role.sending = Sending(due.order.label, due.order.member)
        yield from ship_rescue(role.node, due)
        named = {"label": due.order.label, "member": due.order.member}
        self.tell(Event.RESCUE_SHIPPED, group=role.name, target=role.peer.name, **named)
        role.rescues_at = None
        return True


def count_sent(role: GroupRole, size_bytes: int) -> None:
    """So much of the rescue that is being sent is out; called after every chunk."""
    if (sending := role.sending) is not None:
        sending.bytes = size_bytes
