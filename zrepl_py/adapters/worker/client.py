"""The daemon's connections to one worker. Which question: what becomes of one call?

Invariants: every call ends: with an answer, as Passing(worker-gone) where the worker died, or as
Passing(worker-stuck) when its deadline is over. In the last two cases nobody knows whether it was
done: the caller observes before it concludes anything; nothing is repeated here.

A verb has an overall deadline. A stream (`fd`) has none while its pipe is open at the other end;
from the moment that end is closed it has `finish_seconds` to end. To notice that, the daemon keeps
its own copy of the descriptor until the answer is there; so the reader of a send's pipe sees its
end only when the outcome is known.

A call that was given up leaves its connection behind, as the probe: when several of them hang
without an answer, the worker is stuck, and further calls fail at once instead of hanging too; as
soon as one of them gets its answer, the worker is used again.
"""

import os
import select
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zrepl_py.adapters.clock import Deadline
from zrepl_py.adapters.worker.framing import read_frame, write_frame
from zrepl_py.adapters.worker.verbs import FORMAT
from zrepl_py.errors import KINDS, Bug, Corrupt, Passing, ZrError
from zrepl_py.events import Event
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.journal import Json

Report = Callable[[Event, Mapping[str, Json]], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the daemon waits for a worker."""

    connect_seconds: float = 5.0
    call_seconds: float = 60.0
    """For a whole verb, answer included; not for streams."""
    finish_seconds: float = 120.0
    """For a stream to end once the other end of its pipe is closed: the commit of a receive."""
    hanging_calls: int = 4
    """So many unanswered calls make a worker count as stuck."""
    idle_connections: int = 8
    simultaneous_calls: int = 48
    """More wait for their turn. With the idle and the hanging ones it stays below the server's
    MAX_CONNECTIONS, so that no call waits for a connection that sits idle here."""


class WorkerClient:
    """Asks one worker; from any thread, several at the same time."""

    def __init__(self, path: str, clock: ClockPort, patience: Patience, report: Report) -> None:
        self.path = path
        self._clock = clock
        self._patience = patience
        self._report = report
        self._turns = threading.BoundedSemaphore(patience.simultaneous_calls)
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._hanging: list[socket.socket] = []

    def call(self, verb: str, args: Mapping[str, Any], fd: int | None = None) -> Any:
        """Ask, and return the JSON value of the answer, or raise the worker's own error.

        `fd` is closed when this returns or raises. Errors besides the worker's: Passing with
        worker-gone or worker-stuck, Corrupt(protocol).
        """
        try:
            if not self._turns.acquire(timeout=self._patience.call_seconds):
                raise self._stuck(verb, "is busy with earlier calls")
            try:
                return self._call(verb, {"format": FORMAT, "verb": verb, "args": args}, fd)
            finally:
                self._turns.release()
        finally:
            if fd is not None:
                os.close(fd)

    def hanging_calls(self) -> int:
        """How many calls were given up and have still no answer."""
        with self._lock:
            still = []
            for sock in self._hanging:
                if _readable(sock):
                    sock.close()
                else:
                    still.append(sock)
            self._hanging = still
            return len(still)

    def close(self) -> None:
        """Close what is idle and what hangs; running calls end as they would."""
        with self._lock:
            for sock in self._idle + self._hanging:
                sock.close()
            self._idle, self._hanging = [], []

    def _call(self, verb: str, request: Mapping[str, Any], fd: int | None) -> Any:
        if self.hanging_calls() >= self._patience.hanging_calls:
            raise self._stuck(verb, "does not answer earlier calls")
        sock = self._idle_connection() or self._connect(verb)
        kept = False
        deadline = Deadline(self._clock, self._patience.call_seconds)
        try:
            write_frame(sock, request, fd=fd, deadline=deadline)
            answer_by = self._wait_for_stream(sock, fd) if fd is not None else deadline
            frame = read_frame(sock, answer_by)
            frame.close()
            kept = True
        except TimeoutError:
            kept = True
            with self._lock:
                self._hanging.append(sock)
            self._report(Event.WORKER_STUCK, {"socket": self.path, "verb": verb})
            raise self._stuck(verb, "did not answer in time") from None
        except (EOFError, OSError) as error:
            raise self._gone(verb) from error
        finally:
            if not kept:
                sock.close()
        self._put_back(sock)
        return _parse_answer(frame.body)

    def _wait_for_stream(self, sock: socket.socket, fd: int) -> Deadline:
        """Wait for an answer while the pipe is open at its other end; returns how long to read."""
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        poller.register(fd, 0)  # Only the hang-ups, which are always reported.
        ready = {ready_fd for ready_fd, _ in poller.poll()}
        if sock.fileno() in ready:
            return Deadline(self._clock, self._patience.call_seconds)
        return Deadline(self._clock, self._patience.finish_seconds)

    def _idle_connection(self) -> socket.socket | None:
        with self._lock:
            while self._idle:
                sock = self._idle.pop()
                if not _readable(sock):
                    return sock
                sock.close()  # An idle connection says nothing but that it has ended.
        return None

    def _put_back(self, sock: socket.socket) -> None:
        with self._lock:
            if len(self._idle) < self._patience.idle_connections:
                self._idle.append(sock)
                return
        sock.close()

    def _connect(self, verb: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.settimeout(self._patience.connect_seconds)
            sock.connect(self.path)
        except (TimeoutError, BlockingIOError):
            sock.close()
            raise self._stuck(verb, "does not accept connections") from None
        except OSError as error:
            sock.close()
            raise self._gone(verb) from error
        return sock

    def _stuck(self, verb: str, how: str) -> Passing:
        return Passing(
            "worker-stuck",
            f"The worker at {self.path} {how} ({verb}).",
            "Look at `zpool status`: a suspended pool or a failing disk hangs every call.",
        )

    def _gone(self, verb: str) -> Passing:
        return Passing(
            "worker-gone",
            f"The worker at {self.path} is not there, or went away during {verb}.",
            "Look at the state of its unit (systemctl status 'zr-*'); zr tries again by itself.",
        )


def _readable(sock: socket.socket) -> bool:
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))


def _parse_answer(body: Any) -> Any:
    if isinstance(body, dict):
        if body.keys() == {"ok"}:
            return body["ok"]
        failure = body.get("failure")
        if body.keys() == {"failure"} and isinstance(failure, dict):
            raise _parse_failure(failure)
    raise Corrupt("protocol", "A worker's answer is neither an outcome nor a failure.")


def _parse_failure(failure: Mapping[str, Any]) -> ZrError:
    texts = {k: failure.get(k) for k in ("kind", "reason", "message", "remedy")}
    kind = KINDS.get(str(texts.pop("kind")))
    if kind is None or not all(isinstance(text, str) for text in texts.values()):
        return Bug("worker-bug", "A worker's failure is not of the tree of errors.")
    return kind(str(texts["reason"]), str(texts["message"]), str(texts["remedy"]))
