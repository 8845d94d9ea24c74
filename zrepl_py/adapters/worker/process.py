"""The life of one worker process: lock, listen, serve, and end in time.

Which question it answers: when does a worker start and stop? It says READY=1 once it listens, ends
at SIGTERM, SIGINT, or (started by hand) when its standard input closes, because then whoever
started it is gone. Ending has a bound: what hangs in the kernel is left behind.
"""

import signal
from dataclasses import dataclass

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.signals import Wake
from zrepl_py.adapters.worker.counters import Counters
from zrepl_py.adapters.worker.listener import Listener
from zrepl_py.adapters.worker.notify import notify
from zrepl_py.adapters.worker.server import INTERRUPT, WorkerServer
from zrepl_py.adapters.worker.verbs import Scope, Served

_STDIN = 0


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What one worker is started with."""

    scope: Scope
    socket: str
    allowed_uids: frozenset[int] = frozenset()
    """Besides root."""
    until_stdin_closes: bool = False
    finish_seconds: float = 10.0


def run_worker(options: WorkerOptions, zfs: Served) -> bool:
    """Serve until told to stop; True where everything had ended within the bound.

    Takes over the process's signals. Errors: those of Listener.
    """
    counters = Counters()
    counters.watch_forks()
    stop = Wake()
    # INTERRUPT is sent to our own threads only, and only when the flag is set already.
    stop.set_by(signal.SIGTERM, signal.SIGINT, INTERRUPT)
    server = WorkerServer(
        zfs,
        options.scope,
        MachineClock(),
        counters=counters,
        allowed_uids=options.allowed_uids,
    )
    listener = Listener(options.socket)
    stops = [stop.fileno(), _STDIN] if options.until_stdin_closes else [stop.fileno()]
    notify("READY=1")
    try:
        server.serve(listener.sock, stops)
    finally:
        notify("STOPPING=1")
        listener.stop_listening()
        ended = server.finish(options.finish_seconds)
        listener.close()
    return ended
