"""The asking end of a FETCH: this node's own copies, back from its peer.

One connection, made when it is needed, used by one thread. Nothing here retries.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from zrepl_py.adapters.peer.conversation import NEXT, Side
from zrepl_py.adapters.peer.dial import Target, dial
from zrepl_py.adapters.peer.framing import Frame, FrameType
from zrepl_py.adapters.peer.incoming import IncomingStream
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.link import Link, answer_of
from zrepl_py.adapters.peer.messages import (
    parse_begin,
    parse_copies,
    parse_page,
    render_failure,
    render_message,
)
from zrepl_py.errors import Corrupt, Passing, Standing, ZrError
from zrepl_py.model.fetch import (
    Copies,
    CopyName,
    Fetch,
    FetchCopies,
    FetchPage,
    FetchStream,
    FetchVersions,
    TellProof,
)
from zrepl_py.model.history import Snapshot
from zrepl_py.model.proof import Form, Page, Position, Proof
from zrepl_py.model.wire import Begin, Committed, Hello
from zrepl_py.ports.clock import ClockPort

FEATURE, DIGEST_FEATURE = "fetch", "digest"
NEEDS = {FEATURE: "send copies back", DIGEST_FEATURE: "read its copies to compare them"}
Count = Callable[[int], None]


class Fetcher:
    """What one peer keeps of this node."""

    def __init__(
        self,
        target: Target,
        hello: Callable[[], Hello],
        clock: ClockPort,
        limits: Limits | None = None,
    ) -> None:
        self._target = target
        self._hello = hello
        self._clock = clock
        self._limits = limits or Limits()
        self._link: Link | None = None
        self._features: frozenset[str] = frozenset()

    @property
    def peer(self) -> str:
        """The peer's name."""
        return self._target.pin.node.name

    def sever(self) -> None:
        """From any thread: end what runs on the connection."""
        if self._link is not None:
            self._link.sever()

    def close(self) -> None:
        """Let go of the connection."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def observe_copies(self) -> tuple[CopyName, ...]:
        """The replicas of this node there. Errors: as in ports/peer.py, Refused(not-a-target)."""
        return self._ask(FetchCopies()).copies

    def observe_versions(self, lane: str) -> tuple[Snapshot, ...]:
        """The snapshots of one, oldest first. Errors: the same, Refused(no-such-copy)."""
        return self._ask(FetchVersions(lane)).snapshots

    def fetch(
        self, lane: str, guid: int, receive: Callable[[int], Committed], count: Count
    ) -> Committed:
        """One snapshot, whole. `receive(fd)` is the local call, which closes `fd` and returns after
        the commit; `count(bytes since last)` may raise a ZrError to end it. Errors: of both ends.
        """
        link = self._offer(FetchStream(lane, guid))
        try:
            begin = parse_begin(answer_of(self._hear(link), FrameType.BEGIN))
            if (begin.lane.lane, begin.to_guid, begin.from_guid) != (lane, guid, 0):
                raise Corrupt("protocol", "The peer began another stream than was asked for.")
            committed = _Counted(link, begin, receive, self._clock, self._limits, count).run()
            said = render_message(FrameType.COMMITTED, committed)
            link.say(FrameType.COMMITTED, said, self._limits.silence_seconds)
        except ZrError as error:
            self._give_up(link, error)
            raise
        except BaseException:
            self.close()
            raise
        return committed

    def read_far_page(
        self, lane: str, guid: int, after: Position, form: Form, acls: bool, listed: bool
    ) -> Page:
        """See ports/proof.py, FarPort."""
        fetch = FetchPage(lane, guid, after, form, acls, listed)
        with self._answer(fetch, DIGEST_FEATURE) as frame:
            return parse_page(answer_of(frame, FrameType.COPIES))

    def tell_proof(self, proof: Proof) -> None:
        """See ports/proof.py, FarPort."""
        self._ask(TellProof(replace(proof, differences=())), DIGEST_FEATURE)

    def _ask(self, fetch: Fetch, feature: str = FEATURE) -> Copies:
        with self._answer(fetch, feature) as frame:
            return parse_copies(answer_of(frame, FrameType.COPIES))

    @contextmanager
    def _answer(self, fetch: Fetch, feature: str = FEATURE) -> Iterator[Frame]:
        """What the peer says to it; whatever goes wrong with it, the connection goes."""
        link = self._offer(fetch, feature)
        try:
            yield self._hear(link)
        except BaseException:
            self.close()
            raise

    def _offer(self, fetch: Fetch, feature: str = FEATURE) -> Link:
        link = self._dialled()
        self._check_feature(feature)
        link.offer(FrameType.FETCH, render_message(FrameType.FETCH, fetch))
        return link

    def _check_feature(self, feature: str) -> None:
        if feature not in self._features:
            self.close()
            raise Standing(
                "peer-version",
                f"{self.peer} runs a zr that cannot {NEEDS[feature]}.",
                "Install the same version of zr on both nodes.",
            )

    def _hear(self, link: Link) -> Frame:
        return link.hear(self._limits.call_seconds, self._limits.call_seconds)

    def _dialled(self) -> Link:
        if self._link is None:
            limits = self._limits
            link, theirs = dial(
                self._target, self._hello, self._clock, limits, limits.stall_seconds
            )
            self._link, self._features = link, frozenset(theirs.features)
        return self._link

    def _give_up(self, link: Link, error: ZrError) -> None:
        """The last words, so that the peer knows why; then the connection goes."""
        try:
            if (link.conversation.state, Side.CLIENT, FrameType.FAILURE) in NEXT:
                link.offer(FrameType.FAILURE, render_failure(error))
                link.flush()
        except Passing:
            pass  # it knows by now
        finally:
            self.close()


class _Counted(IncomingStream):
    """Tells how much came, chunk by chunk."""

    def __init__(
        self,
        link: Link,
        begin: Begin,
        receive: Callable[[int], Committed],
        clock: ClockPort,
        limits: Limits,
        count: Count,
    ) -> None:
        super().__init__(link, begin, receive, clock, limits)
        self._count = count

    def _chunk_of(self, frame: Frame) -> memoryview:
        chunk = super()._chunk_of(frame)
        self._count(len(chunk))
        return chunk
