"""Which frame may follow which. One table, used by both sides; no I/O.

The client is a source (it asks), the server is a target (it answers); after a FETCH the roles are
changed for one stream. Both sides walk the same table with what they send and what they hear.
Frames may cross on the way (a FAILURE meets chunks, a READY meets a CANCEL), so some states still
accept what was sent before the turn was known.
"""

from enum import StrEnum

from zrepl_py.adapters.peer.framing import FrameType
from zrepl_py.errors import Bug, Corrupt


class Side(StrEnum):
    """Who speaks."""

    CLIENT = "client"
    SERVER = "server"


class State(StrEnum):
    """Where a connection stands."""

    GREETING = "greeting"
    GREETED = "greeted"
    IDLE = "idle"
    CALLED = "called"
    BEGUN = "begun"
    STREAMING = "streaming"
    ENDED = "ended"
    CANCELLED = "cancelled"
    FAILED = "failed"
    FETCHED = "fetched"
    BACK_BEGUN = "back-begun"
    BACK_STREAMING = "back-streaming"
    BACK_ENDED = "back-ended"
    BACK_CANCELLED = "back-cancelled"
    BACK_FAILED = "back-failed"
    CLOSED = "closed"


_C, _S = Side.CLIENT, Side.SERVER

NEXT: dict[tuple[State, Side, FrameType], State] = {
    (State.GREETING, _C, FrameType.HELLO): State.GREETED,
    (State.GREETED, _S, FrameType.HELLO): State.IDLE,
    (State.IDLE, _S, FrameType.FAILURE): State.CLOSED,
    (State.IDLE, _C, FrameType.CALL): State.CALLED,
    (State.CALLED, _S, FrameType.ANSWER): State.IDLE,
    (State.CALLED, _S, FrameType.FAILURE): State.IDLE,
    (State.IDLE, _C, FrameType.BEGIN): State.BEGUN,
    (State.BEGUN, _S, FrameType.READY): State.STREAMING,
    (State.BEGUN, _S, FrameType.FAILURE): State.FAILED,
    (State.BEGUN, _C, FrameType.CANCEL): State.CANCELLED,
    (State.STREAMING, _C, FrameType.CHUNK): State.STREAMING,
    (State.STREAMING, _C, FrameType.CHUNK_ZSTD): State.STREAMING,
    (State.STREAMING, _C, FrameType.END): State.ENDED,
    (State.STREAMING, _C, FrameType.CANCEL): State.CANCELLED,
    (State.STREAMING, _S, FrameType.FAILURE): State.FAILED,
    (State.ENDED, _S, FrameType.COMMITTED): State.IDLE,
    (State.ENDED, _S, FrameType.FAILURE): State.FAILED,
    (State.CANCELLED, _S, FrameType.READY): State.CANCELLED,
    (State.CANCELLED, _S, FrameType.FAILURE): State.FAILED,
    # After its FAILURE the server discards what was on its way; then the connection is closed.
    (State.FAILED, _C, FrameType.CHUNK): State.FAILED,
    (State.FAILED, _C, FrameType.CHUNK_ZSTD): State.FAILED,
    (State.FAILED, _C, FrameType.END): State.FAILED,
    (State.FAILED, _C, FrameType.CANCEL): State.FAILED,
}

_BACK = {
    State.BEGUN: State.BACK_BEGUN,
    State.STREAMING: State.BACK_STREAMING,
    State.ENDED: State.BACK_ENDED,
    State.CANCELLED: State.BACK_CANCELLED,
    State.FAILED: State.BACK_FAILED,
}
"""A stream that goes back to the node that asked for it has the same states, sides changed."""
NEXT |= {
    (_BACK[state], _S if side is _C else _C, frame): _BACK.get(following, following)
    for (state, side, frame), following in list(NEXT.items())
    if state in _BACK
}
NEXT |= {
    (State.IDLE, _C, FrameType.FETCH): State.FETCHED,
    (State.FETCHED, _S, FrameType.COPIES): State.IDLE,
    (State.FETCHED, _S, FrameType.FAILURE): State.IDLE,
    (State.FETCHED, _S, FrameType.BEGIN): State.BACK_BEGUN,
}

_NO_PINGS = (State.GREETING, State.GREETED, State.CLOSED)


class Conversation:
    """One connection's state, seen from one side."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.state = State.GREETING

    def sent(self, frame_type: FrameType) -> None:
        """This side sends a frame. Bug(peer-conversation) when it may not."""
        following = _following(self.state, self.side, frame_type)
        if following is None:
            raise Bug(
                "peer-conversation", f"A {frame_type.name} frame was sent while {self.state}."
            )
        self.state = following

    def heard(self, frame_type: FrameType) -> None:
        """The other side has sent a frame. Corrupt(protocol) when it may not."""
        other = Side.SERVER if self.side is Side.CLIENT else Side.CLIENT
        following = _following(self.state, other, frame_type)
        if following is None:
            raise Corrupt(
                "protocol", f"The peer sent a {frame_type.name} frame while {self.state}."
            )
        self.state = following


def _following(state: State, side: Side, frame_type: FrameType) -> State | None:
    if frame_type in (FrameType.PING, FrameType.PONG):
        return None if state in _NO_PINGS else state
    return NEXT.get((state, side, frame_type))
