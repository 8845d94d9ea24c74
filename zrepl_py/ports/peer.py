"""The peer port, both ends.

`PeerPort` is what a source may ask of its target. `ReceiverPort` is what the target does when it is
asked; the peer server calls it.

Contract:
- Errors: Passing(peer-silent) no answer within the deadline or connection lost; the outcome of what
  was asked is then *unknown*, and the caller must observe before it concludes anything.
  Standing(peer-certificate): another certificate than the pinned one, on either side.
  Standing(peer-version): protocol, stream flags or OpenZFS do not fit. Refused(peer-epoch).
  Corrupt(protocol): a frame that no honest peer sends. The other side's
  errors arrive as themselves.
- Every wait has a deadline, and a transfer one on its progress.
"""

from collections.abc import Mapping
from typing import Protocol

from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.plan import Resume, SendFull, SendIncrement
from zrepl_py.model.receipt import Receipt
from zrepl_py.model.site import Lane, Manifest
from zrepl_py.model.wire import Begin, Committed, LaneName

Transfer = SendFull | SendIncrement | Resume


class PeerPort(Protocol):
    """A target, seen from a source."""

    def observe_replica(self, lane: Lane) -> ReplicaView:
        """What the target has of this lane."""

    def transfer(self, lane: Lane, step: Transfer) -> Committed:
        """Send one stream. Returns only what the target says it has committed and read back."""

    def abort_partial(self, lane: Lane, to_guid: int) -> None:
        """Let the target throw away its partial receive of `to_guid`, if that is what it has."""

    def hold_base(self, lane: Lane, guid: int) -> None:
        """The target holds its snapshot `guid`, which is the last common one, and its newest; no
        other of the lane. Standing(snapshot-missing) where it has no such snapshot any more."""

    def tell_manifest(self, manifest: Manifest) -> None:
        """Returns when the target has journalled it."""

    def tell_receipt(self, receipt: Receipt) -> None:
        """Returns when the target has looked that it has all of it, and journalled it.

        Refused(receipt-false) where it has not."""

    def tell_properties(self, lane: Lane, properties: Mapping[str, str]) -> None:
        """Returns when the target has stored them as `zr:orig:*`, and removed those not named."""


class ReceiverPort(Protocol):
    """A target's own side; called by the peer server, from several threads."""

    def observe_replica(self, source: str, lane: LaneName) -> ReplicaView:
        """`source` is the node uuid that the connection proved, here and below."""

    def receive(self, source: str, begin: Begin, fd: int) -> Committed:
        """Receive the stream in pipe `fd` (closed by the callee); returns after the commit."""

    def abort_partial(self, source: str, lane: LaneName, to_guid: int) -> None:
        """See PeerPort."""

    def hold_base(self, source: str, lane: LaneName, guid: int) -> None:
        """See PeerPort."""

    def store_manifest(self, source: str, manifest: Manifest) -> None:
        """Journal it, durably."""

    def store_receipt(self, source: str, receipt: Receipt) -> None:
        """See PeerPort.tell_receipt."""

    def store_properties(self, source: str, lane: LaneName, properties: Mapping[str, str]) -> None:
        """See PeerPort.tell_properties."""
