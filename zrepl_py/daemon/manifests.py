"""Which targets do not yet know of which ticks? Manifests wait here and are told in order.

A target that was away learns of every tick it missed, also of those in which nothing was written,
so that its replicas are known to be valid at each of them. The queue is bounded: when a target is
away for longer, the oldest go (its snapshots then still say what changed when).
"""

from collections import deque
from collections.abc import Iterable

from zrepl_py.engine.commands import Agenda, Engine, ask
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
        key = ("manifests", self._node.uuid)
        self._agenda.start(key, self._tell_all, {"PeerPort": self._port}, after_seconds)

    @property
    def waiting(self) -> int:
        """How many the target has not journalled yet."""
        return len(self._waiting)

    def has_told(self, manifest: Manifest) -> bool:
        """Whether the target has journalled this one."""
        return not any(m.group == manifest.group and m.seq <= manifest.seq for m in self._waiting)

    def _tell_all(self) -> Engine[None]:
        # Only this job takes from the queue, and the agenda never runs it twice at a time.
        while self._waiting:
            first = self._waiting[0]
            try:
                yield from ask(PeerPort.tell_manifest, first)
            except Bug:
                raise
            except ZrError:
                self.add((), after_seconds=RETRY_SECONDS)
                return
            if self._waiting and self._waiting[0] is first:
                self._waiting.popleft()
