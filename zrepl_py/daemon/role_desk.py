"""What does the other node get to hear of a group's role, and which of its streams may come in?
RoleDeskPort and RoleGuardPort: called by the peer server, from several threads.

What is answered is what is in memory, under the monitor: also while a turn hangs in a pool. What
the other node says changes nothing here; where it has changed itself, this node looks at once.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from zrepl_py.core.role_words import Heartbeat, RoleWord, ShipOrder, judge_stream
from zrepl_py.daemon.lanes import Tell
from zrepl_py.daemon.role_rescues import observe_own, receive_rescue, settle_shipped
from zrepl_py.daemon.role_seen import add_hosting
from zrepl_py.daemon.roles import GroupRole, Roles
from zrepl_py.engine.commands import Engine
from zrepl_py.engine.role_node import say
from zrepl_py.errors import Refused
from zrepl_py.events import Event
from zrepl_py.model.names import parse_epoch
from zrepl_py.model.roles import State
from zrepl_py.model.wire import Begin
from zrepl_py.ports.clock import ClockPort

Run = Callable[[Engine[Any], Mapping[str, Any]], Any]


class RoleDesk:
    """Of all groups of this node."""

    def __init__(
        self,
        roles: Roles,
        monitor: Any,
        run: Run,
        ports: Mapping[str, Any],
        clock: ClockPort,
        tell: Tell,
    ) -> None:
        """`run(engine, ports)` holds `monitor` between its commands (daemon/agenda.py)."""
        self._roles, self._monitor, self._run = roles, monitor, run
        self._ports, self._clock, self._tell = ports, clock, tell
        self._heard: dict[str, tuple[State, object, object]] = {}

    def exchange(self, source: str, mine: RoleWord) -> RoleWord:
        """See RoleDeskPort."""
        with self._monitor:
            role = self._find(source, mine.group.group)
            said = (mine.said.state, mine.intent, mine.said.handover)
            if self._heard.get(source + role.plan.uuid) != said:
                self._heard[source + role.plan.uuid] = said
                role.wake()
            return add_hosting(say(role.node), role)

    def note_heartbeat(self, source: str, group: str, beat: Heartbeat) -> None:
        """See RoleDeskPort."""
        with self._monitor:
            self._find(source, group).node.note_heartbeat(beat, self._clock.monotonic())

    def observe_shipped(self, source: str, group: str, label: str) -> frozenset[int]:
        """See RoleDeskPort."""
        with self._monitor:
            role = self._find(source, group)
        found: frozenset[int] = self._run(settle_shipped(role, label), self._ports)
        with self._monitor:
            known = {part.snapshot for rescue in role.rescues for part in rescue.parts}
            if not found <= known:
                self._look_again(role)
        own: frozenset[int] = self._run(observe_own(role, label), self._ports)
        return found | own

    def receive_rescue(self, source: str, group: str, order: ShipOrder, fd: int) -> None:
        """See RoleDeskPort."""
        taken: list[int] = []
        try:
            with self._monitor:
                role = self._find(source, group)
            self._run(receive_rescue(role, order, fd, taken), self._ports)
            with self._monitor:
                self._look_again(role)
            named = {"label": order.label, "member": order.member, "of": role.peer.name}
            self._tell(Event.RESCUE_RECEIVED, group=role.name, **named)
        finally:
            if not taken:
                os.close(fd)

    def check_stream(self, source: str, begin: Begin) -> bool:
        """See RoleGuardPort."""
        with self._monitor:
            role = self._roles.of_label(source, begin.lane.dataset)
            if role is None or role.plain:
                return False  # as ever: the node's own epoch counts
            judge_stream(role.state, role.node.memory, source, parse_epoch(begin.epoch))
            return True

    def _look_again(self, role: GroupRole) -> None:
        """There is a rescue that was not seen yet."""
        role.rescues_at = None
        role.wake()

    def _find(self, source: str, group: str) -> GroupRole:
        role = self._roles.of_uuid(group)
        if role is None or role.peer.uuid != source:
            raise Refused(
                "no-roles",
                "That group has no roles on this node, or not with the node that asks.",
                "The same table [roles.POLICY] belongs in zr.toml of both nodes.",
            )
        return role
