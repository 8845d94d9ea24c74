"""At most one receive per lane. Which question it answers: may this stream begin?

A source that lost its connection begins anew while its old stream still waits for bytes that will
never come. The new one takes over: the old connection is severed, and its receive has a moment to
end. The claim is given back only when the receive itself has ended, so one that hangs in a
suspended pool is not joined by another with every retry.
"""

import threading

from zrepl_py.adapters.peer.link import Link
from zrepl_py.errors import Passing


class Claim:
    """One lane's receive."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.over = threading.Event()


class LaneClaims:
    """Who receives for which (source uuid, lane uuid)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], Claim] = {}

    def take(self, lane: tuple[str, str], link: Link, settle_seconds: float) -> Claim:
        """Passing(busy) when an earlier receive of the lane does not end in time."""
        self.end(lane, settle_seconds)
        with self._lock:
            if lane in self._held:
                raise Passing("busy", "An earlier stream of this dataset is still ending.")
            claim = self._held[lane] = Claim(link)
            return claim

    def end(self, lane: tuple[str, str], settle_seconds: float) -> None:
        """Sever the lane's stream, if there is one, and give its receive a moment to end.

        A source asks about a lane only when no stream of it is under way any more, so what is
        still open here is a connection that only this side has not yet found to be dead.
        """
        with self._lock:
            earlier = self._held.get(lane)
        if earlier is not None:
            earlier.link.sever()
            earlier.over.wait(settle_seconds)

    def give_back(self, lane: tuple[str, str], claim: Claim) -> None:
        """The receive has ended. Idempotent."""
        with self._lock:
            if self._held.get(lane) is claim:
                del self._held[lane]
        claim.over.set()
