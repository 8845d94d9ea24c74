"""One stream, from the local ZFS call to the peer's commit. Used by the client.

Pipe → frames in one reused buffer; then END with the count, and COMMITTED. One thread does all of
it, beside the thread in which ZFS writes. Whatever fails on either side, the other end is closed,
so that nothing hangs; and what is raised is the cause, not its echo.
"""

import contextlib
import os
from collections.abc import Callable

from zrepl_py.adapters.flow.pipes import open_pipe_to_read
from zrepl_py.adapters.flow.squeeze import Squeezer
from zrepl_py.adapters.flow.task import Task
from zrepl_py.adapters.peer.framing import (
    CHUNK_LIMIT,
    HEADER_BYTES,
    FrameType,
    render_frame,
    write_header,
)
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.link import READABLE, Link, answer_of
from zrepl_py.adapters.peer.messages import parse_committed, render_message
from zrepl_py.adapters.peer.role_messages import BeginRescue
from zrepl_py.errors import Corrupt, Passing, ZrError
from zrepl_py.model.wire import Begin, Committed, End
from zrepl_py.ports.clock import ClockPort


class OutgoingStream:
    """`send(fd)` is the local ZFS call, which closes fd; `progress(bytes so far)` must be quick."""

    def __init__(
        self,
        link: Link,
        begin: Begin | BeginRescue,
        send: Callable[[int], None],
        *,
        clock: ClockPort,
        limits: Limits,
        squeezer: Squeezer | None,
        progress: Callable[[int], None],
    ) -> None:
        self._link = link
        self._begin = begin
        self._send = send
        self._clock = clock
        self._limits = limits
        self._squeezer = squeezer
        self._progress = progress
        self._size_bytes = 0
        self._unflushed: tuple[int, float] | None = None
        self._fed_at = clock.monotonic()
        self._buffer = bytearray(HEADER_BYTES + CHUNK_LIMIT)

    def run(self) -> Committed:
        """Returns what the peer has committed; raises the cause of what went wrong."""
        opening = render_message(FrameType.BEGIN, self._begin)
        self._link.offer(FrameType.BEGIN, opening)
        self._pipe, writer = open_pipe_to_read()
        try:
            self._task = Task(lambda: self._send(writer), f"send {self._begin.to_name}")
        except ZrError:
            self._pipe.close()
            os.close(writer)
            raise
        try:
            self._relay()
            end = End(self._begin.to_guid, self._size_bytes)
            self._link.offer(FrameType.END, render_message(FrameType.END, end))
            return self._await_commit()
        except ZrError as error:
            cause = self._cause_of(error)
            if cause is error:
                raise
            raise cause from error
        finally:
            self._pipe.close()
            self._task.wait(self._limits.settle_seconds)
            self._task.close()

    def _relay(self) -> None:
        ready = False
        space = memoryview(self._buffer)[HEADER_BYTES:]
        while True:
            flushed = self._flush()
            frame = self._link.take()
            if frame is not None:
                answer_of(frame, FrameType.READY)
                ready = True
                self._fed_at = self._clock.monotonic()
                continue
            if not (flushed and ready):
                self._wait_for_peer()
                continue
            count = self._pipe.read_into(space)
            if count is None:
                self._wait_for_zfs()
            elif count:
                self._fed_at = self._clock.monotonic()
                self._offer_chunk(space[:count])
            else:
                break
        # The pipe has ended: because all was sent, or because ZFS failed.
        if not self._task.wait(self._limits.settle_seconds):
            raise Passing("send-stalled", "The local send closed its pipe, but does not end.")
        self._task.outcome()

    def _offer_chunk(self, chunk: memoryview) -> None:
        self._size_bytes += len(chunk)
        squeezed = self._squeezer.squeeze(chunk) if self._squeezer else None
        if squeezed is not None:
            frame = render_frame(FrameType.CHUNK_ZSTD, squeezed)
            self._link.offer(FrameType.CHUNK_ZSTD, frame)
            on_wire = len(frame)
        else:
            on_wire = HEADER_BYTES + len(chunk)
            write_header(self._buffer, FrameType.CHUNK, len(chunk))
            self._link.offer(FrameType.CHUNK, memoryview(self._buffer)[:on_wire])
        self._unflushed = (on_wire, self._clock.monotonic())

    def _flush(self) -> bool:
        if not self._link.flush():
            return False
        if self._unflushed is not None:
            on_wire, offered_at = self._unflushed
            self._unflushed = None
            if self._squeezer:
                self._squeezer.observe_link(on_wire, self._clock.monotonic() - offered_at)
            self._progress(self._size_bytes)
        return True

    def _wait_for_zfs(self) -> None:
        limits = self._limits
        if self._clock.monotonic() - self._fed_at > limits.stall_seconds:
            raise Passing(
                "send-stalled",
                f"ZFS has sent nothing for {limits.stall_seconds:.0f} seconds.",
                "Look at `zpool status` of the source's pool.",
            )
        self._link.ping_if_due(limits.ping_seconds)
        self._link.check_alive_since(self._fed_at, limits.silence_seconds)
        self._link.wait(limits.ping_seconds, {self._pipe.fileno(): READABLE})

    def _wait_for_peer(self) -> None:
        limits = self._limits
        self._link.check_alive_since(self._fed_at, limits.silence_seconds)
        moved_at = max(self._link.accepted_at, self._fed_at)
        if self._clock.monotonic() - moved_at > limits.stall_seconds:
            raise Passing(
                "peer-silent",
                f"The peer has taken no byte for {limits.stall_seconds:.0f} seconds.",
                "Look at `zpool status` of the target's pool.",
            )
        self._link.wait(limits.ping_seconds)

    def _await_commit(self) -> Committed:
        limits = self._limits
        began = self._clock.monotonic()
        while (frame := self._link.take()) is None:
            self._flush()
            self._link.check_alive_since(began, limits.silence_seconds)
            if self._clock.monotonic() - began > limits.stall_seconds:
                raise Passing("peer-silent", "The peer has not committed the stream in time.")
            self._link.wait(limits.ping_seconds)
        committed = parse_committed(answer_of(frame, FrameType.COMMITTED))
        if committed.guid != self._begin.to_guid:
            raise Corrupt(
                "protocol",
                f"The peer committed guid {committed.guid}, not {self._begin.to_guid}.",
            )
        return committed

    def _cause_of(self, error: ZrError) -> BaseException:
        local = self._task.error if self._task.ended else None
        if error is local or error.reason == "send-stalled":
            self._cancel()
            return error
        # The reading end is still open, so an error of the local send is not our own doing: it
        # came first, and the peer's (or the network's) only met it on the way.
        return local if local is not None else error

    def _cancel(self) -> None:
        """Tell the peer, and wait until it has let go: so the next look finds it settled."""
        with contextlib.suppress(ZrError):
            self._link.offer(FrameType.CANCEL)
            while self._link.hear(self._limits.settle_seconds).type is not FrameType.FAILURE:
                pass
