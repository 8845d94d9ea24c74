"""One node as a process of the host: start it, kill it, stop and continue it.

Knows User-Mode Linux and nothing of what runs inside.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from .errors import BootFailed, LabError
from .images import data_disk, root_overlay
from .layout import POOLS, RECIPE, REPOSITORY, Instance, cache_directory
from .network import Network, mac, number
from .processes import Identity, in_same_pid_namespace


@dataclass(frozen=True)
class Hardware:
    """What a node is made of; fixed when the instance is created."""

    kernel: str
    image: str
    init: str = "bare"
    memory_megabytes: int = 1024
    disks: int = 3
    disk_bytes: int = 1 << 30
    layout: str = "raidz1"


class Machine:
    def __init__(self, instance: Instance, node: str, hardware: Hardware) -> None:
        self.instance = instance
        self.node = node
        self.hardware = hardware
        self.folder = instance.node(node)
        self.parent: subprocess.Popen[bytes] | None = None

    def keeper(self) -> Identity | None:
        """The process that is the node, if it runs."""
        with contextlib.suppress(OSError, ValueError):
            record = Identity(**json.loads((self.folder / "keeper.json").read_text()))
            if record.is_alive():
                return record
        return None

    def is_on(self) -> bool:
        return self.keeper() is not None

    def start(self, network: Network, *, absent: set[int], clock: float, leashed: bool) -> None:
        if self.keeper():
            raise LabError(f"{self.node} is running already")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        command = [
            *network.enter_command(),
            *("unshare", "--pid", "--fork", "--kill-child=SIGKILL", "--"),
            *(sys.executable, "-IS", str(RECIPE / "keeper.py"), str(self.folder)),
            "leashed" if leashed else "free",
            *self.kernel_command(absent, clock),
        ]
        # UML keeps the node's memory as an unlinked file there.
        environment = {"PATH": os.environ["PATH"], "TMPDIR": "/dev/shm", "HOME": str(self.folder)}
        with (self.folder / "start.log").open("wb") as log:
            self.parent = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if leashed else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def kernel_command(self, absent: set[int], clock: float) -> list[str]:
        this = self.hardware
        disks = [
            f"ubd{disk_letter(index)}={data_disk(self.instance, self.node, index)}"
            for index in range(1, this.disks + 1)
            if index not in absent
        ]
        machine = hashlib.md5(f"{self.instance.name}/{self.node}".encode()).hexdigest()
        facts = {
            "repo": REPOSITORY,
            "pycache": cache_directory() / "pycache",
            "node": self.node,
            "number": number(self.node),
            "init": this.init,
            "machine": machine,
            "pool": POOLS[self.node],
            "layout": this.layout,
            "clock": round(clock),
        }
        (cache_directory() / "pycache").mkdir(exist_ok=True)
        return [
            this.kernel,
            *(f"mem={this.memory_megabytes}M", "seccomp=on", "umid=uml", f"uml_dir={self.folder}"),
            f"ubda={root_overlay(self.instance, self.node)},{this.image}",
            *disks,
            f"vec0:transport=tap,ifname={self.node},depth=64,gro=1,mac={mac(self.node, 0)}",
            f"vec1:transport=tap,ifname={self.node}-m,depth=64,gro=1,mac={mac(self.node, 1)}",
            *("root=/dev/ubda", "rw", "init=/usr/sbin/lab-init"),
            *("con0=null,fd:1", "con=null", "ssl=null", "loglevel=4"),
            *(f"lab.{name}={value}" for name, value in facts.items()),
        ]

    def add_disk(self, number: int) -> None:
        """Hot-plug a disk that was absent at boot (one that is there is left alone)."""
        path = data_disk(self.instance, self.node, number)
        self.ask_kernel(f"config ubd{disk_letter(number)}={path}")

    def ask_kernel(self, command: str) -> str:
        """One command to UML's management console, whose protocol is one datagram."""
        text = command.encode()
        request = struct.pack("III", 0xCAFEBABE, 2, len(text)) + text.ljust(512, b"\0")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as console:
            console.settimeout(30)
            # By path: an abstract address belongs to a network namespace, and UML's is another.
            (mine := self.folder / "answer").unlink(missing_ok=True)
            console.bind(str(mine))
            console.sendto(request, str(self.folder / "uml" / "mconsole"))
            failed, _, length = struct.unpack("III", (answer := console.recv(1024))[:12])
        return f"{'error: ' if failed else ''}{answer[12 : 12 + length].decode(errors='replace')}"

    def crash(self) -> None:
        """Power failure: everything of it ends at once."""
        if keeper := self.keeper():
            keeper.kill()
        self.reap()

    def reap(self) -> None:
        if self.parent:
            if self.parent.stdin:
                self.parent.stdin.close()
            self.parent.wait(60)
            self.parent = None

    def freeze(self) -> None:
        """SIGSTOP: as a machine that hangs, or a host that was suspended."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):  # helpers come and go
                os.kill(process, signal.SIGSTOP)

    def thaw(self) -> None:
        for process in reversed(self.processes()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def processes(self) -> list[int]:
        """The kernel first, then its helpers; not the keeper."""
        if not (keeper := self.keeper()):
            raise LabError(f"{self.node} does not run")
        return sorted(set(in_same_pid_namespace(keeper.pid)) - {keeper.pid})

    def wait_until_ended(self, *, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while self.keeper():
            if time.monotonic() > deadline:
                raise LabError(
                    f"{self.node} did not power off in {timeout_seconds} s\n{self.console()}"
                )
            time.sleep(0.02)
        self.reap()

    def check_alive(self) -> None:
        """During a boot: raise as soon as it is clear that nothing will come."""
        early = self.parent and self.parent.poll() is not None
        if (self.folder / "exit").exists() or early:
            raise BootFailed(f"{self.node} ended while it booted\n{self.console()}")

    def console(self, lines: int = 40) -> str:
        said = []
        for name in ("start.log", "console.log"):
            with contextlib.suppress(OSError):
                said += Path(self.folder / name).read_text(errors="replace").splitlines()
        return "\n".join(said[-lines:])


def disk_letter(number: int) -> str:
    """The letter a is the root's."""
    return "bcdefgh"[number - 1]
