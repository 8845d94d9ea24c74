"""The one place from which the ZFS adapters start a process.

Argument lists only, never a shell; LC_ALL=C so that words can be recognised; every run has a
deadline and is counted (`FORKS`), so that a steady cycle can be proven to start none.
"""

import os
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from zrepl_py.adapters.zfs.translate import missing_module
from zrepl_py.errors import Passing, Standing, ZrError

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEADLINE_SECONDS = 120.0


@dataclass
class ForkCount:
    """How many processes the adapters have started in this one, and the first word pairs."""

    total: int = 0
    by_verb: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, argv: Sequence[str]) -> None:
        """Count one start of `argv`."""
        with self._lock:
            self.total += 1
            verb = " ".join(argv[:2])
            self.by_verb[verb] = self.by_verb.get(verb, 0) + 1


FORKS = ForkCount()


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ran to its end."""

    code: int
    out: str
    err: str


def environment() -> dict[str, str]:
    """What a child sees: nothing of ours but a search path."""
    return {"LC_ALL": "C", "PATH": SEARCH_PATH, "TZ": "UTC"}


def run(
    argv: Sequence[str],
    *,
    stdin_text: str | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Ended:
    """Run to the end. Errors: module-missing (no such command), Passing(too-slow)."""
    FORKS.add(argv)
    try:
        done = subprocess.run(
            list(argv),
            input=stdin_text.encode() if stdin_text is not None else None,
            stdin=subprocess.DEVNULL if stdin_text is None else None,
            capture_output=True,
            timeout=deadline_seconds,
            env=environment(),
            check=False,
        )
    except FileNotFoundError:
        raise missing_command(argv[0]) from None
    except subprocess.TimeoutExpired:
        raise Passing(
            "too-slow",
            f"`{argv[0]} {argv[1]}` did not end within {deadline_seconds:.0f} s.",
            "Look at `zpool status`: the pool may be suspended or very busy.",
        ) from None
    return Ended(
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
    )


def start(
    argv: Sequence[str], *, stdin: int, stdout: int, pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a process whose error output is a pipe; the caller waits for it."""
    FORKS.add(argv)
    try:
        return subprocess.Popen(
            list(argv),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=environment(),
            pass_fds=tuple(pass_fds),
        )
    except FileNotFoundError:
        raise missing_command(argv[0]) from None


def missing_command(name: str) -> ZrError:
    """The command is not installed."""
    return Standing(
        "module-missing",
        f"The command `{name}` is not installed.",
        "Install the Debian package zfsutils-linux.",
    )


def check_device() -> None:
    """Raise module-missing unless OpenZFS is loaded."""
    if not os.path.exists("/dev/zfs"):
        raise missing_module()
