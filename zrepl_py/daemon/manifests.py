"""Which targets do not yet know of which ticks? Manifests wait here and are told in order.

A target that was away learns of every tick it missed, also of those in which nothing was written,
so that its replicas are known to be valid at each of them. The queue is bounded: when a target is
away for longer, the oldest go (its snapshots then still say what changed when).
"""

from collections import deque
from collections.abc import Iterable

from zrepl_py.daemon.agenda import Agenda
from zrepl_py.errors import Bug, ZrError
from zrepl_py.model.site import Manifest, Node
from zrepl_py.ports.peer import PeerPort

KEPT = 10_000
"""A week of minutes."""
RETRY_SECONDS = 10.0


class Manifests:
    """The queue to one target."""

    def __init__(self, node: Node, port: PeerPort, agenda: Agenda) -> None:
        self._node, self._port, self._agenda = node, port, agenda
        self._waiting: deque[Manifest] = deque(maxlen=KEPT)

    def add(self, manifests: Iterable[Manifest], *, after_seconds: float = 0.0) -> None:
        """Tell these as soon as the target listens."""
        self._waiting.extend(manifests)
        self._agenda.ask(("manifests", self._node.uuid), self._tell_all, after_seconds)

    @property
    def waiting(self) -> int:
        """How many the target has not journalled yet."""
        return len(self._waiting)

    def _tell_all(self) -> None:
        # Only this job takes from the queue, and the agenda never runs it twice at a time.
        while self._waiting:
            first = self._waiting[0]
            try:
                self._port.tell_manifest(first)
            except Bug:
                raise
            except ZrError:
                self._agenda.ask(("manifests", self._node.uuid), self._tell_all, RETRY_SECONDS)
                return
            if self._waiting and self._waiting[0] is first:
                self._waiting.popleft()
