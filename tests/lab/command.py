"""What a command in a node left behind, and a handle on one that still runs."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from .channel import Channel
from .errors import LabError

ANSWER_SECONDS = 30
"""For requests that the agent answers at once."""


@dataclass(frozen=True)
class Result:
    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output without the space around it."""
        return self.stdout.decode(errors="replace").strip()


@dataclass(frozen=True)
class Process:
    """A command in the background of a node; its output is kept in files there.

    It belongs to the node: a crash of the node ends it, the end of the test does not.
    """

    channel: Channel
    id: int
    pid: int
    argv: tuple[str, ...]

    def poll(self) -> int | None:
        return self.wait_up_to(0)

    def wait(self, *, timeout_seconds: float = 60) -> int:
        if (code := self.wait_up_to(timeout_seconds)) is None:
            said = self.output().decode(errors="replace")[-4000:]
            command = " ".join(self.argv)
            raise LabError(
                f"{self.channel.node}: {command}: not ended after {timeout_seconds} s\n{said}"
            )
        return code

    def wait_up_to(self, seconds: float) -> int | None:
        header, _ = self.channel.ask(
            "poll", id=self.id, timeout_seconds=seconds + ANSWER_SECONDS, wait_seconds=seconds
        )
        code: int | None = header["returncode"]
        return code

    def wait_for_output(self, wanted: bytes, *, timeout_seconds: float = 60) -> bytes:
        """Wait until the output contains `wanted`, and return all of it."""
        deadline = time.monotonic() + timeout_seconds
        while wanted not in (said := self.output()):
            ended = self.poll()
            if ended is not None or time.monotonic() > deadline:
                if wanted in (said := self.output()):
                    break
                state = "still running" if ended is None else f"exit {ended}"
                raise LabError(
                    f"{self.channel.node}: {' '.join(self.argv)}: {wanted!r} was not printed "
                    f"in {timeout_seconds} s ({state})\n{said.decode(errors='replace')[-4000:]}"
                )
            time.sleep(0.05)
        return said

    def signal(self, number: int, *, group: bool = False) -> None:
        self.channel.ask(
            "signal", id=self.id, number=int(number), group=group, timeout_seconds=ANSWER_SECONDS
        )

    def terminate(self) -> None:
        self.signal(signal.SIGTERM)

    def kill(self, *, group: bool = True) -> None:
        """kill -9, by default of its whole process group."""
        self.signal(signal.SIGKILL, group=group)

    def stdout(self, offset: int = 0) -> bytes:
        return self.read("out", offset)

    def stderr(self, offset: int = 0) -> bytes:
        return self.read("err", offset)

    def output(self) -> bytes:
        """What it printed so far: standard output, then standard error."""
        return self.stdout() + self.stderr()

    def read(self, stream: str, offset: int) -> bytes:
        return self.channel.ask(
            "output", id=self.id, stream=stream, offset=offset, timeout_seconds=ANSWER_SECONDS
        )[1]
