"""This node's own streams of one group, for the engine of its role: RoleLanesPort.

The streams are the receiver's and the lanes' matter; this only looks at them, ends what arrives,
and lets what is to go, go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zrepl_py.daemon.roles import GroupRole
from zrepl_py.errors import Passing
from zrepl_py.model.history import Snapshot
from zrepl_py.ports.clock import ClockPort

END_SECONDS = 30.0
STEP_SECONDS = 0.1
SEND_SECONDS = 10.0
"""So long a try to send all may take: then the other node is asked again what it has."""


@dataclass
class RoleLanes:
    """See RoleLanesPort."""

    role: GroupRole
    clock: ClockPort
    running: Callable[[], frozenset[str]]
    """Datasets of this node into which a stream is being received."""
    sever: Callable[[], object]
    """End the streams that the other node sends."""
    send: Callable[[float, Mapping[str, Snapshot] | None], object]
    """Let each lane of the group try once; returns after so many seconds at the latest. What is
    new in the group is given, or has to be looked for."""
    taken: Mapping[str, Snapshot] | None = None
    """What the role took last, until the lanes are told of it."""

    def observe_receives(self) -> frozenset[str]:
        """See the port."""
        return frozenset(d for d in self.running() if self.role.member(d) is not None)

    def end_receives(self) -> None:
        """See the port."""
        until = self.clock.monotonic() + END_SECONDS
        while left := self.observe_receives():
            self.sever()  # again, while there is one: it may have begun just now
            if self.clock.monotonic() >= until:
                raise Passing(
                    "busy",
                    f"A stream into {min(left)} does not end.",
                    "It is tried again; `zpool status` shows whether the pool hangs.",
                )
            self.clock.sleep(STEP_SECONDS)

    def note_tick(self, taken: Mapping[str, Snapshot]) -> None:
        """See the port."""
        self.taken = taken

    def send_all(self) -> None:
        """See the port."""
        taken, self.taken = self.taken, None
        self.send(SEND_SECONDS, taken)
