"""A command at a real terminal in a node, and hands that type: what a person does at a prompt.

with Keyboard(node, "zr", "init") as keyboard:
    keyboard.read_until("Do this?"); keyboard.type(CTRL_C); assert keyboard.end() == 130
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from .errors import LabError
from .node import Node

CTRL_C, CTRL_D, ENTER = "\x03", "\x04", "\r"
HUMAN_SECONDS = 1.0
SOON_SECONDS = 90.0
"""For a command that asks or ends at once, on a machine that is busy."""
_ENDED = re.compile(r"ended with (\d+)\r?\n")


class Keyboard:
    """The command is a shell's child, in the foreground of a terminal of 100 columns."""

    def __init__(self, node: Node, *words: str) -> None:
        # What the lab's agent starts ignores SIGINT, and no shell can take that back.
        shell = f"{shlex.join(words)}; echo ended with $?; read rest"
        self._name, self._said = f"{node.name}: {' '.join(words)}", ""
        self._connection = node.channel.open(
            "terminal",
            argv=["env", "--default-signal=INT,QUIT", "bash", "-c", shell],
            env={"TERM": "xterm"},
            user=None,
            rows=40,
            columns=100,
            timeout_seconds=10,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    @property
    def said(self) -> str:
        """All that the terminal has shown so far, echoes of what was typed included."""
        return self._said

    def type(self, keys: str) -> None:
        """Press these keys; nobody is as fast as the moment between a prompt and its read(2), in
        which Python would notice a Ctrl-C only with the next key."""
        time.sleep(HUMAN_SECONDS)
        self._connection.sendall(keys.encode())

    def read_until(
        self, wanted: str, *, timeout_seconds: float = SOON_SECONDS, times: int = 1
    ) -> str:
        """Wait until this was shown so often; returns all that was shown."""
        self._read(lambda: self._said.count(wanted) >= times, wanted, timeout_seconds)
        return self._said

    def end(self, *, timeout_seconds: float = SOON_SECONDS) -> int:
        """Wait for the command's end; its exit code."""
        self._read(lambda: _ENDED.search(self._said) is not None, "its end", timeout_seconds)
        found = _ENDED.search(self._said)
        assert found is not None
        assert "Traceback" not in self._said, self._said
        return int(found[1])

    def _read(self, shown: Callable[[], bool], what: str, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not shown():
            left = deadline - time.monotonic()
            self._connection.settimeout(max(0.01, left))
            try:
                octets = self._connection.recv(65536)
            except TimeoutError:
                octets = b""
            if not octets:
                raise LabError(f"{self._name}: waited for {what!r}; shown so far:\n{self._said}")
            self._said += octets.decode(errors="replace")
