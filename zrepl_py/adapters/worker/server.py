"""The worker's side of the socket: one thread per connection, each with one call at a time.

Which question it answers: how does a call become a verb of the port, and its outcome an answer?
Invariants: who asks is checked at every connection, what is asked by Scope before the port sees
it. A descriptor is closed here unless the port got it. The number of connections is bounded; more
wait in the kernel's queue. It must never do anything to ZFS by itself.
"""

import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterable
from typing import Any

from zrepl_py.adapters.clock import Deadline
from zrepl_py.adapters.worker.counters import Counters
from zrepl_py.adapters.worker.framing import Frame, read_frame, write_frame
from zrepl_py.adapters.worker.listener import observe_peer_uid
from zrepl_py.adapters.worker.verbs import COUNTERS, FORMAT, VERBS, Scope, Served
from zrepl_py.core.codec import encode
from zrepl_py.errors import Corrupt, Standing, ZrError
from zrepl_py.ports.clock import ClockPort

MAX_CONNECTIONS = 64
INTERRUPT = signal.SIGUSR1
"""Ends a libzfs_core call of the thread it is sent to (the process needs a handler for it)."""
_MESSAGE_SECONDS = 30.0
_STEP_SECONDS = 0.1


class WorkerServer:
    """Serves one port on accepted connections until it is told to stop."""

    def __init__(
        self,
        zfs: Served,
        scope: Scope,
        clock: ClockPort,
        *,
        counters: Counters | None = None,
        allowed_uids: Iterable[int] = (),
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._zfs = zfs
        self._scope = scope
        self._clock = clock
        self._counters = counters or Counters()
        self._uids = frozenset(allowed_uids) | {0}
        self._max = max_connections
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._busy: dict[threading.Thread, str] = {}

    def serve(self, listener: socket.socket, stop_fds: Iterable[int]) -> None:
        """Accept until one of `stop_fds` is readable or hung up; running calls go on."""
        stops = set(stop_fds)
        poller = select.poll()
        for fd in stops:
            poller.register(fd, select.POLLIN)
        while True:
            with self._lock:
                full = len(self._connections) >= self._max
            if full:
                _unregister(poller, listener)
            else:
                poller.register(listener, select.POLLIN)
            ready = {fd for fd, _ in poller.poll(_STEP_SECONDS * 1000 if full else None)}
            if ready & stops:
                return
            if listener.fileno() in ready:
                self._accept(listener)

    def finish(self, bound_seconds: float) -> bool:
        """End what runs: idle connections now, streams by a signal, verbs by waiting for them.

        Returns whether everything has ended within the bound.
        """
        deadline = Deadline(self._clock, bound_seconds)
        while True:
            with self._lock:
                threads = list(self._connections)
                for thread, sock in self._connections.items():
                    _shut_for_reading(sock)
                    verb = self._busy.get(thread)
                    if verb and VERBS[verb].takes_fd and thread.ident is not None:
                        signal.pthread_kill(thread.ident, INTERRUPT)
            if not threads or deadline.expired():
                return not threads
            threads[0].join(_STEP_SECONDS)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        if observe_peer_uid(connection) not in self._uids:
            self._counters.count("refused-connections")
            connection.close()
            return
        thread = threading.Thread(target=self._serve_connection, args=(connection,), daemon=True)
        with self._lock:
            self._connections[thread] = connection
        thread.start()

    def _serve_connection(self, connection: socket.socket) -> None:
        try:
            while True:
                _wait_for_message(connection)  # an idle connection may stay so for hours
                frame = read_frame(connection, Deadline(self._clock, _MESSAGE_SECONDS))
                try:
                    answer = self._answer(frame)
                finally:
                    frame.close()
                deadline = Deadline(self._clock, _MESSAGE_SECONDS)
                write_frame(connection, answer, deadline=deadline)
        except (EOFError, OSError, Corrupt):
            return  # The other side went away, or does not speak our language.
        finally:
            with self._lock:
                del self._connections[threading.current_thread()]
            connection.close()

    def _answer(self, frame: Frame) -> Any:
        try:
            return {"ok": self._perform(frame)}
        except ZrError as error:
            return {
                "failure": {
                    "kind": type(error).__name__,
                    "reason": error.reason,
                    "message": error.message,
                    "remedy": error.remedy,
                }
            }
        except Exception as error:  # noqa: BLE001 - this thread's outermost edge
            traceback.print_exc(file=sys.stderr)
            message = f"The worker failed unexpectedly: {type(error).__name__}: {error}."
            failure = {"kind": "Bug", "reason": "worker-bug", "message": message, "remedy": ""}
            return {"failure": failure}

    def _perform(self, frame: Frame) -> Any:
        call = frame.body
        if not isinstance(call, dict) or call.get("format") != FORMAT:
            raise Standing(
                "worker-version",
                f"The worker for {self._scope.pool} speaks format {FORMAT}, and was asked in "
                "another one.",
                "Restart the daemon and its workers: they are of different versions of zr.",
            )
        verb = str(call.get("verb"))
        if verb == COUNTERS:
            return self._counters.observe()
        args = self._scope.parse_call(verb, call.get("args"), has_fd=frame.fd is not None)
        self._counters.count(f"call:{verb}")
        thread = threading.current_thread()
        with self._lock:
            self._busy[thread] = verb
        try:
            if VERBS[verb].takes_fd:
                args["fd"] = frame.take_fd()
            return encode(getattr(self._zfs, verb)(**args))
        finally:
            with self._lock:
                del self._busy[thread]


def _wait_for_message(sock: socket.socket) -> None:
    """Until there is a first byte, or the end."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    poller.poll()


def _unregister(poller: "select.poll", listener: socket.socket) -> None:
    try:
        poller.unregister(listener)
    except KeyError:
        return


def _shut_for_reading(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RD)
    except OSError:
        return
