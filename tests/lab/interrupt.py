"""A command that is ended in its midst: watched and signalled by one process in the node itself.

Between two requests of a test a slow host may let so much time pass that the command has ended, or
what was waited for has come and gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .command import Result
from .node import Node

WATCH = r"""
import subprocess, sys
when, number, words = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
# What the lab's agent starts ignores SIGINT, unlike what a terminal starts.
running = subprocess.Popen(["env", "--default-signal=INT", *words])
silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
while running.poll() is None:
    if not subprocess.call(["sh", "-c", when, str(running.pid)], **silent):
        running.send_signal(number)
        break
sys.exit(running.wait() % 256)
"""


def interrupt(
    node: Node,
    words: Sequence[str],
    when: str,
    *,
    number: int = 2,
    user: str | None = None,
    timeout_seconds: float = 120,
) -> Result:
    """Run a command, and signal it as soon as the shell's `when` is true ($0 is its pid). The
    returncode is its own: negative where a signal ended it."""
    argv = ["/usr/bin/python3", "-c", WATCH, when, str(number), *words]
    ended = node.run(argv, user=user, check=False, timeout_seconds=timeout_seconds)
    own = ended.returncode - 256 if ended.returncode > 192 else ended.returncode
    return replace(ended, returncode=own)
