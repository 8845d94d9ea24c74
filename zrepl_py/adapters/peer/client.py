"""The source's end: implements ports.peer.PeerPort for one target.

One control connection, on which calls take turns, and a bounded pool of stream connections; all
are made when they are needed and kept while they are sound. Nothing here retries: an outcome that
is not known is Passing(peer-silent), and the caller observes again.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from zrepl_py.adapters.flow.squeeze import Squeezer
from zrepl_py.adapters.peer.dial import Target, dial
from zrepl_py.adapters.peer.framing import FrameType
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.link import Link, answer_of
from zrepl_py.adapters.peer.messages import parse_failure, parse_message, render_message
from zrepl_py.adapters.peer.outgoing import OutgoingStream
from zrepl_py.adapters.peer.pool import LinkPool
from zrepl_py.adapters.peer.role_lines import RoleLines
from zrepl_py.errors import Corrupt, ZrError
from zrepl_py.model.history import Bookmark
from zrepl_py.model.names import join_snapshot
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.plan import Base, Resume, SendFull
from zrepl_py.model.receipt import Receipt
from zrepl_py.model.site import Lane, Manifest
from zrepl_py.model.wire import (
    Answer,
    AskAbort,
    AskHold,
    AskReplica,
    Begin,
    Call,
    Committed,
    Hello,
    LaneName,
    TellManifest,
    TellProperties,
    TellReceipt,
)
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.peer import Transfer


class Sender(Protocol):
    """What is needed of the local ZfsPort."""

    def send(
        self, snapshot: str, base: str | None, *, raw: bool, fd: int, resume: tuple[int, int] | None
    ) -> None:
        """See ports.zfs.ZfsPort.send."""


def _never(lane: Lane) -> bool:
    return False


def _ignore(lane: Lane, size_bytes: int) -> None:
    return None


class PeerClient:
    """One target. Methods may be called from several threads.

    `squeezable(lane)` says that ZFS sends this lane uncompressed (compression=off, not raw), so
    that zstd on the wire may pay. `progress(lane, bytes so far)` is called from the transfer's
    thread after every chunk and must be quick.
    """

    def __init__(
        self,
        zfs: Sender,
        target: Target,
        hello: Callable[[], Hello],
        clock: ClockPort,
        limits: Limits | None = None,
        *,
        squeezable: Callable[[Lane], bool] = _never,
        progress: Callable[[Lane, int], None] = _ignore,
    ) -> None:
        self.zfs = zfs
        self._target = target
        self._hello = hello
        self._clock = clock
        self._limits = limits = limits or Limits()
        self._squeezable = squeezable
        self._progress = progress
        self.peer_hello: Hello | None = None
        """What the target said on the newest connection; its `boot` tells whether it restarted."""
        self._control = LinkPool(
            lambda: self._dial(limits.silence_seconds), 1, limits.call_seconds, limits
        )
        # A target whose pool stalls keeps its window shut for as long as that takes.
        self._streams = LinkPool(
            lambda: self._dial(limits.stall_seconds),
            limits.stream_connections,
            limits.queue_seconds,
            limits,
        )
        # Before each use of this one a PONG must come, and nothing else ever runs on it.
        signs = replace(limits, connect_seconds=limits.sign_seconds, ping_seconds=0.0)
        self._signs = LinkPool(lambda: self._dial_sign(signs), 1, limits.sign_seconds, signs)
        self._sign_of = ""
        self.role_lines = RoleLines(target, hello, clock, limits)
        """For adapters/peer/roles.py; makes no connection before it is asked."""

    @property
    def connections_made(self) -> int:
        """Control and stream connections that were opened so far."""
        return self._control.opened + self._streams.opened

    def close(self) -> None:
        """End all connections. Whatever is running ends with Passing(peer-silent)."""
        self._control.close()
        self._streams.close()
        self._signs.close()
        self.role_lines.close()

    def seek_sign(self) -> str:
        """Returns when the target has given a sign of life, on a connection of its own: soon, also
        where calls and streams wait for a pool. What it returns is another word once the target's
        daemon is another one. Errors: those of dial.py, within a few seconds."""
        with self._signs.borrow():
            return self._sign_of

    def quiet_seconds(self) -> float:
        """Since something last moved in a stream: a sign may be late behind one that fills a slow
        link. A call is no such thing: the kernel takes it also when the link is cut."""
        return self._streams.quiet_seconds()

    def let_go_of_quiet(self) -> None:
        """After a silence: do not wait for connections that seem to be dead. A living peer is never
        quiet for so long while it works."""
        quiet_seconds = 1.5 * self._limits.ping_seconds
        self._control.let_go(quiet_seconds)
        self._streams.let_go(quiet_seconds)
        self.role_lines.let_go(quiet_seconds)

    def observe_replica(self, lane: Lane) -> ReplicaView:
        """See PeerPort."""
        view = self._call(AskReplica(_name(lane))).view
        if view is None:
            raise Corrupt("protocol", "The peer answered without saying what it has.")
        return view

    def abort_partial(self, lane: Lane, to_guid: int) -> None:
        """See PeerPort."""
        self._call(AskAbort(_name(lane), to_guid))

    def hold_base(self, lane: Lane, guid: int) -> None:
        """See PeerPort."""
        self._call(AskHold(_name(lane), guid))

    def tell_manifest(self, manifest: Manifest) -> None:
        """See PeerPort."""
        self._call(TellManifest(manifest))

    def tell_receipt(self, receipt: Receipt) -> None:
        """See PeerPort."""
        self._call(TellReceipt(receipt))

    def tell_properties(self, lane: Lane, properties: Mapping[str, str]) -> None:
        """See PeerPort."""
        self._call(TellProperties(_name(lane), dict(properties)))

    def transfer(self, lane: Lane, step: Transfer) -> Committed:
        """See PeerPort. Raises the cause: the local send's error, or the target's own."""
        base = None if isinstance(step, SendFull) else step.base
        resume = (step.object, step.offset) if isinstance(step, Resume) else None
        snapshot = join_snapshot(lane.dataset, step.to.name)
        base_name = _version_name(lane.dataset, base) if base else None
        begin = Begin(
            lane=_name(lane),
            to_name=step.to.name,
            to_guid=step.to.guid,
            from_guid=base.guid if base else 0,
            raw=lane.raw,
            resumes=resume is not None,
            epoch=lane.epoch or self._hello().epoch,
            parent=lane.parent,
        )

        def send(fd: int) -> None:
            self.zfs.send(snapshot, base_name, raw=lane.raw, fd=fd, resume=resume)

        with self._streams.borrow() as link:
            return OutgoingStream(
                link,
                begin,
                send,
                clock=self._clock,
                limits=self._limits,
                squeezer=Squeezer(self._clock) if self._may_squeeze(lane) else None,
                progress=lambda size_bytes: self._progress(lane, size_bytes),
            ).run()

    def _call(self, call: Call) -> Answer:
        limits = self._limits
        frame = render_message(FrameType.CALL, call)
        failure: ZrError | None = None
        answer = Answer()
        with self._control.borrow() as link:
            link.offer(FrameType.CALL, frame)
            said = link.hear(limits.call_seconds, limits.silence_seconds)
            if said.type is FrameType.FAILURE:
                # An error is an answer too: the connection is as good as before.
                failure = parse_failure(said.payload)
            else:
                answer = parse_message(Answer, answer_of(said, FrameType.ANSWER))
        if failure is not None:
            raise failure
        return answer

    def _dial(self, user_timeout_seconds: float) -> Link:
        link, self.peer_hello = dial(
            self._target, self._hello, self._clock, self._limits, user_timeout_seconds
        )
        return link

    def _dial_sign(self, limits: Limits) -> Link:
        silence_seconds = self._limits.silence_seconds
        link, hello = dial(self._target, self._hello, self._clock, limits, silence_seconds)
        self._sign_of = hello.boot
        return link

    def _may_squeeze(self, lane: Lane) -> bool:
        # Receivers of protocol 1 that do not say "zstd" would take CHUNK_ZSTD for damage.
        peer = self.peer_hello
        return peer is not None and "zstd" in peer.features and self._squeezable(lane)


def _name(lane: Lane) -> LaneName:
    return LaneName(lane.uuid, lane.called)


def _version_name(dataset: str, base: Base) -> str:
    mark = "#" if isinstance(base, Bookmark) else "@"
    return f"{dataset}{mark}{base.name}"
