"""The ZFS kit on real OpenZFS: both adapters, each on a node of its own."""

import json
from collections.abc import Iterator

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.lab
_DEADLINE_SECONDS = 240.0


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(name="zfskit") as lab:
        yield lab


@pytest.mark.parametrize(
    ("node", "pool", "adapter"), [("alpha", "tank", "lzc"), ("beta", "back", "command")]
)
def test_adapter(lab: Lab, node: str, pool: str, adapter: str) -> None:
    kit = ["/opt/zr/bin/python", "-m", "zrepl_py.testing.kits.zfs", pool, adapter]
    machine = lab.alpha if node == "alpha" else lab.beta
    done = machine.run(kit, timeout_seconds=_DEADLINE_SECONDS, check=False)
    lines = done.text.splitlines()
    assert done.returncode == 0, "\n".join(line for line in lines if not line.startswith("ok "))
    assert lines[-1].endswith(" passed, 0 failed")


WRITTEN = """
import json
from zrepl_py.adapters.zfs.forks import FORKS
from zrepl_py.adapters.zfs.tree import CommandDatasets
from zrepl_py.adapters.zfs.tree_lzc import LzcDatasets
fast, slow = LzcDatasets(), CommandDatasets()
names = [d.name for d in slow.observe_tree("tank/wild")]
histories = slow.observe_histories(names)
since = {n: h.snapshots[0].guid for n, h in histories.items() if h.snapshots}
base = since.pop("tank/wild/origin")
slow.clone("tank/wild/origin@one", base, "tank/wild/clone")
slow.promote("tank/wild/clone", slow.observe_tree("tank/wild/clone")[0].guid)
since |= {"tank/wild/clone": base, "tank/wild/b": 5}
before = FORKS.total
said = fast.observe_written(since)
print(json.dumps([FORKS.total - before, said, slow.observe_written(since)]))
"""


def test_both_count_what_was_written(lab: Lab) -> None:
    """Much, nothing, since a snapshot that is not there; a clone that nobody wrote to."""
    lab.alpha.sh(
        "set -e; zfs create -o mountpoint=/wild tank/wild; zfs create tank/wild/a\n"
        "zfs create -V 8M tank/wild/volume; zfs create tank/wild/origin\n"
        "echo log >/wild/origin/file; zfs snapshot -r tank/wild@one\n"
        "zfs create tank/wild/b; echo written >/wild/file; zfs snapshot tank/wild@two"
    )
    lab.alpha.put("/root/written.py", WRITTEN.encode())
    forks, fast, slow = json.loads(lab.alpha.run(["/opt/zr/bin/python", "/root/written.py"]).text)
    assert fast == slow
    assert forks == 0
    assert fast["tank/wild"] > 0
    assert fast["tank/wild/a"] == fast["tank/wild/clone"] == 0
    assert fast["tank/wild/b"] is None


MOUNTS = """
import json, os, subprocess
from zrepl_py.adapters.host.mounts import MOUNTINFO
from zrepl_py.adapters.zfs.forks import FORKS
from zrepl_py.adapters.zfs.tree_lzc import LzcDatasets
def lines():
    with open(MOUNTINFO) as file:
        found = [line.split(" ", 4)[4] for line in file if " - zfs tank/mounts" in line]
    return sorted(found)
port = LzcDatasets()
guids = {d.name: d.guid for d in port.observe_tree("tank/mounts") if d.mountpoint != "none"}
before = lines()
for name in sorted(guids, reverse=True):
    subprocess.run(["zfs", "unmount", name], check=True)
assert lines() == []
port.mount(guids)
after = lines()
port.mount(guids)
again, forks = lines() == after, [verb for verb in FORKS.by_verb if "mount" in verb]
seen = os.listdir("/wild-mounts/.zfs/snapshot/one")
print(json.dumps([len(guids), before, after, again, forks, seen]))
"""


def test_mounted_as_the_command_mounts(lab: Lab) -> None:
    """The same words of the kernel for every combination, no process, snapshots within reach."""
    kinds = [f"-o {name}=off" for name in ("atime", "relatime", "devices", "exec", "setuid")]
    kinds += ["-o readonly=on", " ".join(kinds), "-o 'mountpoint=/wild mounts/ü'", ""]
    lines = [f"zfs create {kind} tank/mounts/{n}" for n, kind in enumerate(kinds)]
    lab.alpha.sh(
        "set -e; zfs create -o mountpoint=/wild-mounts -o canmount=noauto tank/mounts\n"
        "zfs mount tank/mounts; touch /wild-mounts/file; zfs snapshot tank/mounts@one\n"
        + "\n".join(lines)
    )
    lab.alpha.put("/root/mounts.py", MOUNTS.encode())
    said = json.loads(lab.alpha.run(["/opt/zr/bin/python", "/root/mounts.py"]).text)
    count, before, after, again, forks, seen = said
    assert count == len(before) == len(kinds) + 1
    assert after == before
    assert (again, forks, seen) == (True, [], ["file"])
