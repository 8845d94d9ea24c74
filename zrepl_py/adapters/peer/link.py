"""One connection: frames over a byte path, with the conversation's table and deadlines.

Single-threaded by design, and never blocks but in `wait`: so a side that is sending sees at once
what the other says, and a stream can wait for its pipe and its peer together. PINGs are answered
here, and are visible above only as signs of life. Only `sever` may be called from other threads.

`heard_at` and `accepted_at` are the moments when bytes last came in, and when the kernel last took
bytes other than PINGs: what this side says about itself is no sign that the other one lives.
"""

import math
import select
from collections import deque
from collections.abc import Mapping

from zrepl_py.adapters.peer.bytepath import BytePath
from zrepl_py.adapters.peer.conversation import Conversation, Side
from zrepl_py.adapters.peer.framing import Frame, FrameDecoder, FrameType, render_frame
from zrepl_py.adapters.peer.messages import parse_failure
from zrepl_py.errors import Corrupt, Passing
from zrepl_py.ports.clock import ClockPort

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
# What poll says of its own accord; RDHUP has to be asked for.
_BROKEN = select.POLLERR | select.POLLHUP | select.POLLNVAL | select.POLLRDHUP
_SLICE_BYTES = 64 << 10
_PINGS_AT_ONCE = 1000
_PINGS = (FrameType.PING, FrameType.PONG)


class Link:
    """A proven connection to a peer."""

    def __init__(self, path: BytePath, side: Side, clock: ClockPort) -> None:
        self._path = path
        self._clock = clock
        self._decoder = FrameDecoder()
        self._outgoing: deque[tuple[memoryview, bool]] = deque()
        self.conversation = Conversation(side)
        self.heard_at = self.accepted_at = self.pinged_at = clock.monotonic()
        self.sent_bytes = 0
        self.received_bytes = 0

    def offer(self, frame_type: FrameType, frame: bytes | memoryview | None = None) -> None:
        """Queue one whole frame (None: one without payload). A view must stay as it is until
        `flush` has returned True."""
        self.conversation.sent(frame_type)
        octets = memoryview(render_frame(frame_type) if frame is None else frame)
        self._outgoing.append((octets, frame_type in _PINGS))

    def flush(self) -> bool:
        """Write what the kernel takes now; True when nothing is left to write."""
        while self._outgoing:
            octets, is_ping = self._outgoing[0]
            count = self._path.write(octets[:_SLICE_BYTES])
            if count is None:
                return False
            self.sent_bytes += count
            if not is_ping:
                self.accepted_at = self._clock.monotonic()
            if count == len(octets):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = (octets[count:], is_ping)
        return True

    def take(self) -> Frame | None:
        """The next frame, or None when no whole one is there yet.

        Its payload is valid until the next `take`. Passing(peer-silent) when the peer has closed,
        Corrupt(protocol).
        """
        for _ in range(_PINGS_AT_ONCE):
            frame = self._decode()
            if frame is None:
                return None
            self.conversation.heard(frame.type)
            if frame.type is FrameType.PING:
                if not self._outgoing:
                    self.offer(FrameType.PONG)
                    self.flush()
            elif frame.type is not FrameType.PONG:
                return frame
        raise Corrupt("protocol", "The peer sends nothing but PINGs.")

    @property
    def quiet_seconds(self) -> float:
        """Since something last moved, in either direction."""
        return self._clock.monotonic() - max(self.heard_at, self.accepted_at)

    def ping_if_due(self, ping_seconds: float) -> None:
        """Say that this side is alive, unless something is on its way anyhow."""
        now = self._clock.monotonic()
        if not self._outgoing and now - max(self.pinged_at, self.accepted_at) >= ping_seconds:
            self.pinged_at = now
            self.offer(FrameType.PING)
            self.flush()

    def check_alive_since(self, moment: float, silence_seconds: float) -> None:
        """Passing(peer-silent) when nothing has moved for so long, counted from `moment` at least.

        `moment` is when this side began to wait: quiet before that is nobody's fault.
        """
        quiet = self._clock.monotonic() - max(self.heard_at, self.accepted_at, moment)
        if quiet > silence_seconds:
            raise Passing("peer-silent", f"The peer has been silent for {quiet:.0f} seconds.")

    def wait(
        self, seconds: float, others: Mapping[int, int] | None = None, *, listen: bool = True
    ) -> dict[int, int]:
        """Wait until the connection or one of `others` (descriptor → mask) is ready.

        Returns those of `others` that are. `listen=False` does not wake up for what the peer
        sends, which then stays in the kernel (so it is held back), but still for its going away:
        Passing(peer-silent). Call it only after `take` has returned None, unless listen=False.
        """
        poll = select.poll()
        mask = (READABLE if listen else select.POLLRDHUP) | (WRITABLE if self._outgoing else 0)
        poll.register(self._path.fileno(), mask)
        for fd, wanted in (others or {}).items():
            poll.register(fd, wanted)
        ready = dict(poll.poll(max(0, math.ceil(seconds * 1000))))
        mine = ready.pop(self._path.fileno(), 0)
        if not listen and mine & _BROKEN:
            raise Passing("peer-silent", "The connection to the peer was lost.")
        return ready

    def say(self, frame_type: FrameType, frame: bytes | None, seconds: float) -> None:
        """Send one frame, within so many seconds. Incoming frames wait."""
        until = self._clock.monotonic() + seconds
        self.offer(frame_type, frame)
        while not self.flush():
            self._wait_until(until, listen=False)

    def hear(self, seconds: float, silence_seconds: float = math.inf) -> Frame:
        """The next frame, within so many seconds, and without a longer silence than said."""
        began = self._clock.monotonic()
        while (frame := self.take()) is None:
            self.flush()
            self.check_alive_since(began, silence_seconds)
            self._wait_until(began + seconds, at_most=silence_seconds)
        return frame

    def hear_answer(self, expected: FrameType, seconds: float) -> memoryview:
        """The payload of the expected frame; a FAILURE is raised as the error that it carries."""
        return answer_of(self.hear(seconds), expected)

    def check_usable(self, idle_seconds: float, answer_seconds: float) -> None:
        """Before an idle connection is used again: raises when it was closed meanwhile.

        Where it was idle for longer than `idle_seconds`, a PONG must come within `answer_seconds`.
        """
        began = self._clock.monotonic()
        frame = self.take()
        if frame is not None:
            answer_of(frame, FrameType.PONG)
        if began - max(self.heard_at, self.accepted_at) < idle_seconds:
            return
        self.offer(FrameType.PING)
        while self.heard_at < began:
            self.flush()
            self._wait_until(began + answer_seconds)
            self.take()

    def linger(self, seconds: float) -> None:
        """Send what is left, and read on until the peer closes: an unread byte would turn our
        close into a reset that overtakes our last words."""
        until = self._clock.monotonic() + seconds
        scratch = memoryview(bytearray(64 << 10))
        while (left := until - self._clock.monotonic()) > 0:
            self.flush()
            count = self._path.read_into(scratch)
            if count == 0:
                return
            if count is None:
                self.wait(left)

    def bear_stall(self, seconds: float) -> None:
        """The other side may take nothing for so long, though it answers: its pool may stall."""
        self._path.bear_stall(seconds)

    def sever(self) -> None:
        """From any thread: end whatever this connection does."""
        self._path.sever()

    def close(self) -> None:
        """Idempotent."""
        self._path.close()

    def _decode(self) -> Frame | None:
        while (frame := self._decoder.take()) is None:
            count = self._path.read_into(self._decoder.space())
            if count is None:
                return None
            if count == 0:
                raise Passing("peer-silent", "The peer has closed the connection.")
            self._decoder.arrived(count)
            self.received_bytes += count
            self.heard_at = self._clock.monotonic()
        return frame

    def _wait_until(self, until: float, *, listen: bool = True, at_most: float = math.inf) -> None:
        left = until - self._clock.monotonic()
        if left <= 0:
            raise Passing("peer-silent", "The peer does not answer.")
        self.wait(min(left, at_most), listen=listen)


def answer_of(frame: Frame, expected: FrameType) -> memoryview:
    """The payload of the expected frame; a FAILURE is raised as the error that it carries."""
    if frame.type is FrameType.FAILURE:
        raise parse_failure(frame.payload)
    if frame.type is not expected:
        raise Corrupt(
            "protocol", f"The peer answered {frame.type.name} instead of {expected.name}."
        )
    return frame.payload
