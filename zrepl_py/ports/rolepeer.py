"""The role peer port: what two nodes tell each other about the roles of one group.

Contract:
- Everything goes over the control connection that is open now. What was told over an earlier one
  does not count: where there is none, or it breaks, or no answer comes within the deadline, it is
  Passing(peer-silent), and nothing is known of what the other one did.
- `exchange` returns the other node's word of now. A word whose `boot` is not that of the
  connection's greeting is never returned.
- Nothing here asks the other node to do something: each decides for itself.
- No message names a path. Corrupt(malformed): a word that no honest node says (core/role_words.py).
- Every wait has a deadline (5 s; for `ship_rescue` on its progress).
- Refused(no-roles): the other node has no such group with this node, or a zr without roles.

RolePeerPort is the asking side, RoleDeskPort and RoleGuardPort are the asked one's.
adapters/peer/roles.py is between them; testing/model_roles.py is the model of it.
"""

from typing import Protocol

from zrepl_py.core.role_words import Heartbeat, RoleWord, ShipOrder
from zrepl_py.model.wire import Begin


class RoleGuardPort(Protocol):
    """A receiver's own side: which streams the roles let in."""

    def check_stream(self, source: str, begin: Begin) -> bool:
        """Before a stream is opened. True: it is of a group that has roles, and may be received
        (core/role_words.judge_stream). False: of one that has none, so the node's own epoch
        counts, as ever. `source` is the node uuid that the connection proved.
        Errors: Refused(peer-epoch), Passing(role-closed)."""


class RoleDeskPort(Protocol):
    """What answers the other node; from several threads. `source` is the node uuid that the
    connection proved, `group` the group's uuid; a word is bounded, and its `boot` the greeting's.

    Errors of each: Refused(no-roles) for a group that has none here, or whose other node is not
    `source`; Passing(peer-silent) before the first look.
    """

    def exchange(self, source: str, mine: RoleWord) -> RoleWord:
        """`source` says `mine` of its group; the answer is what this node says of it now."""

    def note_heartbeat(self, source: str, group: str, beat: Heartbeat) -> None:
        """Returns when it is in memory."""

    def observe_shipped(self, source: str, group: str, label: str) -> frozenset[int]:
        """guids of that rescue's snapshots that are here, read from the pool, whichever node's it
        is."""

    def receive_rescue(self, source: str, group: str, order: ShipOrder, fd: int) -> None:
        """The stream in the pipe `fd`, which is closed in every case; returns after the commit and
        the read-back. The place is chosen here (model/rescue.shipped_place).
        Errors: Refused(bad-name), those of ZfsPort.receive."""


class RolePeerPort(Protocol):
    """The other node of a group."""

    def exchange(self, mine: RoleWord) -> RoleWord:
        """Say `mine`, and hear what the other one says of itself now."""

    def tell_heartbeat(self, beat: Heartbeat) -> None:
        """Returns when the other node has it in memory. Bounded before it is sent, and there."""

    def observe_shipped(self, label: str) -> frozenset[int]:
        """guids of the rescue's snapshots that the other node has, all of them read back."""

    def ship_rescue(self, snapshot: str, base: str | None, order: ShipOrder) -> None:
        """Send `snapshot` of this node (an increment on `base`, or whole); returns when the other
        one has committed and read it back, below a place that it chose itself. Again: nothing.
        Errors: Refused(bad-name) for a label or member that it does not know."""
