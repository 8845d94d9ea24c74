"""One node as a test sees it: commands, files, disks, clock, and the ways it can fail."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .channel import Channel
from .command import ANSWER_SECONDS, Process, Result
from .errors import BootFailed, CommandFailed, CommandTimedOut, NodeUnreachable
from .layout import POOLS
from .machine import Machine

if TYPE_CHECKING:
    from .lab import Lab

BOOT_SECONDS = 120


class Node:
    def __init__(self, lab: Lab, name: str, machine: Machine, channel: Channel) -> None:
        self.lab = lab
        self.name = name
        self.pool = POOLS[name]
        self.machine = machine
        self.channel = channel

    # --- commands

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout_seconds: float = 60,
        check: bool = True,
    ) -> Result:
        """Run a command to its end; at the deadline it is killed, with all its children."""
        fields = {"argv": list(argv), "env": dict(env or {}), "user": user, "cwd": cwd}
        header, output = self.channel.ask(
            "run",
            stdin,
            limit_seconds=timeout_seconds,
            timeout_seconds=timeout_seconds + ANSWER_SECONDS,
            **fields,
        )
        stdout, stderr = output[: header["stdout"]], output[header["stdout"] :]
        if header["timed_out"]:
            how = f"killed after {timeout_seconds} s"
            raise CommandTimedOut(self.name, argv, how, stdout, stderr)
        result = Result(tuple(argv), header["returncode"], stdout, stderr)
        if check and result.returncode != 0:
            raise CommandFailed(self.name, argv, f"exit {result.returncode}", stdout, stderr)
        return result

    def sh(self, script: str, *, timeout_seconds: float = 60, check: bool = True) -> Result:
        """Run a shell script; the first failing command ends it."""
        argv = ["sh", "-ec", script]
        return self.run(argv, timeout_seconds=timeout_seconds, check=check)

    def start(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
    ) -> Process:
        """Start a command in the background."""
        fields = {"argv": list(argv), "env": dict(env or {}), "user": user, "cwd": cwd}
        header, _ = self.channel.ask("start", stdin, timeout_seconds=ANSWER_SECONDS, **fields)
        return Process(self.channel, header["id"], header["pid"], tuple(argv))

    def kill_pid(self, pid: int, number: int = 9) -> None:
        self.run(["kill", f"-{number}", str(pid)])

    # --- files

    def put(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        self.channel.ask("put", content, path=path, mode=mode, timeout_seconds=60)

    def get(self, path: str) -> bytes:
        return self.channel.ask("get", path=path, timeout_seconds=60)[1]

    def refresh(self) -> None:
        """See the working tree as it is now (every boot does this too)."""
        self.run(["/zr/tests/lab/guest/refresh"])

    # --- life

    def boot(self, *, timeout_seconds: float = BOOT_SECONDS) -> None:
        self.begin_boot()
        self.wait_until_up(timeout_seconds=timeout_seconds)

    def begin_boot(self) -> None:
        """Start it without waiting for it."""
        state = self.lab.state
        self.machine.start(
            self.lab.network,
            absent=set(state.pulled(self.name)),
            clock=state.clock_offset_seconds(self.name),
            leashed=state.is_owner(),
        )

    def wait_until_up(self, *, timeout_seconds: float = BOOT_SECONDS) -> None:
        """Wait until the agent answers, which it does when the pool is there."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            self.machine.check_alive()
            try:
                if self.channel.ask("ping", timeout_seconds=0.25)[0]["up"]:
                    break
            except NodeUnreachable:
                pass
            if time.monotonic() > deadline:
                raise BootFailed(
                    f"{self.name} was not up {timeout_seconds} s after its start\n"
                    f"{self.machine.console()}"
                )
            time.sleep(0.02)
        self.lab.reapply(self)

    def is_running(self) -> bool:
        """Whether the machine is on (frozen counts as on)."""
        return self.machine.is_on()

    def crash(self) -> None:
        """Power failure. What was written but not flushed by the node is lost."""
        self.machine.crash()

    def freeze(self) -> None:
        self.machine.freeze()

    def thaw(self) -> None:
        self.machine.thaw()

    def shutdown(self, *, timeout_seconds: float = BOOT_SECONDS) -> None:
        """An orderly power-off."""
        with contextlib.suppress(NodeUnreachable):  # it may be gone before it has answered
            self.channel.ask("halt", timeout_seconds=ANSWER_SECONDS)
        self.machine.wait_until_ended(timeout_seconds=timeout_seconds)

    def reboot(self, *, timeout_seconds: float = BOOT_SECONDS) -> None:
        self.shutdown(timeout_seconds=timeout_seconds)
        self.boot(timeout_seconds=timeout_seconds)

    # --- disks

    def pull_disk(self, number: int, *, noticed: bool = True) -> None:
        """From now on every access to the disk fails; a reboot does not find it.

        Noticed: the pool is made to look at its disks, as udev and ZED do when a disk is
        unplugged, and is DEGRADED at once. Else it finds out by the next access; then
        OpenZFS 2.3.9 says FAULTED for the disk, but the pool's own health stays ONLINE.
        """
        self.lab.state.set_pulled(self.name, [*self.lab.state.pulled(self.name), number])
        if self.is_running():
            self.disk("pull", number)
            if noticed:
                self.run(["zpool", "reopen", self.pool])

    def plug_disk(self, number: int) -> None:
        """The disk works again, whatever was done to it. ZFS is not told: that is `zpool
        online` or `zpool clear`; the resilver begins with the next txg (`zpool sync`)."""
        pulled = [other for other in self.lab.state.pulled(self.name) if other != number]
        self.lab.state.set_pulled(self.name, pulled)
        if self.is_running():
            self.machine.add_disk(number)
            self.disk("plug", number)

    def stall_disk(self, number: int) -> None:
        """No access to the disk ends, until it is plugged again: a controller that hangs."""
        self.disk("stall", number)

    def slow_disk(self, number: int, *, delay_ms: int) -> None:
        """Every access takes so much longer."""
        self.disk("slow", number, str(delay_ms))

    def disk(self, verb: str, number: int, *more: str) -> None:
        self.run(["/zr/tests/lab/guest/disk", verb, str(number), *more])

    def fill(self, path: str, *, leave_bytes: int = 0) -> None:
        """Write incompressible bytes until the file system is full but for `leave_bytes`."""
        argv = ["python3", "/zr/tests/lab/guest/fill.py", path, str(leave_bytes)]
        self.run(argv, timeout_seconds=600)

    # --- clock

    def now(self) -> float:
        header, _ = self.channel.ask("clock", step_seconds=0, timeout_seconds=ANSWER_SECONDS)
        now: float = header["now"]
        return now

    def step_clock(self, seconds: float) -> None:
        """Step the wall clock of this node only; a reboot keeps the step, as an RTC would."""
        self.channel.ask("clock", step_seconds=seconds, timeout_seconds=ANSWER_SECONDS)
        self.lab.state.add_clock_offset(self.name, seconds)
