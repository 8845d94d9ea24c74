"""Does the lab keep its promises? What every test in the lab takes for granted."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab import BootFailed, CommandTimedOut, Lab, LabError, Node, NodeUnreachable
from tests.lab.build import ensure_built
from tests.lab.lab import remove_abandoned
from tests.lab.layout import REPOSITORY, Instance
from tests.lab.node import BOOT_SECONDS

pytestmark = pytest.mark.lab

SNAPSHOT = """
import libzfs_core
libzfs_core.lzc_snapshot([b"tank/seen@one"])
assert libzfs_core.lzc_exists(b"tank/seen@one")
"""
CONNECT = "import socket; socket.create_connection(('beta', 2222), timeout=2)"
NEAR_SECONDS = 60
"""Two clocks are read one after the other, on a machine that may be busy."""


@pytest.fixture(scope="module", params=["bare", "systemd"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with Lab.up(name=f"self{request.param}", init=request.param) as up:
        yield up


def eventually(truth: Callable[[], bool], *, timeout_seconds: float = 60) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not truth():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.1)


def health(node: Node) -> str:
    return node.run(["zpool", "list", "-H", "-o", "health", node.pool]).text


def pings(node: Node, other: str) -> bool:
    """One of three is enough: a machine that is busy loses packets, too."""
    words = ["ping", "-c3", "-i0.3", "-W10", other]
    return node.run(words, check=False).returncode == 0


def reaches_beta(lab: Lab) -> bool:
    """Connection refused is an answer too: nobody listens, but the packets arrived."""
    result = lab.alpha.run(["python3", "-c", CONNECT], check=False)
    return b"ConnectionRefused" in result.stderr


def test_both_pools_are_real(lab: Lab) -> None:
    for node in (lab.alpha, lab.beta):
        status = node.run(["zpool", "status", node.pool]).text
        assert "raidz1-0  ONLINE" in status
        assert status.count("disk") == 3
        assert b"zfs" in node.get("/proc/filesystems")
        version = node.get("/sys/module/zfs/version").decode().strip()
        assert version == ensure_built().versions.zfs
    assert lab.alpha.get("/proc/sys/kernel/hostname") == b"alpha\n"


def test_libzfs_core_makes_a_snapshot(lab: Lab) -> None:
    lab.alpha.sh("zfs create tank/seen; echo text >/tank/seen/file")
    lab.alpha.run(["/opt/zr/bin/python", "-c", SNAPSHOT])
    assert lab.alpha.get("/tank/seen/.zfs/snapshot/one/file") == b"text\n"


def test_the_product_and_its_dependencies_are_there(lab: Lab) -> None:
    modules = "zrepl_py, libzfs_core, apscheduler, boto3, click, cryptography, zstandard"
    lab.alpha.run(["/opt/zr/bin/python", "-c", f"import {modules}"], user="zr")


def test_a_command_ends_at_its_deadline(lab: Lab) -> None:
    began = time.monotonic()
    with pytest.raises(CommandTimedOut, match="before"):
        lab.alpha.sh("echo before; sleep 120", timeout_seconds=5)
    assert time.monotonic() - began < 60


def test_a_failing_command_shows_what_it_said(lab: Lab) -> None:
    with pytest.raises(LabError, match="dataset does not exist"):
        lab.alpha.run(["zfs", "list", "tank/nothing"])


def test_background_process(lab: Lab) -> None:
    process = lab.alpha.start(["sh", "-c", "echo out; echo err >&2; cat; sleep 60"], stdin=b"in")
    process.wait_for_output(b"in")
    eventually(lambda: process.output() == b"out\ninerr\n")
    assert process.poll() is None
    process.kill()
    assert process.wait() == -9


def test_files_go_both_ways(lab: Lab) -> None:
    content = bytes(range(256)) * 40_000
    lab.beta.put("/tmp/deep/file", content, mode=0o600)
    assert lab.beta.get("/tmp/deep/file") == content


def test_crash_and_boot_keep_what_was_synced(lab: Lab) -> None:
    lab.beta.sh("echo kept >/back/kept; zpool sync back")
    lab.beta.crash()
    assert not lab.beta.is_running()
    with pytest.raises(NodeUnreachable, match="beta is off"):
        lab.beta.run(["true"])
    lab.beta.boot()
    assert lab.beta.get("/back/kept") == b"kept\n"
    assert health(lab.beta) == "ONLINE"


def test_a_crash_ends_a_command_that_is_waited_for(lab: Lab) -> None:
    timer = threading.Timer(0.5, lab.beta.crash)
    timer.start()
    began = time.monotonic()
    with pytest.raises(NodeUnreachable):
        lab.beta.sh("sleep 120", timeout_seconds=120)
    assert time.monotonic() - began < 60
    timer.join()
    lab.beta.boot()


def test_orderly_reboot(lab: Lab) -> None:
    lab.beta.sh("echo buffered >/back/buffered")
    lab.beta.reboot()
    assert lab.beta.get("/back/buffered") == b"buffered\n"


def test_cut_and_heal(lab: Lab) -> None:
    eventually(lambda: reaches_beta(lab))
    lab.cut()
    assert not reaches_beta(lab)
    eventually(lambda: pings(lab.alpha, "hub"))
    lab.heal()
    eventually(lambda: reaches_beta(lab))
    lab.cut("beta")
    assert not reaches_beta(lab)
    assert lab.beta.run(["ping", "-c1", "-W1", "hub"], check=False).returncode != 0
    lab.heal()
    eventually(lambda: reaches_beta(lab))


def test_degraded_link_survives_a_boot(lab: Lab) -> None:
    lab.degrade(delay_ms=150)
    lab.beta.crash()
    lab.beta.boot()
    eventually(lambda: pings(lab.alpha, "beta"))
    answer = lab.alpha.run(["ping", "-c5", "-i0.3", "beta"]).text
    lab.heal()
    assert float(answer.rsplit("/", 3)[0].split()[-1]) > 295  # the fastest of them
    answer = lab.alpha.run(["ping", "-c5", "-i0.3", "beta"]).text
    assert float(answer.rsplit("/", 3)[0].split()[-1]) < 200


def test_freeze_and_thaw(lab: Lab) -> None:
    process = lab.beta.start(["sh", "-c", "while :; do echo tick; sleep 0.05; done"])
    process.wait_for_output(b"tick")
    lab.beta.freeze()
    assert lab.beta.is_running()
    with pytest.raises(NodeUnreachable):
        lab.beta.channel.ask("ping", timeout_seconds=0.5)
    lab.beta.thaw()
    before = len(process.output())
    eventually(lambda: len(process.output()) > before)
    process.kill()


def test_a_clock_step_affects_one_node_only(lab: Lab) -> None:
    lab.beta.step_clock(86400)
    assert abs(lab.beta.now() - time.time() - 86400) < NEAR_SECONDS
    assert abs(lab.alpha.now() - time.time()) < NEAR_SECONDS
    lab.beta.crash()
    lab.beta.boot()
    assert abs(lab.beta.now() - time.time() - 86400) < NEAR_SECONDS
    lab.beta.step_clock(-86400)


def test_save_and_load(lab: Lab) -> None:
    lab.alpha.sh("zfs create tank/state; echo first >/tank/state/file; zpool sync")
    lab.save("first")
    lab.alpha.sh("zfs destroy -r tank/state; echo later >/root/later")
    lab.alpha.step_clock(3600)
    lab.alpha.pull_disk(1)
    began = time.monotonic()
    lab.load("first")
    assert time.monotonic() - began < BOOT_SECONDS
    assert lab.alpha.get("/tank/state/file") == b"first\n"
    assert health(lab.alpha) == "ONLINE"
    assert abs(lab.alpha.now() - time.time()) < NEAR_SECONDS
    assert lab.alpha.sh("test -e /root/later", check=False).returncode == 1


def disk_state(node: Node, number: int) -> str:
    status = node.run(["zpool", "status", node.pool]).text
    return next(line for line in status.splitlines() if f"disk{number} " in line).split()[1]


def resilvers_ended(node: Node) -> int:
    """Since it booted. `zpool status` shows the last scan only, and that can be a scrub which
    nobody asked for: `clear` and `online` ask for a resilver each, and where the first one's
    is over when the second is looked at, OpenZFS begins anew with a scrub (dsl_scan_sync)."""
    return node.run(["zpool", "events", "-H", node.pool]).text.count("resilver_finish")


def bring_back(node: Node, number: int) -> None:
    online = f"zpool clear {node.pool}; zpool online {node.pool} disk{number}; zpool sync"
    resilvers_before = resilvers_ended(node)
    node.plug_disk(number)
    node.sh(online)

    def is_back() -> bool:
        status = node.run(["zpool", "status", node.pool]).text
        if [f"disk{number}", "ONLINE"] not in [line.split()[:2] for line in status.splitlines()]:
            node.sh(online)  # ZED learns late that the disk had failed, and has faulted it again
        return resilvers_ended(node) > resilvers_before and health(node) == "ONLINE"

    eventually(is_back)
    # Another resilver may have begun; until its end no scrub can.
    scrub = (
        f"until zpool wait -t resilver {node.pool} && zpool scrub -w {node.pool}; do sleep 1; done"
    )
    node.sh(scrub, timeout_seconds=120)
    assert "errors: No known data errors" in node.run(["zpool", "status", node.pool]).text


def test_a_pulled_disk_degrades_the_pool_which_goes_on(lab: Lab) -> None:
    lab.alpha.pull_disk(2)
    assert health(lab.alpha) == "DEGRADED"
    lab.alpha.sh("head -c 20M /dev/urandom >/tank/random; md5sum /tank/random >/tmp/sum")
    bring_back(lab.alpha, 2)
    lab.alpha.sh("md5sum -c /tmp/sum")


def test_a_disk_that_fails_unnoticed(lab: Lab) -> None:
    lab.beta.pull_disk(1, noticed=False)
    lab.beta.sh("head -c 20M /dev/urandom >/back/random; zpool sync")
    eventually(lambda: disk_state(lab.beta, 1) == "FAULTED")
    bring_back(lab.beta, 1)


def test_a_disk_that_hangs_and_goes_on(lab: Lab) -> None:
    for number in (1, 2):
        lab.beta.stall_disk(number)
    writer = lab.beta.start(["sh", "-c", "echo x >/back/stalled; zpool sync"])
    assert writer.wait_up_to(1.5) is None
    for number in (1, 2):
        lab.beta.plug_disk(number)
    assert writer.wait() == 0
    assert health(lab.beta) == "ONLINE"


def test_slow_disks(lab: Lab) -> None:
    for number in (1, 2, 3):
        lab.beta.slow_disk(number, delay_ms=100)
    began = time.monotonic()
    lab.beta.sh("echo x >/back/slow; zpool sync")
    assert time.monotonic() - began > 0.2
    for number in (1, 2, 3):
        lab.beta.plug_disk(number)


def test_a_disk_that_is_missing_at_boot(lab: Lab) -> None:
    lab.alpha.shutdown()
    lab.alpha.pull_disk(3)
    lab.alpha.boot()
    assert health(lab.alpha) == "DEGRADED"
    bring_back(lab.alpha, 3)


def test_a_full_file_system(lab: Lab) -> None:
    lab.alpha.sh("zfs create -o quota=20M tank/small")
    lab.alpha.fill("/tank/small")
    full = lab.alpha.sh("head -c 2M /dev/urandom >/tank/small/more", check=False)
    assert b"quota" in full.stderr.lower() or b"space" in full.stderr.lower()


def test_another_process_attaches(lab: Lab) -> None:
    again = Lab.attach(lab.instance.name)
    assert again.beta.run(["echo", "here"]).text == "here"
    with pytest.raises(LabError, match="up already"):
        Lab.up(lab.instance.name)


def test_a_node_that_cannot_boot_says_why() -> None:
    with Lab.up("broken", boot=False) as lab:
        lab.alpha.machine.hardware = replace(lab.state.hardware, image="/dev/null")
        began = time.monotonic()
        with pytest.raises(BootFailed, match=r"(?s)ended while it booted.*ubda"):
            lab.alpha.boot()
        assert time.monotonic() - began < BOOT_SECONDS / 2


def test_helpers_at_the_hub_end_with_the_lab() -> None:
    with Lab.up("helper", boot=False) as lab:
        helper = lab.hub.start(["sleep", "1000"])
    assert helper.wait(timeout=60) == -9


OWNER = """
import sys
from tests.lab import Lab
lab = Lab.up("orphan")
lab.alpha.start(["sleep", "1000"])
print(lab.alpha.machine.keeper().pid, flush=True)
sys.stdin.read()
"""


def test_nothing_is_left_of_a_lab_whose_owner_was_killed() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert owner.stdin
    assert owner.stdout
    keeper = int(owner.stdout.readline().split()[-1])
    owner.kill()
    owner.wait()
    eventually(lambda: not Path(f"/proc/{keeper}").exists())
    with ThreadPoolExecutor(4) as together:  # as test processes that begin at once do
        for sweeping in [together.submit(remove_abandoned) for _ in range(4)]:
            sweeping.result()
    assert not Instance("orphan").run.exists()
    assert not Instance("orphan").store.exists()
    assert not (Path("/run/netns") / Instance("orphan").namespace).exists()


def test_whoever_comes_next_clears_up() -> None:
    killed = "import os; from tests.lab import Lab; Lab.up('left', boot=False); os._exit(0)"
    subprocess.run([sys.executable, "-c", killed], cwd=REPOSITORY, check=True, timeout=60)
    with Lab.up("another", boot=False):
        assert not Instance("left").run.exists()
