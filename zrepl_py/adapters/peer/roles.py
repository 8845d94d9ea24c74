"""The asking side of the roles: implements ports.rolepeer.RolePeerPort for one group of one peer.

What could not be sent by an honest node is refused here already, before anything is.
"""

from collections.abc import Callable

from zrepl_py.adapters.peer.client import PeerClient
from zrepl_py.adapters.peer.role_messages import (
    AskShipped,
    BeginRescue,
    TellHeartbeat,
    check_beat,
    check_order,
    is_label,
)
from zrepl_py.core.role_words import Heartbeat, RoleWord, ShipOrder
from zrepl_py.errors import Refused


def _ignore(size_bytes: int) -> None:
    return None


class RoleLink:
    """RolePeerPort: one group, over the lines that its peer's client has."""

    def __init__(
        self, client: PeerClient, group: str, progress: Callable[[int], None] = _ignore
    ) -> None:
        """`group`: its uuid. `progress(bytes so far)` of a rescue's stream must be quick."""
        self._progress = progress
        self._client, self._lines, self._group = client, client.role_lines, group

    def exchange(self, mine: RoleWord) -> RoleWord:
        """See RolePeerPort."""
        return self._lines.exchange(mine)

    def tell_heartbeat(self, beat: Heartbeat) -> None:
        """See RolePeerPort."""
        self._lines.tell(TellHeartbeat(self._group, check_beat(beat)))

    def observe_shipped(self, label: str) -> frozenset[int]:
        """See RolePeerPort. Refused(bad-name)."""
        if not is_label(label):
            raise Refused("bad-name", f"{label[:60]!r} is no rescue's label.")
        return self._lines.observe_shipped(AskShipped(self._group, label))

    def ship_rescue(self, snapshot: str, base: str | None, order: ShipOrder) -> None:
        """See RolePeerPort."""
        check_order(order)
        if order.to_guid in self.observe_shipped(order.label):
            return
        zfs, raw = self._client.zfs, order.raw

        def send(fd: int) -> None:
            zfs.send(snapshot, base, raw=raw, fd=fd, resume=None)

        self._lines.ship(BeginRescue(self._group, order), send, self._progress)
