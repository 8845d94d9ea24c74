"""How does a command run that may hang, print without end, or leave children behind?

Argument list, no shell, no input, a short environment. Its output goes to a file, not a pipe: a
daemon that it leaves behind would keep a pipe open. At the limit its whole process group is
killed. The end of the output is kept, for people.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from zrepl_py.adapters.zfs.forks import environment
from zrepl_py.errors import Standing
from zrepl_py.ports.clock import ClockPort

_READ_BYTES = 1 << 20
_SAID_BYTES = 2048
"""Of each stream."""
_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended, or was ended."""

    code: int | None
    """Exit code, negative for a signal; None: it was killed at its limit."""
    seconds: float
    out: str
    """What it printed to its standard output; of very much, the end."""
    said: str
    """The end of what it printed, both streams; for people."""


def run_limited(
    argv: Sequence[str], limit_seconds: float, clock: ClockPort, extra: Mapping[str, str]
) -> Ran:
    """Run to the end or the limit. `extra` is added to the environment.

    Errors: Standing(command-missing) where it cannot be started.
    """
    began = clock.monotonic()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            child = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                cwd="/",
                env={**environment(), **extra},
                start_new_session=True,
            )
        except OSError as error:
            raise Standing(
                "command-missing",
                f"The command {argv[0]!r} cannot be started: {error.strerror}.",
                "Install it, or correct it in zr.toml.",
            ) from None
        code: int | None
        try:
            code = child.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            code = None
            _kill_group(child)
        said = f"{_end_of(output, _SAID_BYTES)}\n{_end_of(errors, _SAID_BYTES)}".strip()
        return Ran(code, clock.monotonic() - began, _end_of(output, _READ_BYTES), said)


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_END_SECONDS)  # It may hang in the kernel; then it is left behind.


def _end_of(output: BinaryIO, most_bytes: int) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - most_bytes))
    return output.read().decode("utf-8", "replace").strip()
