"""The target's end: listens, and lets ports.peer.ReceiverPort answer.

A thread per connection, and a bounded number of them; a smaller bound holds for those that have
not proven who they are, so that strangers cannot keep a source out for long.
"""

import os
import select
import socket
import threading
from collections.abc import Callable, Mapping, Sequence

from zrepl_py.adapters.peer.certificates import Identity, Pin
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.session import Service, Session
from zrepl_py.adapters.peer.starts import Starts
from zrepl_py.adapters.peer.tls import make_server_context
from zrepl_py.errors import Standing
from zrepl_py.events import Event
from zrepl_py.model.wire import Hello
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.copies import CopyPort
from zrepl_py.ports.peer import ReceiverPort
from zrepl_py.ports.rolepeer import RoleDeskPort, RoleGuardPort


def _ignore(event: Event, fields: Mapping[str, str]) -> None:
    return None


class PeerServer:
    """`tell(event, fields)` hears of connections made, refused and lost, from several threads."""

    def __init__(
        self,
        receiver: ReceiverPort,
        identity: Identity,
        pins: Sequence[Pin],
        listen: tuple[str, int],
        hello: Callable[[], Hello],
        clock: ClockPort,
        limits: Limits | None = None,
        tell: Callable[[Event, Mapping[str, str]], None] = _ignore,
        copies: CopyPort | None = None,
        guard: RoleGuardPort | None = None,
        desk: RoleDeskPort | None = None,
        starts: Starts | None = None,
    ) -> None:
        limits = limits or Limits()
        calls = threading.BoundedSemaphore(limits.server_connections)
        self._service = Service(
            receiver, identity, tuple(pins), hello, clock, limits, tell,
            starts or Starts(clock, tell), calls=calls, copies=copies, guard=guard, desk=desk,
        )  # fmt: skip
        self._listen = listen
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[Session, threading.Thread] = {}
        self._unproven: set[Session] = set()
        self._heard: dict[str, float] = {}
        """Of connections that have ended."""
        self._stopping = False

    def start(self) -> None:
        """Listen. Standing(peer-address), Standing(peer-certificate), Standing(key-permissions)."""
        make_server_context(self._service.identity, self._service.pins)
        family = socket.AF_INET6 if ":" in self._listen[0] else socket.AF_INET
        try:
            self._listener = socket.create_server(self._listen, family=family, backlog=64)
        except OSError as error:
            raise Standing(
                "peer-address",
                f"Cannot listen on {self._listen[0]} port {self._listen[1]}: {error.strerror}.",
                "Choose another address in the configuration, or stop what uses this one.",
            ) from None
        self._listener.setblocking(False)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._acceptor = threading.Thread(target=self._accept_all, name="peer accept", daemon=True)
        self._acceptor.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        port: int = self._listener.getsockname()[1]
        return port

    def heard(self) -> dict[str, float]:
        """Node → the monotonic moment at which it was last heard, since the start."""
        with self._lock:
            moments = dict(self._heard)
            for session in self._sessions:
                _note_heard(moments, session)
        return moments

    def sever_source(self, node_uuid: str) -> None:
        """End the replicas' streams that this node is receiving from another one; what arrived can
        be resumed. Does not wait, and keeps nobody from beginning again: RoleGuardPort does."""
        with self._lock:
            for session in self._sessions:
                if session.stream_of == node_uuid:
                    session.sever()

    def stop(self) -> bool:
        """Sever all connections; running streams are cut and can be resumed. Bounded.

        Returns whether everything has ended; what hangs in ZFS is left behind.
        """
        with self._lock:
            self._stopping = True
            threads = list(self._sessions.values())
            for session in self._sessions:
                session.sever()
        os.eventfd_write(self._wake, 1)
        self._acceptor.join(self._limits.settle_seconds)
        limits = self._limits
        longest = limits.connect_seconds + limits.settle_seconds + limits.linger_seconds
        until = self._clock.monotonic() + longest
        for thread in threads:
            thread.join(max(0.0, until - self._clock.monotonic()))
        if self._acceptor.is_alive():
            return False
        self._listener.close()
        os.close(self._wake)
        return not any(thread.is_alive() for thread in threads)

    def _accept_all(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._stopping:
            poll.poll()
            try:
                raw, address = self._listener.accept()
            except BlockingIOError:
                continue
            except OSError:
                # Out of descriptors, or a connection that was gone before it was accepted.
                self._clock.sleep(0.05)
                continue
            self._begin(raw, f"{address[0]}:{address[1]}")

    def _begin(self, raw: socket.socket, where: str) -> None:
        session = Session(self._service, raw, where, lambda: self._forget_unproven(session))
        thread = threading.Thread(
            target=self._run, args=(session,), name=f"peer {where}", daemon=True
        )
        with self._lock:
            full = len(self._sessions) >= self._limits.server_connections
            strangers = len(self._unproven) >= self._limits.unproven_connections
            if self._stopping or full or strangers:
                raw.close()
                return
            self._sessions[session] = thread
            self._unproven.add(session)
        try:
            thread.start()
        except RuntimeError:
            # The machine has no more threads: the peer finds the connection closed, and comes back.
            raw.close()
            self._forget(session)

    def _run(self, session: Session) -> None:
        try:
            session.run()
        finally:
            self._forget(session)

    def _forget(self, session: Session) -> None:
        with self._lock:
            self._sessions.pop(session, None)
            self._unproven.discard(session)
            _note_heard(self._heard, session)

    def _forget_unproven(self, session: Session) -> None:
        with self._lock:
            self._unproven.discard(session)


def _note_heard(moments: dict[str, float], session: Session) -> None:
    if session.heard is not None:
        node, moment = session.heard
        moments[node] = max(moment, moments.get(node, moment))
