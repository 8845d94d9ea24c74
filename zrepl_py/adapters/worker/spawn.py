"""Workers for a daemon that was started by hand as root, without systemd.

Which question it answers: how does a daemon get its workers by itself? It starts the warden
(warden.py) by exec, before it has threads, and waits until every worker answers. When the daemon
ends, however it ends, the warden's standard input closes, and everything below it ends too.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from zrepl_py.adapters.clock import Deadline
from zrepl_py.adapters.worker.client import Patience, WorkerClient
from zrepl_py.adapters.worker.proxy import PoolSockets
from zrepl_py.adapters.worker.verbs import COUNTERS, WorkerKind
from zrepl_py.adapters.worker.warden import WorkerSpec
from zrepl_py.adapters.zfs.rights import RECEIVE_USER
from zrepl_py.config.node import DEFAULT_PATH
from zrepl_py.core.codec import encode
from zrepl_py.errors import Passing, Standing
from zrepl_py.ports.clock import ClockPort

ENTRY = "zrepl_py.daemon.worker"
_STEP_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """The warden of a daemon."""

    process: "subprocess.Popen[bytes]"
    _stopping: threading.Event = field(default_factory=threading.Event)

    def watch(self, lost: Callable[[], None]) -> None:
        """Call `lost` once if the warden ends although nobody stopped it: then no worker is left,
        and this process, without root's rights, cannot start others."""
        threading.Thread(
            target=self._wait, args=(lost,), name="zr-warden-watch", daemon=True
        ).start()

    def _wait(self, lost: Callable[[], None]) -> None:
        self.process.wait()
        if not self._stopping.is_set():
            lost()

    @property
    def pid(self) -> int:
        """The warden's."""
        return self.process.pid

    def stop(self, bound_seconds: float = 20.0) -> None:
        """End the warden and all workers; kills the warden when the time is over."""
        self._stopping.set()
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(bound_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def worker_specs(
    pool: str,
    sockets: PoolSockets,
    *,
    allow_uid: int,
    receive_user: str = RECEIVE_USER,
    adapter: str = "libzfs_core",
    config: str = DEFAULT_PATH,
) -> list[WorkerSpec]:
    """The workers of one pool, as they are started by hand. `config`: zr.toml."""
    specs = [_spec(WorkerKind.ZFS, pool, sockets.zfs, allow_uid, adapter, None)]
    if sockets.receive is not None:
        specs.append(
            _spec(WorkerKind.RECEIVE, pool, sockets.receive, allow_uid, adapter, receive_user)
        )
    if sockets.proof is not None:
        specs.append(_spec(WorkerKind.PROOF, pool, sockets.proof, allow_uid, adapter, None))
    if sockets.host is not None:
        spec = _spec(WorkerKind.HOST, pool, sockets.host, allow_uid, adapter, None)
        specs.append(replace(spec, argv=(*spec.argv, "--config", os.path.abspath(config))))
    return specs


def _spec(
    kind: WorkerKind, pool: str, socket: str, allow_uid: int, adapter: str, user: str | None
) -> WorkerSpec:
    argv = (sys.executable, "-m", ENTRY, kind.value, "--pool", pool, "--socket", socket)
    options = ("--adapter", adapter, "--allow-uid", str(allow_uid), "--until-stdin-closes")
    return WorkerSpec(socket, argv + options, user)


def start_workers(
    specs: Sequence[WorkerSpec], clock: ClockPort, *, deadline_seconds: float = 30.0
) -> Running:
    """Start the warden with these workers and wait until each answers.

    Call it before the process has threads. Errors: Standing(worker-start), after everything that
    was started has been ended again.
    """
    process = subprocess.Popen(
        (sys.executable, "-m", ENTRY, "warden", "--specs", json.dumps(encode(list(specs)))),
        stdin=subprocess.PIPE,
        # A Ctrl-C at a terminal is for the daemon, which then ends the warden.
        start_new_session=True,
    )
    running = Running(process)
    deadline = Deadline(clock, deadline_seconds)
    waiting = [spec.socket for spec in specs]
    while waiting and not deadline.expired() and process.poll() is None:
        waiting = [path for path in waiting if not _answers(path, clock)]
        if waiting:
            clock.sleep(_STEP_SECONDS)
    if waiting:
        running.stop()
        raise Standing(
            "worker-start",
            f"No worker answers at {', '.join(waiting)} within {deadline_seconds:.0f} s.",
            "Read the messages above this one; docs/runbooks says what a worker needs.",
        )
    return running


def _answers(path: str, clock: ClockPort) -> bool:
    patience = Patience(connect_seconds=1.0, call_seconds=1.0)
    client = WorkerClient(path, clock, patience, lambda _event, _fields: None)
    try:
        client.call(COUNTERS, {})
    except Passing:
        return False
    finally:
        client.close()
    return True
