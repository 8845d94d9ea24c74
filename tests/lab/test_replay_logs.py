"""What fsync promised right before a loss of power is in no snapshot, until the intent log is taken
up: the host worker does that before a tail is set aside."""

import json
from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.lab.test_fence import ASK, PYTHON

pytestmark = pytest.mark.lab
WRITE = """
import os, sys
for name in sys.argv[1:]:
    file = os.open(f"/tank/g/{name}", os.O_CREAT | os.O_WRONLY)
    os.write(file, b"x" * 5000)
    os.fsync(file)
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab.up(name="replay") as made:
        yield made


def names_in(lab: Lab, snapshot: str) -> set[str]:
    said = lab.alpha.sh(f"mkdir -p /mnt/s; mount -t zfs -o ro {snapshot} /mnt/s; ls /mnt/s").text
    lab.alpha.sh("umount /mnt/s")
    return set(said.split())


def test_a_snapshot_has_the_last_fsync_once_the_log_was_taken_up(lab: Lab) -> None:
    """Scenario 11, its smallest part: alpha's power fails a moment after fsync returned."""
    alpha = lab.alpha
    alpha.sh(
        "zfs create tank/g; zfs set canmount=noauto tank/g; zfs create -s -V 1M tank/v;"
        "echo 3600 >/sys/module/zfs/parameters/zfs_txg_timeout; zpool sync; sleep 1; zpool sync"
    )
    # The first fsync of a file system waits for the pool: it makes the log.
    alpha.run(["python3", "-c", WRITE, "first", "second", "third"])
    alpha.crash()
    alpha.boot()
    alpha.sh("zfs set readonly=on tank/g; zfs snapshot tank/g@before")
    assert "third" not in names_in(lab, "tank/g@before")
    order = json.dumps(["replay_logs", [["tank/g", "tank/v", "tank/none"]]])
    said = alpha.run([PYTHON, "-c", ASK, order])
    assert json.loads(said.text) == ["tank/g"]
    alpha.sh("zfs snapshot tank/g@after; ! mount -t zfs | grep tank/g")
    assert {"first", "second", "third"} <= names_in(lab, "tank/g@after")
