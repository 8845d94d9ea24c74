"""The host kit on this machine: `python -m zrepl_py.testing.kits.host_real_case`, and then
KIND POOL IP CHECK…

As root. KIND is `zfs`, with a pool that exists, or `ramfs` where there is no ZFS: then the file
systems are ramfs, and all the rest is real. Run it in a network namespace of its own (and, with
ramfs, in a mount namespace): `unshare -m -n`. Each check gets a new case, which is cleared away.
Prints one line for each check, `ok NAME` or a traceback, and ends with 1 if one failed.
"""

import contextlib
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.hosting.holders import observe_holders
from zrepl_py.adapters.hosting.machine import ZFS_MAGIC, MachineHost
from zrepl_py.adapters.hosting.namespaces import find_devices, observe_namespaces
from zrepl_py.adapters.hosting.objsets import observe_objsets
from zrepl_py.adapters.hosting.processes import observe_process
from zrepl_py.model.host import Address, Holding, Hosting, Process, Service, ServiceKind
from zrepl_py.ports.host import HostPort
from zrepl_py.testing.kits.host import BROKEN, GROUP, HOST_CHECKS, LIAR, STEADY, STUBBORN

_MAGIC = {"zfs": ZFS_MAGIC, "ramfs": 0x858458F6}
_OWN, _FAR = "zrk0", "zrk1"
_ENOUGH_SECONDS = 30
"""For a shell, also on a busy machine."""
_STOP_SECONDS = {STUBBORN: 1, LIAR: 4}
"""Of those whose stopping never comes to its end."""
_HOLD = """
import ctypes, os, signal, sys
way, path, heeds = sys.argv[1:]
if heeds == "no":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if way == "cwd":
    os.chdir(os.path.dirname(path))
elif way == "root":
    os.chroot(os.path.dirname(path))
elif way == "fd":
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
elif way == "maps":
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 4096)
    # Python's own mmap keeps a descriptor beside it.
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    assert libc.mmap(None, ctypes.c_size_t(4096), 3, 1, fd, ctypes.c_long(0)) > 0
    os.close(fd)
print("ready", flush=True)
signal.pause()
"""


class RealCase:
    """HostCase on this machine."""

    def __init__(self, kind: str, pool: str, ip: str) -> None:
        self._kind, self._ip = kind, ip
        parent = f"{pool}/zr-kit"
        self.datasets = (parent, f"{parent}/below")
        self._folder = tempfile.mkdtemp(prefix="zr-kit-", dir="/run")
        self._points = {parent: f"{self._folder}/m", self.datasets[1]: f"{self._folder}/m/below"}
        self._children: list[subprocess.Popen[str]] = []
        address = Address(ip, _width(ip), _OWN) if ip != "-" else None
        hosting = Hosting(GROUP, tuple(self._services()), address)
        self.host: HostPort = MachineHost(
            MachineClock(),
            {GROUP: hosting}.get,
            kind=kind,
            magic=_MAGIC[kind],
            objsets=observe_objsets if kind == "zfs" else self._objsets,
        )
        self._make_file_systems()
        self._devices = find_devices(observe_namespaces(kind), self.datasets)
        self._sniffer = self._make_link() if address is not None else None

    def close(self) -> None:
        """Everything is gone afterwards."""
        for child in self._children:
            child.kill()
            child.wait()
        if self._sniffer is not None:
            self._sniffer.close()
            subprocess.run(["ip", "link", "del", _OWN], capture_output=True, check=False)
        for dataset in reversed(self.datasets):
            subprocess.run(["umount", self._points[dataset]], capture_output=True, check=False)
        if self._kind == "zfs":
            subprocess.run(["zfs", "destroy", "-r", self.datasets[0]], check=True)
        subprocess.run(["rm", "-r", "--one-file-system", self._folder], check=True)

    def hold(self, dataset: str, holding: Holding, *, heeds_term: bool = True) -> Process:
        """See HostCase."""
        heeds = "yes" if heeds_term else "no"
        path = f"{self._points[dataset]}/held"
        return self._start([sys.executable, "-c", _HOLD, holding.value, path, heeds])

    def hold_privately(self, dataset: str) -> Process:
        """See HostCase."""
        return self._start_privately("fd", f"{self._points[dataset]}/held")

    def mount_privately(self, dataset: str) -> Process:
        """See HostCase."""
        return self._start_privately("nothing", self._points[dataset])

    def unmount_lazily(self, dataset: str) -> None:
        """See HostCase."""
        subprocess.run(["umount", "-l", self._points[dataset]], check=True)

    def is_alive(self, process: Process) -> bool:
        """See HostCase."""
        return any(c.pid == process.pid and c.poll() is None for c in self._children)

    def give_address_away(self) -> None:
        """See HostCase."""
        inside = ("nsenter", "-t", str(self._far), "-n", "ip")
        more = ("nodad",) if ":" in self._ip else ()
        whole = f"{self._ip}/{_width(self._ip)}"
        subprocess.run([*inside, "address", "add", whole, "dev", _FAR, *more], check=True)

    def announcements(self) -> int:
        """See HostCase. Counts what left the interface, by hand."""
        assert self._sniffer is not None
        ip, count = ipaddress.ip_address(self._ip), 0
        with contextlib.suppress(BlockingIOError):
            while frame := self._sniffer.recv(2048):
                arp = frame[12:14] == b"\x08\x06" and frame[28:32] == frame[38:42] == ip.packed
                icmp = frame[12:14] == b"\x86\xdd" and frame[54] == 136 and ip.packed in frame[62:]
                count += arp or icmp
        return count

    def _start_privately(self, way: str, path: str) -> Process:
        private = ["unshare", "-m", "--propagation", "private"]
        return self._start([*private, sys.executable, "-c", _HOLD, way, path, "yes"])

    def _start(self, argv: Sequence[str]) -> Process:
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd="/")
        self._children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        process = observe_process(child.pid)
        assert process is not None
        return process

    def _services(self) -> Iterator[Service]:
        flag = f"{self._folder}/runs"
        for name in (STEADY, STUBBORN, LIAR, BROKEN):
            start = "exit 1" if name == BROKEN else f"touch {flag}"
            stop = {STUBBORN: "sleep 60", LIAR: "exit 0"}.get(name, f"rm -f {flag}")
            status = f"[ -e {flag} ] || exit 3"
            yield Service(
                name,
                ServiceKind.COMMAND,
                start=("/bin/sh", "-c", start),
                stop=("/bin/sh", "-c", stop),
                status=("/bin/sh", "-c", status),
                start_seconds=_ENOUGH_SECONDS,
                stop_seconds=_STOP_SECONDS.get(name, _ENOUGH_SECONDS),
            )

    def _make_file_systems(self) -> None:
        for dataset, point in self._points.items():
            if self._kind == "zfs":
                argv = ["zfs", "create", "-o", f"mountpoint={point}", dataset]
            else:
                os.mkdir(point)
                argv = ["mount", "-t", self._kind, dataset, point]
            subprocess.run(argv, check=True)

    def _objsets(self, pool: str) -> frozenset[str]:
        """What ZFS would say of these file systems."""
        mounted = {m.device for n in observe_namespaces(self._kind) for m in n.mounts}
        held = {h.dataset for h in observe_holders(self._devices, None)}
        return frozenset(d for n, d in self._devices.items() if n in mounted or d in held)

    def _make_link(self) -> socket.socket:
        """A cable to another machine; returns what hears all that leaves this one."""
        self._far = self._start(
            ["unshare", "-n", sys.executable, "-c", _HOLD, "nothing", "/", "yes"]
        ).pid
        for words in (
            f"add {_OWN} type veth peer name {_FAR}",
            f"set {_FAR} netns {self._far}",
            f"set {_OWN} up",
        ):
            subprocess.run(["ip", "link", *words.split()], check=True)
        inside = ["nsenter", "-t", str(self._far), "-n", "ip", "link", "set", _FAR, "up"]
        subprocess.run(inside, check=True)
        everything = 3  # ETH_P_ALL: only so what this machine sends is seen, too
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(everything))
        sniffer.bind((_OWN, everything))
        sniffer.setblocking(False)
        return sniffer


def main(argv: Sequence[str]) -> int:
    """See the module's docstring."""
    kind, pool, ip, *names = argv
    known = {check.__name__: check for check in HOST_CHECKS}
    failed = False
    for name in names:
        case = RealCase(kind, pool, ip)
        signal.alarm(60)
        try:
            known[name](case)
            print("ok", name, flush=True)
        except Exception:  # noqa: BLE001 - this program's outermost edge: it tells, and goes on
            failed = True
            traceback.print_exc(file=sys.stdout)
            print("failed", name, flush=True)
        finally:
            signal.alarm(0)
            case.close()
    return 1 if failed else 0


def _width(ip: str) -> int:
    return ipaddress.ip_address(ip).max_prefixlen


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
