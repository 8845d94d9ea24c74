"""One thing that `zr init` or `zr reseed` would do: it can be shown before it is done.

A step exists only where something is missing; doing it is what makes it go away. So a second run
plans nothing.
"""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zrepl_py.errors import Standing

_DEADLINE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Step:
    """`what` is shown to a person: a sentence, or `run: ` and a command as it could be typed."""

    what: str
    perform: Callable[[], None]
    detail: str = ""
    """The text of a file that would be written."""


def command_step(argv: Sequence[str]) -> Step:
    """The step that runs a command. Performing: see run_command."""

    def perform() -> None:
        run_command(argv)

    return Step(f"run: {' '.join(argv)}", perform)


def run_command(argv: Sequence[str], *, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run a system's command to its end, without input. Standing(module-missing, zfs-failed,
    command-failed)."""
    shown = " ".join(argv)
    of_zfs = argv[0] in ("zfs", "zpool")
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_DEADLINE_SECONDS,
        )
    except FileNotFoundError:
        raise Standing(
            "module-missing",
            f"The command {argv[0]!r} is not installed.",
            "Install OpenZFS: apt install zfsutils-linux python3-pyzfs."
            if of_zfs
            else "Install the package that has it.",
        ) from None
    except subprocess.TimeoutExpired:
        raise _failed(
            of_zfs, f"`{shown}` gave no answer within {_DEADLINE_SECONDS} s.", "Look at the log."
        ) from None
    if check and done.returncode != 0:
        said = done.stderr.strip() or f"exit {done.returncode}"
        raise _failed(of_zfs, f"`{shown}` failed: {said}.", "Mend this, then run it again.")
    return done


def _failed(of_zfs: bool, message: str, remedy: str) -> Standing:
    if of_zfs:
        return Standing("zfs-failed", message, f"{remedy} `zpool status` may say more.")
    return Standing("command-failed", message, f"{remedy} `journalctl -xe` may say more.")
