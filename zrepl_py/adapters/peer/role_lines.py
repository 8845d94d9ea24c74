"""The connections over which two nodes speak of roles, for all groups of one peer.

Calls go over a connection of their own, so that one that waits for a pool does not delay them, and
have 5 seconds. After a dial that failed, calls fail at once, with the same error, while the peer is
dialled anew behind them: a promotion with a dead peer costs one connect timeout, not one per turn.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from zrepl_py.adapters.peer.dial import Target, dial
from zrepl_py.adapters.peer.framing import FrameType
from zrepl_py.adapters.peer.greeting import ROLES
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.link import Link, answer_of
from zrepl_py.adapters.peer.messages import parse_failure, parse_message, render_message
from zrepl_py.adapters.peer.outgoing import OutgoingStream
from zrepl_py.adapters.peer.pool import LinkPool
from zrepl_py.adapters.peer.role_messages import (
    AskRoles,
    AskShipped,
    BeginRescue,
    RoleCall,
    RolesTold,
    TellHeartbeat,
    parse_shipped,
)
from zrepl_py.adapters.peer.role_told import Listener, Teller, check_comparable
from zrepl_py.core.role_words import RoleWord
from zrepl_py.errors import Passing, Refused, ZrError
from zrepl_py.model.wire import Answer, Hello
from zrepl_py.ports.clock import ClockPort


@dataclass
class Ears:
    """Of one connection: who greeted, and what both sides have told each other."""

    boot: str
    teller: Teller = field(default_factory=Teller)
    listener: Listener = field(default_factory=Listener)


class RoleLines:
    """The connections for the roles of all groups with one peer."""

    def __init__(
        self, target: Target, hello: Callable[[], Hello], clock: ClockPort, limits: Limits
    ) -> None:
        self._peer = target.pin.node.name
        self.clock, self.limits = clock, limits
        self._hello = hello
        soon = replace(limits, connect_seconds=limits.sign_seconds)
        self._ears: WeakKeyDictionary[Link, Ears] = WeakKeyDictionary()
        words = Redial(lambda: self._dial(target, soon, limits.silence_seconds), clock, limits)
        looks = Redial(lambda: self._dial(target, soon, limits.silence_seconds), clock, limits)
        streams = Redial(lambda: self._dial(target, soon, limits.stall_seconds), clock, limits)
        self._redials = (words, looks, streams)
        self._words = LinkPool(words.connect, 1, limits.role_seconds, soon)
        self._looks = LinkPool(looks.connect, 1, limits.role_seconds, soon)
        self._streams = LinkPool(streams.connect, 1, limits.call_seconds, soon)

    def close(self) -> None:
        """End them. Whatever is running ends with Passing(peer-silent)."""
        for pool in (self._words, self._looks, self._streams):
            pool.close()
        for redial in self._redials:
            redial.close()

    def let_go(self, quiet_seconds: float) -> None:
        """See LinkPool."""
        for pool in (self._words, self._looks, self._streams):
            pool.let_go(quiet_seconds)

    def exchange(self, mine: RoleWord) -> RoleWord:
        """See RolePeerPort."""
        failure: ZrError | None = None
        with self._borrow(self._words) as (link, left):
            ears = self._ears[link]
            known = ears.listener.histories(mine.group.group)
            payload = self._ask(link, AskRoles(ears.teller.tell(mine, known, asks=True)), left())
            if isinstance(payload, ZrError):
                failure = payload
            else:
                told: RolesTold = parse_message(RolesTold, payload)
                word = ears.listener.hear(told.told)
                check_comparable(told.told, mine, word)
                if word.boot != ears.boot:
                    raise Passing("peer-silent", f"{self._peer} was started anew meanwhile.")
        if failure is not None:
            raise failure
        return word

    def tell(self, call: TellHeartbeat) -> None:
        """See RolePeerPort.tell_heartbeat."""
        with self._borrow(self._words) as (link, left):
            payload = self._ask(link, call, left())
            if not isinstance(payload, ZrError):
                parse_message(Answer, payload)
        if isinstance(payload, ZrError):
            raise payload

    def observe_shipped(self, call: AskShipped) -> frozenset[int]:
        """See RolePeerPort."""
        found: frozenset[int] = frozenset()
        with self._borrow(self._looks) as (link, left):
            payload = self._ask(link, call, left())
            if not isinstance(payload, ZrError):
                found = parse_shipped(payload)
        if isinstance(payload, ZrError):
            raise payload
        return found

    def ship(
        self, begin: BeginRescue, send: Callable[[int], None], progress: Callable[[int], None]
    ) -> None:
        """One stream; `send(fd)` is the local ZFS call, which closes `fd`."""
        with self._streams.borrow() as link:
            OutgoingStream(
                link,
                begin,
                send,
                clock=self.clock,
                limits=self.limits,
                squeezer=None,
                progress=progress,
            ).run()

    @contextmanager
    def _borrow(self, pool: LinkPool) -> Iterator[tuple[Link, Callable[[], float]]]:
        """A connection, and how many seconds are left of the call's."""
        until = self.clock.monotonic() + self.limits.role_seconds
        with pool.borrow() as link:
            yield link, lambda: until - self.clock.monotonic()

    def _ask(self, link: Link, call: RoleCall, seconds: float) -> memoryview | ZrError:
        """The answer's payload, or the error that it is: then the connection is as good as before.
        A greeting is that of another daemon once the connection is: so `boot` is compared."""
        link.offer(FrameType.CALL, render_message(FrameType.CALL, call))
        said = link.hear(seconds)
        if said.type is FrameType.FAILURE:
            return parse_failure(said.payload)
        return answer_of(said, FrameType.ANSWER)

    def _dial(self, target: Target, limits: Limits, user_timeout_seconds: float) -> Link:
        link, theirs = dial(target, self._hello, self.clock, limits, user_timeout_seconds)
        if ROLES not in theirs.features:
            link.close()
            raise Refused(
                "no-roles",
                f"{self._peer} has no roles: its zr is too old, or no group has them there.",
                "Install the same version of zr on both nodes, with the same [roles] in zr.toml.",
            )
        self._ears[link] = Ears(theirs.boot)
        return link


class Redial:
    """Dials, and after a failure does so in the background, not before a pause."""

    def __init__(self, make: Callable[[], Link], clock: ClockPort, limits: Limits) -> None:
        self._make, self._clock, self._limits = make, clock, limits
        self._lock = threading.Lock()
        self._failure: ZrError | None = None
        self._again_at = 0.0
        self._dialling = False
        self._spare: Link | None = None
        self._closed = False

    def connect(self) -> Link:
        """A new connection, or at once the error of the newest attempt."""
        with self._lock:
            link, self._spare = self._spare, None
            failure = self._failure
            due = self._clock.monotonic() >= self._again_at
            start = failure is not None and link is None and due and not self._dialling
            self._dialling = self._dialling or start
        if link is not None:
            return link
        if start:
            self._start_behind()
        if failure is not None:
            raise type(failure)(failure.reason, failure.message, failure.remedy)
        return self._dial()

    def close(self) -> None:
        """No more connections."""
        with self._lock:
            self._closed, link, self._spare = True, self._spare, None
        if link is not None:
            link.close()

    def _start_behind(self) -> None:
        try:
            threading.Thread(target=self._dial_behind, name="peer redial", daemon=True).start()
        except RuntimeError:  # the machine has no more threads: later
            with self._lock:
                self._dialling = False

    def _dial_behind(self) -> None:
        link: Link | None = None
        try:
            link = self._dial()
        except ZrError:
            pass  # it is remembered, and said to who asks
        finally:
            with self._lock:
                self._dialling = False
                if not self._closed:
                    self._spare, link = link, None
            if link is not None:
                link.close()

    def _dial(self) -> Link:
        try:
            link = self._make()
        except ZrError as error:
            limits = self._limits
            passing = isinstance(error, Passing)
            pause = limits.redial_seconds if passing else limits.refused_redial_seconds
            with self._lock:
                self._failure, self._again_at = error, self._clock.monotonic() + pause
            raise
        with self._lock:
            self._failure = None
        return link
