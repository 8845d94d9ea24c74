"""Full pools and clocks that step: does it pause, say so, and go on by itself?"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .conftest import Fresh
from .contents import common, compare
from .looks import events, versions
from .node import Node
from .site import Site

pytestmark = pytest.mark.lab
DATASET = "tank/work"
COPY = "back/zr/alpha/tank/work"
DAY = 86_400


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh()
    site.lab.alpha.sh("zfs create tank/work; zfs create tank/other; echo first >/tank/work/file")
    site.protect([DATASET], every="2s", min_free="5%")
    site.start()
    site.settle()
    yield site
    site.stop("alpha")
    site.stop("beta")


def free_bytes(node: Node) -> int:
    return int(node.run(["zfs", "get", "-Hpo", "value", "available", node.pool]).text)


@contextmanager
def ballast(node: Node, leave_bytes: int) -> Iterator[None]:
    """Fill a pool at once: a reservation of all but so many bytes."""
    size = free_bytes(node) - leave_bytes
    node.run(["zfs", "create", "-o", f"reservation={size}", f"{node.pool}/ballast"])
    try:
        yield
    finally:
        node.run(["zfs", "destroy", f"{node.pool}/ballast"])


def change(site: Site) -> None:
    site.lab.alpha.sh("date +%s.%N >>/tank/work/file")


def wait_for_tick(site: Site) -> None:
    seen = versions(site.lab.alpha, DATASET)
    change(site)
    site.wait(lambda: versions(site.lab.alpha, DATASET) != seen, "a tick", 60)


def assert_in_sync(site: Site) -> None:
    change(site)
    site.settle()
    names = common(site.lab.alpha, DATASET, site.lab.beta, COPY)
    assert not compare(site.lab.alpha, DATASET, site.lab.beta, COPY, names[-2:])[1]


def test_a_pool_with_little_space_gets_no_more_snapshots(site: Site) -> None:
    with ballast(site.lab.alpha, 60 << 20):
        change(site)
        site.wait(lambda: bool(events(site.log("alpha"), "tick-paused")), "a pause", 60)
        paused = events(site.log("alpha"), "tick-paused")[0]
        assert paused["reason"] == "low-space"
        assert "no snapshots are taken" in paused["message"]
        assert "Free space" in paused["message"]
        taken = versions(site.lab.alpha, DATASET)
        ended = ticks_ended(site)
        site.wait(lambda: ticks_ended(site) >= ended + 2, "more pauses", 60)
        assert versions(site.lab.alpha, DATASET) == taken
        assert len(events(site.log("alpha"), "tick-paused")) == 1, "told once, not each time"
    wait_for_tick(site)
    site.wait(lambda: bool(events(site.log("alpha"), "tick-recovered")), "it says so", 60)
    assert events(site.log("alpha"), "tick-recovered")[0]["missed"] >= 3
    assert_in_sync(site)


def ticks_ended(site: Site) -> int:
    return int(site.status()["groups"][0]["ticks_ended"])


def test_a_target_with_little_space_receives_nothing_until_there_is_more(site: Site) -> None:
    with ballast(site.lab.beta, 60 << 20):
        there = versions(site.lab.beta, COPY)
        wait_for_tick(site)
        site.wait(lambda: error(site)["reason"] == "low-space", "low-space on beta", 60)
        site.wait(lambda: "nothing is received" in error(site)["message"], "what it means", 60)
        assert versions(site.lab.beta, COPY) == there
        shown = next(r for r in site.status("beta")["replicas"] if r["dataset"] == DATASET)
        assert (shown["replica"], shown["newest"]) == (COPY, there[-1])
        assert shown["refused"]["reason"] == "low-space"
    assert_in_sync(site)


def error(site: Site) -> dict[str, str]:
    return site.lane(DATASET)["error"] or {"reason": "", "message": ""}


def test_a_disk_that_fills_up_in_mid_stream_keeps_what_arrived(site: Site) -> None:
    """The limit of free space lets it begin, but it does not fit. On a busy machine the connection
    may be given up first; then the next try meets the limit."""
    with ballast(site.lab.beta, 116 << 20):
        site.stop("alpha")  # else a tick may come while it is written, and half of it fits
        site.lab.alpha.sh("head -c 150M /dev/urandom >/tank/work/large", timeout_seconds=120)
        site.start("alpha")
        token = ["zfs", "get", "-Hpo", "value", "receive_resume_token", COPY]
        site.wait(
            lambda: error(site)["reason"] in FULL and len(site.lab.beta.run(token).text) > 5,
            "a full disk, and what arrived until then",
            150,
        )
    assert_in_sync(site)
    assert events(site.log("alpha"), "lane-resumed")
    site.lab.alpha.run(["rm", "/tank/work/large"])


FULL = ("no-space", "low-space")


@pytest.mark.parametrize("seconds", [3600, -3600, 3653 * DAY, -3653 * DAY])
def test_a_clock_that_steps_does_not_stop_the_ticks(site: Site, seconds: int) -> None:
    site.lab.alpha.step_clock(seconds)
    for _ in range(2):
        wait_for_tick(site)
    assert_in_sync(site)
    site.wait(lambda: abs(last_step(site) - seconds) < 5, "the step is told of", 30)


def last_step(site: Site) -> float:
    steps = [event["seconds"] for event in events(site.log("alpha"), "clock-stepped")]
    return float(steps[-1]) if steps else 0.0


def test_after_all_steps_the_order_is_still_that_of_the_changes(site: Site) -> None:
    numbers = [int(name.split("_")[2]) for name in versions(site.lab.alpha, DATASET)]
    assert numbers == sorted(numbers)
    there = versions(site.lab.beta, COPY)
    assert there == [name for name in versions(site.lab.alpha, DATASET) if name in there]
    assert not events(site.log("alpha"), "task-failed")
    assert not events(site.log("beta"), "task-failed")
