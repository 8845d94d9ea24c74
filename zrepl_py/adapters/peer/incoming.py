"""One stream, from the peer's frames to the local commit. Used by the server.

Frames → pipe → ZFS. A truncated stream must never look whole: the pipe is closed without an END
only by cutting it, which leaves ZFS with a stream that lacks its own end record, that is, with a
partial receive for resuming. END, and nothing else, leads to COMMITTED.
"""

import os
from collections.abc import Callable
from typing import TypeVar

from zrepl_py.adapters.flow.pipes import open_pipe_to_write
from zrepl_py.adapters.flow.squeeze import expand_chunk
from zrepl_py.adapters.flow.task import Task
from zrepl_py.adapters.peer.framing import CHUNK_LIMIT, Frame, FrameType
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.link import READABLE, WRITABLE, Link
from zrepl_py.adapters.peer.messages import parse_end
from zrepl_py.adapters.peer.role_messages import BeginRescue
from zrepl_py.errors import Corrupt, Passing, ZrError
from zrepl_py.model.wire import Begin, Committed
from zrepl_py.ports.clock import ClockPort

T = TypeVar("T")


class IncomingStream:
    """`receive(fd)` is the local ZFS call, which closes fd and returns after the commit."""

    def __init__(
        self,
        link: Link,
        begin: Begin | BeginRescue,
        receive: Callable[[int], Committed],
        clock: ClockPort,
        limits: Limits,
    ) -> None:
        self._link = link
        self._begin = begin
        self._receive = receive
        self._clock = clock
        self._limits = limits
        self._size_bytes = 0
        self._listening_since = clock.monotonic()
        self.began = False
        """Whether `receive` was called, or is about to be."""

    def run(self) -> Committed:
        """Returns after the commit. When it raises, the pipe is cut, and ZFS has let go of the
        replica unless it hangs."""
        self._pipe, reader = open_pipe_to_write()
        try:
            self._task = Task(lambda: self._receive(reader), f"receive {self._begin.to_name}")
        except ZrError:
            self._pipe.close()
            os.close(reader)
            raise
        self.began = True
        try:
            self._link.offer(FrameType.READY)
            self._relay()
            self._pipe.close()
            return await_task(
                self._link, self._task, self._clock, self._limits, self._limits.stall_seconds
            )
        finally:
            self._pipe.close()
            self._task.wait(self._limits.settle_seconds)
            self._task.close()

    def _relay(self) -> None:
        while True:
            self._link.flush()
            if self._task.ended:
                self._task.outcome()
            frame = self._link.take()
            if frame is None:
                self._wait_for_peer()
            elif frame.type is FrameType.END:
                self._check_end(frame)
                return
            elif frame.type is FrameType.CANCEL:
                raise Passing("stream-cut", "The source gave up this stream.")
            else:
                self._write(self._chunk_of(frame))

    def _chunk_of(self, frame: Frame) -> memoryview:
        if frame.type is FrameType.CHUNK:
            chunk = frame.payload
        elif frame.type is FrameType.CHUNK_ZSTD:
            chunk = memoryview(expand_chunk(frame.payload, CHUNK_LIMIT))
        else:
            raise Corrupt("protocol", f"The peer sent {frame.type.name} within a stream.")
        self._size_bytes += len(chunk)
        return chunk

    def _check_end(self, frame: Frame) -> None:
        end = parse_end(frame.payload)
        if (end.to_guid, end.size_bytes) != (self._begin.to_guid, self._size_bytes):
            raise Corrupt(
                "protocol",
                f"A stream ended after {self._size_bytes} bytes, but {end.size_bytes} were sent.",
            )

    def _wait_for_peer(self) -> None:
        self._link.check_alive_since(self._listening_since, self._limits.silence_seconds)
        ended = {} if self._task.ended else {self._task.fileno(): READABLE}
        self._link.wait(self._limits.ping_seconds, ended)

    def _write(self, chunk: memoryview) -> None:
        """Into the pipe; while ZFS is busy the peer is held back, and told that we live."""
        limits = self._limits
        moved_at = self._clock.monotonic()
        waited = False
        while chunk:
            try:
                count = self._pipe.write(chunk)
            except BrokenPipeError:
                self._raise_early_end()
            if count:
                chunk = chunk[count:]
                moved_at = self._clock.monotonic()
                continue
            if self._clock.monotonic() - moved_at > limits.stall_seconds:
                raise _stalled(limits.stall_seconds)
            waited = True
            self._link.ping_if_due(limits.ping_seconds)
            ready = {self._pipe.fileno(): WRITABLE, self._task.fileno(): READABLE}
            self._link.wait(limits.ping_seconds, ready, listen=False)
            if self._task.ended:
                self._raise_early_end()
        if waited:
            self._listening_since = self._clock.monotonic()

    def _raise_early_end(self) -> None:
        """ZFS takes no more: it has failed, or the peer sends bytes after the stream's own end."""
        if not self._task.wait(self._limits.settle_seconds):
            raise _stalled(self._limits.settle_seconds)
        self._task.outcome()
        raise Corrupt("protocol", "The peer sent bytes after the end of the stream.")


def await_task(link: Link, task: Task[T], clock: ClockPort, limits: Limits, seconds: float) -> T:
    """The outcome of a local call, while the peer is told that we live.

    Passing(receive-stalled) after so many seconds; Passing(peer-silent) when the peer has gone.
    """
    began = clock.monotonic()
    while not task.ended:
        left = seconds - (clock.monotonic() - began)
        if left <= 0:
            raise _stalled(seconds)
        link.flush()
        link.ping_if_due(limits.ping_seconds)
        link.wait(min(left, limits.ping_seconds), {task.fileno(): READABLE}, listen=False)
    return task.outcome()


def _stalled(seconds: float) -> Passing:
    return Passing(
        "receive-stalled",
        f"The target's ZFS has not moved for {seconds:.0f} seconds.",
        "Look at `zpool status` of the target's pool.",
    )
