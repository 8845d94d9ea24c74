"""One connection of the server, from the handshake to its end, in a thread of its own.

The source is who its certificate proves, never who it says. A stream's failure ends the
connection, after the FAILURE frame was read or `linger_seconds` have passed.
"""

import contextlib
import math
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from zrepl_py.adapters.flow.task import Task
from zrepl_py.adapters.peer.bytepath import TlsPath, prepare_socket
from zrepl_py.adapters.peer.certificates import Identity, Pin
from zrepl_py.adapters.peer.claims import LaneClaims
from zrepl_py.adapters.peer.conversation import NEXT, Side
from zrepl_py.adapters.peer.framing import Frame, FrameType
from zrepl_py.adapters.peer.greeting import judge_hello
from zrepl_py.adapters.peer.incoming import IncomingStream, await_task
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.link import Link
from zrepl_py.adapters.peer.messages import parse_hello, render_failure, render_message
from zrepl_py.adapters.peer.role_messages import (
    BeginRescue,
    RoleCall,
    parse_asked,
    parse_opening,
)
from zrepl_py.adapters.peer.role_serving import RoleAnswer, RoleDesk
from zrepl_py.adapters.peer.serving import serve_fetch
from zrepl_py.adapters.peer.starts import Starts
from zrepl_py.adapters.peer.tls import make_server_context, shake_hands, translate_error
from zrepl_py.errors import Bug, Passing, Refused, ZrError
from zrepl_py.events import Event
from zrepl_py.model.wire import (
    Answer,
    AskAbort,
    AskHold,
    AskReplica,
    Begin,
    Call,
    Committed,
    Hello,
    TellManifest,
    TellReceipt,
)
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.copies import CopyPort
from zrepl_py.ports.peer import ReceiverPort
from zrepl_py.ports.rolepeer import RoleDeskPort, RoleGuardPort


@dataclass(frozen=True, slots=True)
class Service:
    """What all connections of a server share."""

    receiver: ReceiverPort
    identity: Identity
    pins: tuple[Pin, ...]
    hello: Callable[[], Hello]
    clock: ClockPort
    limits: Limits
    tell: Callable[[Event, Mapping[str, str]], None]
    starts: Starts
    claims: LaneClaims = field(default_factory=LaneClaims)
    calls: threading.BoundedSemaphore = field(default_factory=threading.BoundedSemaphore)
    """Calls that run, those that hang in a suspended pool included."""
    copies: CopyPort | None = None
    """What a node may have back; None: nothing."""
    guard: RoleGuardPort | None = None
    """None: no group of this node has roles."""
    desk: RoleDeskPort | None = None
    """The same."""


class Session:
    """One accepted connection. `proven()` is called once when the peer is known."""

    def __init__(
        self, service: Service, raw: socket.socket, where: str, proven: Callable[[], None]
    ) -> None:
        self._service = service
        self._raw = raw
        self._where = where
        self._proven = proven
        self._severed = False
        self._link: Link | None = None
        self._source = ""
        self._streaming = False

    @property
    def stream_of(self) -> str | None:
        """uuid of the node of which a replica's stream is being received here, or None."""
        return self._source if self._streaming else None

    def sever(self) -> None:
        """From any thread: end this connection; a stream on it is cut."""
        self._severed = True
        if self._link is not None:
            self._link.sever()

    @property
    def heard(self) -> tuple[str, float] | None:
        """Who the other end is, and the monotonic moment at which it was last heard; None until it
        has proven it."""
        return (self._source, self._link.heard_at) if self._link is not None else None

    def run(self) -> None:
        """Until the connection ends. Raises only Bug, and what is no ZrError at all."""
        try:
            link = self._greet()
            while not self._severed:
                # PINGs count: a source may ask for nothing but signs of life for days.
                frame = link.hear(math.inf, self._service.limits.idle_seconds)
                self._check_start(link)
                if frame.type is FrameType.CALL:
                    self._answer_call(link, frame)
                elif frame.type is FrameType.FETCH:
                    self._serve_fetch(link, frame)
                else:
                    self._take_stream(link, frame)
        except ZrError as error:
            self._end_with(error)
            if isinstance(error, Bug):
                raise
        finally:
            self._raw.close()
            if self._link is not None:
                self._service.starts.leave(self._source, self._link)
                self._link.close()

    def _check_start(self, link: Link) -> None:
        """Each time it speaks: a second machine of that name may have come since."""
        self._service.starts.check(self._source, self._name, self._boot, link)

    def _greet(self) -> Link:
        service, limits = self._service, self._service.limits
        try:
            prepare_socket(self._raw, limits.silence_seconds)
        except OSError as error:
            raise translate_error(error) from None
        self._raw.settimeout(limits.connect_seconds)
        context = make_server_context(service.identity, service.pins)
        secured, pin = shake_hands(context, self._raw, service.pins, server=True)
        self._source, self._name = pin.node.uuid, pin.node.name
        self._link = link = Link(TlsPath(secured), Side.SERVER, service.clock)
        payload = bytes(link.hear_answer(FrameType.HELLO, limits.connect_seconds))
        mine = service.hello()
        # Said before the other's is judged: so each side finds by itself what does not fit.
        link.say(FrameType.HELLO, render_message(FrameType.HELLO, mine), limits.connect_seconds)
        theirs = parse_hello(payload)
        judge_hello(mine, theirs, pin.node.uuid)
        self._boot = theirs.boot
        self._check_start(link)
        self._roles = RoleDesk(service.desk, self._source, theirs.boot)
        self._proven()
        self._tell(Event.PEER_CONNECTED)
        return link

    def _answer_call(self, link: Link, frame: Frame) -> None:
        service = self._service
        call = parse_asked(frame.payload)
        if isinstance(call, RoleCall):
            perform: Callable[[], Answer | RoleAnswer] = self._roles.prepare(call)
        else:
            perform = partial(self._perform, call)
        if not service.calls.acquire(blocking=False):
            raise Passing("peer-busy", "The target is still at work on earlier calls.")

        def work() -> Answer | RoleAnswer:
            try:
                return perform()
            finally:
                service.calls.release()

        task = Task(work, f"call {type(call).__name__}")
        try:
            answer = await_task(
                link, task, service.clock, service.limits, service.limits.call_seconds
            )
            said = render_message(FrameType.ANSWER, answer)
        except Bug:
            raise
        except ZrError as error:
            if not task.ended:
                raise
            self._roles.forget_told()
            link.say(FrameType.FAILURE, render_failure(error), service.limits.call_seconds)
        else:
            link.say(FrameType.ANSWER, said, service.limits.call_seconds)
        finally:
            task.close()

    def _perform(self, call: Call) -> Answer:
        receiver, source = self._service.receiver, self._source
        if isinstance(call, AskReplica | AskAbort):
            lane = (source, call.lane.lane)
            self._service.claims.end(lane, self._service.limits.settle_seconds)
        if isinstance(call, AskReplica):
            return Answer(receiver.observe_replica(source, call.lane))
        if isinstance(call, AskAbort):
            receiver.abort_partial(source, call.lane, call.to_guid)
        elif isinstance(call, AskHold):
            receiver.hold_base(source, call.lane, call.base_guid)
        elif isinstance(call, TellManifest):
            receiver.store_manifest(source, call.manifest)
        elif isinstance(call, TellReceipt):
            receiver.store_receipt(source, call.receipt)
        else:
            receiver.store_properties(source, call.lane, call.properties)
        return Answer()

    def _serve_fetch(self, link: Link, frame: Frame) -> None:
        service = self._service
        serve_fetch(
            link,
            frame.payload,
            service.copies,
            self._source,
            service.hello().epoch,
            service.clock,
            service.limits,
        )

    def _take_stream(self, link: Link, frame: Frame) -> None:
        begin = parse_opening(frame.payload)
        if isinstance(begin, BeginRescue):
            self._roles.check_known()
            rescue = f"{begin.group} {begin.order.label} {begin.order.member}"
            self._receive(link, begin, rescue, partial(self._roles.receive, begin))
            return
        # Before the roles are asked: once they let nothing in, whoever severs finds this stream.
        self._streaming = True
        try:
            self._check_epoch(begin)
            receiver, source = self._service.receiver, self._source
            self._receive(link, begin, begin.lane.lane, partial(receiver.receive, source, begin))
        finally:
            self._streaming = False

    def _check_epoch(self, begin: Begin) -> None:
        service = self._service
        epoch = service.hello().epoch
        roles = service.guard is not None and service.guard.check_stream(self._source, begin)
        if not roles and begin.epoch != epoch:
            raise Refused(
                "peer-epoch",
                f"The target is in epoch {epoch}, the stream is of {begin.epoch[:60]!r}.",
                "Look at `zr status` on both nodes to see which one was promoted last.",
            )

    def _receive(
        self,
        link: Link,
        begin: Begin | BeginRescue,
        name: str,
        work: Callable[[int], Committed],
    ) -> None:
        """One stream of what is called `name`, of which there is one at a time."""
        service, limits = self._service, self._service.limits
        lane = (self._source, name)
        claim = service.claims.take(lane, link, limits.settle_seconds)

        def receive(fd: int) -> Committed:
            try:
                return work(fd)
            finally:
                service.claims.give_back(lane, claim)

        stream = IncomingStream(link, begin, receive, service.clock, limits)
        try:
            committed = stream.run()
        finally:
            if not stream.began:
                service.claims.give_back(lane, claim)
        said = render_message(FrameType.COMMITTED, committed)
        link.say(FrameType.COMMITTED, said, limits.silence_seconds)

    def _end_with(self, error: ZrError) -> None:
        """The last words: a FAILURE where the conversation has room for one."""
        self._tell(Event.PEER_LOST, error)
        link = self._link
        if link is None:
            return
        with contextlib.suppress(ZrError):
            if (link.conversation.state, Side.SERVER, FrameType.FAILURE) in NEXT:
                link.offer(FrameType.FAILURE, render_failure(error))
            link.linger(self._service.limits.linger_seconds)

    def _tell(self, event: Event, error: ZrError | None = None) -> None:
        fields = {"address": self._where, "node": self._source}
        if error is not None:
            fields |= {"kind": type(error).__name__, "reason": error.reason, "why": str(error)}
        self._service.tell(event, fields)
