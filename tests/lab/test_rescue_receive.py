"""A rescue arrives by the receiving user alone, which may receive below the place and nowhere."""

from collections.abc import Iterator

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.lab
PYTHON = "/opt/zr/bin/python"
RECEIVE = """
import os, subprocess, sys
from zrepl_py.adapters.zfs.command import CommandZfs
from zrepl_py.adapters.zfs.lzc import LzcZfs
from zrepl_py.errors import ZrError

port = {"lzc": LzcZfs, "command": CommandZfs}[sys.argv[1]]()
source, base, target, origin, to_guid, from_guid = sys.argv[2:]
read_end, write_end = os.pipe()
os.set_inheritable(write_end, True)
sending = subprocess.Popen(["zfs", "send", "-L", "-c", "-i", base, source], stdout=write_end)
os.close(write_end)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    port.receive(target, fd=read_end, to_guid=int(to_guid), from_guid=int(from_guid), raw=False,
                 origin=origin)
    print("received")
except ZrError as error:
    print(type(error).__name__, error.reason, error)
sending.wait()
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(name="rescuein") as made:
        yield made


@pytest.mark.parametrize("adapter", ["lzc", "command"])
def test_the_receiving_user_needs_only_its_right_at_the_place(lab: Lab, adapter: str) -> None:
    node, pool = lab.alpha, "tank"
    top = f"{pool}/{adapter}"

    def zfs(*words: str) -> str:
        return node.run(["zfs", *words]).text.strip()

    zfs("create", top)
    zfs("create", "-o", "canmount=off", "-o", "mountpoint=none", "-o", "readonly=on", f"{top}/of")
    zfs("create", f"{top}/a")
    zfs("snapshot", f"{top}/a@base")
    zfs("clone", f"{top}/a@base", f"{top}/tail")
    node.run(["sh", "-c", f"head -c 300000 /dev/urandom > /{top}/tail/f; sync"])
    zfs("snapshot", f"{top}/tail@zr-rescue_1-00000001-00000002")
    source = f"{top}/tail@zr-rescue_1-00000001-00000002"
    target = f"{top}/of/a@zr-rescue_1-00000001-00000002"
    guids = [zfs("get", "-Hp", "-o", "value", "guid", s) for s in (source, f"{top}/a@base")]

    def receive() -> str:
        words = [adapter, source, f"{top}/a@base", target, f"{top}/a@base", *guids]
        return node.run([PYTHON, "-c", RECEIVE, *words]).text.strip()

    assert "no-rights" in receive()
    zfs("allow", "nobody", "create,mount,receive:append", f"{top}/of")
    assert receive() == "received"
    assert zfs("get", "-Hp", "-o", "value", "guid", target) == guids[0]
    assert zfs("get", "-Hp", "-o", "value", "origin", f"{top}/of/a") == f"{top}/a@base"
    assert zfs("get", "-Hp", "-o", "value", "mounted", f"{top}/of/a") == "no"
    assert "target-exists" in receive()
    zfs("unallow", "nobody", f"{top}/of")
