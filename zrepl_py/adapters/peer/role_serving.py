"""The asked side of the roles: what a session answers through ports.rolepeer.RoleDeskPort.

A word counts only over the connection on which it came: its `boot` is that of the greeting, and it
is of the node that the certificate proved.
"""

from collections.abc import Callable

from zrepl_py.adapters.peer.role_messages import (
    AskRoles,
    AskShipped,
    BeginRescue,
    RoleCall,
    RolesTold,
    Shipped,
)
from zrepl_py.adapters.peer.role_told import Listener, Teller
from zrepl_py.adapters.peer.role_trim import count_versions
from zrepl_py.core.role_words import Heartbeat, RoleWord
from zrepl_py.errors import Corrupt, Passing, Refused
from zrepl_py.model.wire import Answer, Committed
from zrepl_py.ports.rolepeer import RoleDeskPort

RoleAnswer = RolesTold | Shipped | Answer


class RoleDesk:
    """One connection's side of it."""

    def __init__(self, desk: RoleDeskPort | None, source: str, boot: str) -> None:
        """`source`: the node that was proved; `boot`: what its greeting said."""
        self._desk, self._source, self._boot = desk, source, boot
        self._teller, self._listener = Teller(), Listener()

    def prepare(self, call: RoleCall) -> Callable[[], RoleAnswer]:
        """What answers it, in a thread of its own. Corrupt(malformed): then the connection ends,
        for the two sides no longer agree on what was told."""
        if isinstance(call, AskRoles):
            mine = self._listener.hear(call.told)
            members = mine.group.members.items()
            theirs = {name: m.history for name, m in members if count_versions(m.history)}
            tell = self._teller.tell
            return lambda: RolesTold(tell(self._exchange(mine), theirs, asks=False))
        if isinstance(call, AskShipped):
            return lambda: Shipped(self._look(call))
        return lambda: self._note(call.group, call.beat)

    def forget_told(self) -> None:
        """An answer was not sent: what it told must be told again."""
        self._teller = Teller()

    def receive(self, begin: BeginRescue, fd: int) -> Committed:
        """A rescue; closes `fd`. Its createtxg here is not told: 0."""
        self._known().receive_rescue(self._source, begin.group, begin.order, fd)
        return Committed(begin.to_guid, 0)

    def check_known(self) -> None:
        """Refused(no-roles) where this node has no desk."""
        self._known()

    def _exchange(self, mine: RoleWord) -> RoleWord:
        desk = self._known()
        if mine.group.node != self._source:
            raise Corrupt("malformed", "The other node speaks of its roles under another's name.")
        if mine.boot != self._boot:
            raise Passing("peer-silent", "The word is of another start than the connection.")
        return desk.exchange(self._source, mine)

    def _note(self, group: str, beat: Heartbeat) -> Answer:
        self._known().note_heartbeat(self._source, group, beat)
        return Answer()

    def _look(self, call: AskShipped) -> tuple[int, ...]:
        return tuple(sorted(self._known().observe_shipped(self._source, call.group, call.label)))

    def _known(self) -> RoleDeskPort:
        if self._desk is None:
            raise Refused(
                "no-roles",
                "No group of this node has roles.",
                "Write the same [roles] into zr.toml of both nodes, and restart zr.",
            )
        return self._desk
