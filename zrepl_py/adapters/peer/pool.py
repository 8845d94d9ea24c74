"""Connections that are kept: at most so many, one use at a time each, reused while they are sound.

A connection goes back only after a use that ended well, in a quiet state, and before it has sent
too much (Limits.replace_after_bytes). Anything else closes it.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zrepl_py.adapters.peer.conversation import State
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.link import Link
from zrepl_py.errors import Passing, ZrError


class LinkPool:
    """At most `size` connections made by `connect`."""

    def __init__(
        self, connect: Callable[[], Link], size: int, queue_seconds: float, limits: Limits
    ) -> None:
        self._connect = connect
        self._queue_seconds = queue_seconds
        self._limits = limits
        self._slots = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[Link] = []
        self._busy: set[Link] = set()
        self._closed = False
        self.opened = 0
        """How many connections were made so far."""

    @contextmanager
    def borrow(self) -> Iterator[Link]:
        """A sound connection, for one use. Passing(peer-busy): none became free in time."""
        if not self._slots.acquire(timeout=self._queue_seconds):
            raise Passing(
                "peer-busy",
                f"No connection to the peer became free in {self._queue_seconds:.0f} seconds.",
            )
        try:
            link = self._sound_link()
            kept = False
            try:
                yield link
                kept = self._put_back(link)
            finally:
                if not kept:
                    self._drop(link)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close what is idle, and sever what is in use. Later borrowers are refused."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for link in idle:
            link.close()
        for link in busy:
            link.sever()

    def quiet_seconds(self) -> float:
        """Since something last moved on a connection that is in use; infinite where none is."""
        with self._lock:
            return min((link.quiet_seconds for link in self._busy), default=math.inf)

    def let_go(self, quiet_seconds: float) -> None:
        """Give up every connection on which nothing moved for so long: after an outage TCP may
        wait as long again before it tries. What runs on one ends with Passing(peer-silent)."""
        with self._lock:
            kept = [link for link in self._idle if link.quiet_seconds <= quiet_seconds]
            idle = [link for link in self._idle if link not in kept]
            self._idle = kept
            busy = [link for link in self._busy if link.quiet_seconds > quiet_seconds]
        for link in idle:
            link.close()
        for link in busy:
            link.sever()

    def _sound_link(self) -> Link:
        while (link := self._pop_idle()) is not None:
            try:
                link.check_usable(self._limits.ping_seconds, self._limits.connect_seconds)
            except ZrError:
                # It broke while nobody used it: nothing is lost, and a new one tells more.
                self._drop(link)
            else:
                return link
        link = self._connect()
        with self._lock:
            self.opened += 1
            self._busy.add(link)
            closed = self._closed
        if closed:
            self._drop(link)
            raise _closed()
        return link

    def _pop_idle(self) -> Link | None:
        with self._lock:
            if self._closed:
                raise _closed()
            if not self._idle:
                return None
            link = self._idle.pop()
            self._busy.add(link)
            return link

    def _put_back(self, link: Link) -> bool:
        quiet = link.conversation.state is State.IDLE
        if not quiet or link.sent_bytes >= self._limits.replace_after_bytes:
            return False
        with self._lock:
            if self._closed:
                return False
            self._busy.discard(link)
            self._idle.append(link)
            return True

    def _drop(self, link: Link) -> None:
        with self._lock:
            self._busy.discard(link)
        link.close()


def _closed() -> Passing:
    return Passing("peer-silent", "The connection to the peer was closed on this side.")
