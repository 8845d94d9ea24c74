"""The host port on real ZFS: whoever still uses a file system is found, whatever hides it, and the
list of objsets says the truth. Scenarios 20 to 23 of failover; the facts L4 to L8 behind them."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Lab, Node
from zrepl_py.testing.kits.host import MOUNT_CHECKS

pytestmark = pytest.mark.lab
PYTHON = "/opt/zr/bin/python"
ASK = """
import json, sys
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.hosting.machine import MachineHost
from zrepl_py.core.codec import decode, encode
from zrepl_py.model.host import Process
verb, args = json.loads(sys.argv[1])
if verb == "end_holders":
    args[1] = [Process(*process) for process in args[1]]
print(json.dumps(encode(getattr(MachineHost(MachineClock(), {}.get), verb)(*args))))
"""
STARTED: list[int] = []
SETTLE = "udevadm settle || true"
CLAIM = """
import os, sys, time
while True:  # whoever is told of a volume's changes has it open for a moment: read-only, as it was
    try:
        os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)
        break
    except OSError as error:
        print(error, flush=True)
        time.sleep(0.1)
time.sleep(600)
"""
WRITER = """
import ctypes, os, sys, time
path, way = sys.argv[1:]
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
os.ftruncate(fd, 65536)
mapped, libc = None, ctypes.CDLL(None)
if way == "mmap":  # Python's own keeps a descriptor beside it
    libc.mmap.restype = ctypes.c_void_p
    size = ctypes.c_size_t(65536)
    place = libc.mmap(None, size, 3, 1, fd, ctypes.c_long(0))
    mapped = (ctypes.c_char * 65536).from_address(place)
    os.close(fd)
print("ready", flush=True)
number = 0
while True:
    number += 1
    line = str(number).rjust(16).encode()
    if mapped is not None:
        mapped[:16] = line
        libc.msync(ctypes.c_void_p(place), size, 4)
    else:
        os.pwrite(fd, line, 0)
        os.fsync(fd)
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(name="fence") as made:
        yield made


@pytest.fixture
def node(lab: Lab) -> Iterator[Node]:
    """alpha with tank/g and tank/g/audio mounted, and nothing that uses them."""
    lab.alpha.sh("zfs create tank/g; zfs create tank/g/audio")
    lab.alpha.put("/root/writer.py", WRITER.encode())
    yield lab.alpha
    for pid in STARTED:
        lab.alpha.sh(f"kill -9 {pid}", check=False)
    STARTED.clear()
    wait(lab.alpha, "zfs destroy -r tank/g")


def ask(node: Node, verb: str, *args: Any) -> Any:
    said = node.run([PYTHON, "-c", ASK, json.dumps([verb, args])], timeout_seconds=60)
    return json.loads(said.text)


def start(node: Node, argv: list[str], cwd: str | None = None) -> int:
    """A program that is gone after the test; its pid."""
    pid = node.start(argv, cwd=cwd).pid
    STARTED.append(pid)
    return pid


def write(node: Node, folder: str, way: str, *before: str) -> int:
    """A program writes 50 times a second; its pid."""
    pid = start(node, [*before, "python3", "/root/writer.py", f"{folder}/in-fence", way])
    wait(node, f"grep -qa '[0-9]' {folder}/in-fence")  # as long as only space is made, it prepares
    return pid


def wait(node: Node, script: str, timeout_seconds: float = 60) -> None:
    deadline = time.monotonic() + timeout_seconds
    while node.sh(script, check=False).returncode != 0:
        assert time.monotonic() < deadline, f"`{script}` did not become true"
        time.sleep(0.2)


def holder_of(node: Node, dataset: str) -> dict[str, Any]:
    """The only one."""
    (holder,) = ask(node, "observe_holders", [dataset])
    found: dict[str, Any] = holder
    return found


def end(node: Node, dataset: str, holder: dict[str, Any]) -> str:
    process = [holder["process"]["pid"], holder["process"]["start_ticks"]]
    (ended,) = ask(node, "end_holders", [dataset], [process], 30.0)
    return str(ended["ending"])


def in_use(node: Node, dataset: str) -> bool:
    return dataset in ask(node, "observe_objsets", "tank")


def test_the_kit(lab: Lab) -> None:
    names = [check.__name__ for check in MOUNT_CHECKS]
    module = "zrepl_py.testing.kits.host_real_case"
    argv = [PYTHON, "-m", module, "zfs", "tank", "-", *names]
    done = lab.alpha.run(argv, timeout_seconds=300, check=False)
    assert done.returncode == 0, done.text


def test_20_a_working_directory(node: Node) -> None:
    """It alone keeps the file system from being unmounted (L5)."""
    pid = start(node, ["sleep", "600"], cwd="/tank/g/audio")
    holder = holder_of(node, "tank/g/audio")
    assert (holder["process"]["pid"], holder["command"]) == (pid, "sleep")
    assert holder["holdings"] == ["cwd"]
    assert holder["first"] == "/tank/g/audio"
    assert node.sh("zfs unmount tank/g/audio", check=False).returncode != 0
    assert len(ask(node, "unmount_everywhere", ["tank/g", "tank/g/audio"])) == 2
    assert end(node, "tank/g/audio", holder) == "ended"
    assert ask(node, "unmount_everywhere", ["tank/g", "tank/g/audio"]) == []
    assert not in_use(node, "tank/g")
    assert not in_use(node, "tank/g/audio")


def test_21_a_mapped_file(node: Node) -> None:
    """Who wrote into it goes on although the file system is read-only (L4), until its end."""
    pid = write(node, "/tank/g/audio", "mmap")
    node.sh("zfs set readonly=on tank/g/audio", check=False)
    assert ask(node, "apply_readonly", ["tank/g/audio"], True) in ([], ["tank/g/audio"])
    holder = holder_of(node, "tank/g/audio")
    assert holder["process"]["pid"] == pid
    assert holder["holdings"] == ["maps"]
    assert holder["first"] == "/tank/g/audio/in-fence"
    assert end(node, "tank/g/audio", holder) == "ended"
    assert ask(node, "unmount_everywhere", ["tank/g/audio"]) == []
    assert not in_use(node, "tank/g/audio")
    node.sh("zfs snapshot tank/g/audio@final; sleep 1; zpool sync tank")
    assert node.run(["zfs", "get", "-Hpo", "value", "written", "tank/g/audio"]).text == "0"


def test_22_a_private_mount_namespace(node: Node) -> None:
    """`zfs unmount` says 0 and mounted=no, and the writer goes on (L6): it is found."""
    pid = write(node, "/tank/g/audio", "write", "unshare", "-m", "--propagation", "private")
    node.sh("zfs unmount tank/g/audio")
    assert node.run(["zfs", "get", "-Ho", "value", "mounted", "tank/g/audio"]).text == "no"
    assert in_use(node, "tank/g/audio")
    (mount,) = ask(node, "observe_mounts", ["tank/g/audio"])
    assert (mount["own"], mount["point"]) == (False, "/tank/g/audio")
    holder = holder_of(node, "tank/g/audio")
    assert holder["process"]["pid"] == pid
    assert holder["holdings"] == ["fd"]
    assert end(node, "tank/g/audio", holder) == "ended"
    wait(node, "! grep -qs 'tank/g/audio$' /proc/spl/kstat/zfs/tank/objset-*")
    assert not in_use(node, "tank/g/audio")


def test_23_a_lazy_unmount(node: Node) -> None:
    """No list of mounts shows it any more, and the writer goes on: it is found, and known to be
    of this very dataset; one of another dataset is not mistaken for it."""
    pid = write(node, "/tank/g/audio", "write")
    other = write(node, "/tank/g", "write")
    node.sh("umount -l /tank/g/audio; umount -l /tank/g")
    assert ask(node, "observe_mounts", ["tank/g", "tank/g/audio"]) == []
    assert in_use(node, "tank/g/audio")
    holder = holder_of(node, "tank/g/audio")
    assert (holder["process"]["pid"], holder["dataset"]) == (pid, "tank/g/audio")
    assert holder_of(node, "tank/g")["process"]["pid"] == other
    assert end(node, "tank/g/audio", holder) == "ended"
    wait(node, "! grep -qs 'tank/g/audio$' /proc/spl/kstat/zfs/tank/objset-*")
    assert ask(node, "observe_holders", ["tank/g/audio"]) == []
    assert in_use(node, "tank/g")
    assert end(node, "tank/g", holder_of(node, "tank/g")) == "ended"


def test_a_bind_mount_is_unmounted_too(node: Node) -> None:
    """A part of it elsewhere, as containers have."""
    node.sh("mkdir -p /tank/g/audio/part /root/bound; mount --bind /tank/g/audio/part /root/bound")
    seen = ask(node, "observe_mounts", ["tank/g/audio"])
    assert {(m["point"], m["root"]) for m in seen} == {
        ("/tank/g/audio", "/"),
        ("/root/bound", "/part"),
    }
    assert ask(node, "unmount_everywhere", ["tank/g/audio"]) == []
    assert not in_use(node, "tank/g/audio")


def test_a_reader_of_a_snapshot_is_found(node: Node) -> None:
    """It keeps the file system mounted, from below `.zfs`."""
    node.sh("touch /tank/g/audio/x; zfs snapshot tank/g/audio@s; ls /tank/g/audio/.zfs/snapshot/s")
    pid = start(node, ["sleep", "600"], cwd="/tank/g/audio/.zfs/snapshot/s")
    assert len(ask(node, "unmount_everywhere", ["tank/g/audio"])) == 1
    holder = holder_of(node, "tank/g/audio")
    assert holder["process"]["pid"] == pid
    assert end(node, "tank/g/audio", holder) == "ended"
    assert ask(node, "unmount_everywhere", ["tank/g/audio"]) == []
    assert not in_use(node, "tank/g/audio")


def test_read_only_is_followed_by_mounts_that_are_there(node: Node) -> None:
    """readonly=off on a parent leaves its mounted children as they are (L9)."""
    both = ["tank/g", "tank/g/audio"]
    node.sh("zfs set readonly=on tank/g", check=False)
    assert ask(node, "apply_readonly", both, True) == []
    assert node.sh("touch /tank/g/audio/x", check=False).returncode != 0
    assert ask(node, "write_markers", ["tank/g/audio"], "2/abc\n") == []
    node.sh("zfs set readonly=off tank/g", check=False)
    assert ask(node, "apply_readonly", both, False) == []
    assert ask(node, "write_markers", ["tank/g/audio"], "2/abc\n") == ["tank/g/audio"]
    assert node.get("/tank/g/audio/.zr/epoch") == b"2/abc\n"


def test_volumes(node: Node) -> None:
    """Read-only, claimed, and open without a claim, each told apart (L8)."""
    node.sh(f"zfs create -V 16M tank/g/vm; {SETTLE}")
    seen = ask(node, "observe_volumes", ["tank/g/vm", "tank/g"])
    assert [(v["dataset"], v["readonly"], v["claimed"]) for v in seen] == [
        ("tank/g/vm", False, False)
    ]
    device = seen[0]["device"]
    opened = start(node, ["sh", "-c", f"exec 3<>{device}; exec sleep 600"])
    wait(node, f"ls -l /proc/{opened}/fd | grep -q {device}")
    node.sh(SETTLE)
    holder = holder_of(node, "tank/g/vm")
    assert (holder["process"]["pid"], holder["holdings"]) == (opened, ["device"])
    assert not ask(node, "observe_volumes", ["tank/g/vm"])[0]["claimed"]
    node.sh("zfs set readonly=on tank/g/vm")
    assert ask(node, "apply_readonly", ["tank/g/vm"], True) == []
    assert end(node, "tank/g/vm", holder) == "ended"
    node.sh(SETTLE)
    assert ask(node, "observe_holders", ["tank/g/vm"]) == []
    node.sh("zfs set readonly=off tank/g/vm")
    claimed = start(node, ["python3", "-c", CLAIM, device])
    wait(node, f"ls -l /proc/{claimed}/fd | grep -q {device}")
    node.sh(SETTLE)
    assert ask(node, "observe_volumes", ["tank/g/vm"])[0]["claimed"]
    assert end(node, "tank/g/vm", holder_of(node, "tank/g/vm")) == "ended"
