"""Whatever is cut or killed in mid-stream: is it resumed, without sending what was there already?

The link, alpha's daemon, each worker, alpha itself (beta's power failure is in test_thin_line.py).
How much crossed the wire is counted by beta's kernel, on its network interface.
"""

import time
from collections.abc import Callable, Iterator

import pytest

from .conftest import Fresh
from .contents import common, compare, guids
from .looks import ask, events, pid_of, pids_of, zr_processes
from .node import Node
from .site import PORT, Site

pytestmark = pytest.mark.lab
DATASET = "tank/long"
COPY = "back/zr/alpha/tank/long"
OTHERS = ["tank/b", "tank/c", "tank/d"]
SIZE_BYTES = 16_000_000
RATE = "8mbit"
"""So a stream takes sixteen seconds: a look and a disturbance are in time on a slow host too."""
PARTIAL = """
import json, sys
from zrepl_py.adapters.zfs.lzc import LzcZfs
points = [LzcZfs().observe_resume(dataset) for dataset in sys.argv[1:]]
print(json.dumps([point.bytes_received if point else 0 for point in points]))
"""


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh()
    for dataset in (DATASET, *OTHERS):
        site.lab.alpha.sh(f"zfs create {dataset}; echo first >/{dataset}/letter")
    site.protect(["tank/**"], every="1h")
    site.start()
    site.settle()
    yield site
    site.stop("alpha")
    site.stop("beta")


def partials(site: Site, *replicas: str) -> list[int]:
    found: list[int] = ask(site.lab.beta, PARTIAL, *replicas)
    return found


def arrived_bytes(site: Site) -> int:
    return int(site.lab.beta.get("/sys/class/net/vec0/statistics/rx_bytes"))


def begin_stream(site: Site, *datasets: str, size_bytes: int = SIZE_BYTES) -> None:
    """A slow stream of new bytes is on its way. Beta writes down every second how far it is."""
    site.lab.beta.sh("echo 1 >/sys/module/zfs/parameters/zfs_txg_timeout")
    for node in site.lab.nodes.values():  # else most of the stream would wait in sockets
        node.sh("cd /proc/sys/net/ipv4; echo 4096 65536 131072 | tee tcp_rmem >tcp_wmem")
    site.lab.degrade(rate=RATE)
    for dataset in datasets:
        site.lab.alpha.sh(f"head -c {size_bytes} /dev/urandom >/{dataset}/noise")
    site.lab.alpha.run(["zr", "snapshot"])


def assert_goes_on(site: Site, disturb: Callable[[], None], *, is_cut: bool = True) -> None:
    """Half of a stream arrives, something happens, and no more than the rest is sent afterwards."""
    site.settle()
    resumed = len(events(site.log("alpha"), "lane-resumed"))
    before = arrived_bytes(site)
    begin_stream(site, DATASET)
    site.wait(lambda: partials(site, COPY)[0] > SIZE_BYTES // 2, "half of a stream", 90)
    site.lab.degrade(rate="2mbit")  # so it does not end before it is disturbed, however late
    daemon = site.daemons["alpha"]
    disturb()
    site.lab.heal()
    if site.daemons["alpha"] is not daemon:  # another log
        resumed = 0
    site.settle()
    sent = arrived_bytes(site) - before
    # Sending all of it again would be at least 1.5 times its size.
    assert SIZE_BYTES < sent < 1.4 * SIZE_BYTES
    assert (len(events(site.log("alpha"), "lane-resumed")) > resumed) == is_cut
    assert partials(site, COPY) == [0]
    assert_equal(site, DATASET)


def assert_equal(site: Site, dataset: str) -> None:
    copy = f"back/zr/alpha/{dataset}"
    names = common(site.lab.alpha, dataset, site.lab.beta, copy)
    assert names[-1] == list(guids(site.lab.alpha, dataset))[-1]
    size_bytes, differ = compare(site.lab.alpha, dataset, site.lab.beta, copy, names[-1:])
    assert size_bytes > 0
    assert not differ


def sending_connections(site: Site) -> int:
    """Of alpha to beta, those with unsent bytes; /proc/net/tcp says it in hexadecimal."""
    lines = [line.split() for line in site.lab.alpha.get("/proc/net/tcp").decode().splitlines()[1:]]
    return sum(f[2].endswith(f":{PORT:04X}") and int(f[4].split(":")[0], 16) > 9000 for f in lines)


def test_several_datasets_are_in_flight_at_once(site: Site) -> None:
    begin_stream(site, *OTHERS, size_bytes=3_000_000)
    site.wait(lambda: sending_connections(site) == len(OTHERS), "all of them at once", 60)
    site.lab.heal()
    site.settle()
    for dataset in OTHERS:
        assert_equal(site, dataset)


def test_the_link_is_cut(site: Site) -> None:
    def cut() -> None:
        failures = len(events(site.log("alpha"), "lane-failed"))
        site.lab.cut()
        site.wait(lambda: len(events(site.log("alpha"), "lane-failed")) > failures, "a failure")
        last = events(site.log("alpha"), "lane-failed")[-1]
        assert last["reason"] == "peer-silent"

    assert_goes_on(site, cut)


def test_the_daemon_of_alpha_is_killed(site: Site) -> None:
    def kill() -> None:
        site.daemons["alpha"].kill(group=False)
        site.daemons["alpha"].wait()
        site.wait(lambda: not zr_processes(site.lab.alpha), "its workers end with it")
        site.start("alpha")

    assert_goes_on(site, kill)


@pytest.mark.parametrize(("node", "role"), [("alpha", "zfs"), ("beta", "receive"), ("beta", "zfs")])
def test_a_worker_is_killed(site: Site, node: str, role: str) -> None:
    def kill() -> None:
        here = site.lab.nodes[node]
        pid = pid_of(here, role)
        here.kill_pid(pid)
        began = time.monotonic()
        site.wait(lambda: another(here, role, pid), "another worker")
        assert time.monotonic() - began < 30, "a second, and what a busy machine needs to start it"

    # Beta's ZFS worker has no part in a stream that is under way.
    assert_goes_on(site, kill, is_cut=(node, role) != ("beta", "zfs"))


def another(node: Node, role: str, pid: int) -> bool:
    """It is there, and is not that one."""
    found = pids_of(node, role)
    return len(found) == 1 and found != [pid]


def test_alpha_loses_power(site: Site) -> None:
    def crash() -> None:
        site.lab.alpha.crash()
        site.lab.alpha.boot()
        site.start("alpha")

    assert_goes_on(site, crash)
