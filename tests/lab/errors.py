"""What can go wrong in the lab, so that a test can tell its own failure from the lab's."""

from __future__ import annotations

from collections.abc import Sequence


class LabError(Exception):
    """The lab itself failed: not built, not booted, not reachable."""


class BuildFailed(LabError):
    """A step of the build failed; the message ends with what its tools said."""


class BootFailed(LabError):
    """A node did not come up; the message ends with the tail of its console."""


class NodeUnreachable(LabError):
    """A node did not answer in time: down, frozen, or hung."""


class CommandFailed(LabError):
    """A command in a node ended with an exit code other than 0."""

    def __init__(self, node: str, argv: Sequence[str], how: str, stdout: bytes, stderr: bytes):
        self.stdout, self.stderr = stdout, stderr
        said = b"\n".join(part for part in (stdout.strip(), stderr.strip()) if part)
        text = said.decode(errors="replace")[-8000:]
        super().__init__(f"{node}: {' '.join(argv)}: {how}\n{text}")


class CommandTimedOut(CommandFailed):
    """A command in a node was killed at its deadline."""
