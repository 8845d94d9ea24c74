"""The warden: one process without threads that keeps workers running where systemd does not.

Which question it answers: which worker must be started now, and when do all of them end? The
daemon starts it before it has threads and before it gives its rights up; so the daemon itself
never forks later. A worker that ended is started again, after a pause that doubles up to a minute.
When the warden's standard input closes (the daemon is gone), all workers end. Each worker's
standard input is a pipe that the warden holds, so a killed warden leaves none behind.
"""

import os
import pwd
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from zrepl_py.adapters.clock import Deadline
from zrepl_py.adapters.files import ensure_directory
from zrepl_py.adapters.signals import Wake
from zrepl_py.errors import Standing
from zrepl_py.ports.clock import ClockPort

_STDIN = 0
_STOPS = frozenset({signal.SIGTERM, signal.SIGINT})
_FIRST_PAUSE_SECONDS = 1.0
_LAST_PAUSE_SECONDS = 60.0
_STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """A worker to keep running. `argv` must hold `--until-stdin-closes`."""

    socket: str
    argv: tuple[str, ...]
    user: str | None = None
    """Runs as this user, without supplementary groups; None: as the warden does."""


@dataclass(slots=True)
class _Kept:
    spec: WorkerSpec
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    due_at: float = 0.0
    pause_seconds: float = field(default=_FIRST_PAUSE_SECONDS)


class Warden:
    """Keeps workers. Owns the signals of its process."""

    def __init__(self, specs: Sequence[WorkerSpec], clock: ClockPort) -> None:
        self._clock = clock
        self._kept = [_Kept(spec) for spec in specs]
        self._signals = Wake()

    def run(self) -> None:
        """Until standard input closes, or SIGTERM or SIGINT. Errors: Standing(no-user)."""
        self._signals.set_by(signal.SIGCHLD, *_STOPS)
        poller = select.poll()
        poller.register(_STDIN, 0)
        poller.register(self._signals, select.POLLIN)
        try:
            while self._signals.take().isdisjoint(_STOPS):
                pause = self._start_what_is_due()
                ready = dict(poller.poll(None if pause is None else pause * 1000))
                if _STDIN in ready:
                    return
        finally:
            self._end_all()

    def _start_what_is_due(self) -> float | None:
        """Returns seconds until something is due, None where nothing is."""
        now = self._clock.monotonic()
        for kept in self._kept:
            if kept.process is not None and kept.process.poll() is not None:
                self._note_end(kept, now)
            if kept.process is None and kept.due_at <= now:
                self._start(kept, now)
        due = [kept.due_at for kept in self._kept if kept.process is None]
        return max(0.0, min(due) - now) if due else None

    def _note_end(self, kept: _Kept, now: float) -> None:
        process = kept.process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        kept.process = None
        if now - kept.started_at > _LAST_PAUSE_SECONDS:
            kept.pause_seconds = _FIRST_PAUSE_SECONDS
        kept.due_at = now + kept.pause_seconds
        _say(
            f"The worker for {kept.spec.socket} ended with {process.returncode}; "
            f"it is started again in {kept.pause_seconds:.0f} s."
        )
        kept.pause_seconds = min(2 * kept.pause_seconds, _LAST_PAUSE_SECONDS)

    def _start(self, kept: _Kept, now: float) -> None:
        directory = os.path.dirname(os.path.abspath(kept.spec.socket))
        ensure_directory(directory, 0o755)
        rights: dict[str, object] = {}
        if kept.spec.user is not None:
            entry = _user(kept.spec.user)
            os.chown(directory, entry.pw_uid, entry.pw_gid)
            rights = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        kept.started_at = now
        kept.process = subprocess.Popen(  # type: ignore[call-overload]
            kept.spec.argv, stdin=subprocess.PIPE, start_new_session=True, **rights
        )

    def _end_all(self) -> None:
        """SIGTERM for all, by pid; SIGKILL for what is left when the time is over."""
        running = [kept.process for kept in self._kept if kept.process is not None]
        deadline = Deadline(self._clock, _STOP_SECONDS)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(deadline.remaining_seconds())
            except subprocess.TimeoutExpired:
                process.kill()


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise Standing(
            "no-user", f"There is no user {name!r} on this machine.", "Run `zr init`."
        ) from None


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
