"""Beta is away for eight hours, and alpha's pool runs short: is it told before anything goes, does
the rest go in the stated order, and does beta catch up with increments?"""

from collections.abc import Iterator

import pytest

from .conftest import Fresh
from .contents import common, compare, guids
from .looks import events, versions
from .node import Node
from .past import created_at, name_tick, take_past
from .site import Site

pytestmark = pytest.mark.lab
DATASET = "tank/work"
COPY = "back/zr/alpha/tank/work"
COUNT, GAP_SECONDS = 100, 300
POLICY = """\
format = 1

[policy]
name = "station"
source = "alpha"
datasets = ["tank/work"]
every = "1h"
targets = ["beta"]

[retention.alpha]
keep_last = 3

[limits]
thin_free = "30%"
"""


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh()
    site.lab.alpha.sh("zfs create tank/work; echo first >/tank/work/diary")
    for node in site.lab.nodes.values():
        node.put("/etc/zr/policies/station.toml", POLICY.encode())
    site.start()
    site.settle()
    yield site
    site.stop("alpha")
    site.stop("beta")


def leave_free(node: Node, percent: int) -> None:
    """Fill the pool up to this share, with a reservation."""
    node.run(["zfs", "destroy", f"{node.pool}/ballast"], check=False)
    argv = ["zfs", "get", "-Hpo", "value", "used,available", node.pool]
    used, available = map(int, node.run(argv).text.split())
    size = available - (used + available) * percent // 100
    node.run(["zfs", "create", "-o", f"reservation={size}", f"{node.pool}/ballast"])


def stay_away(site: Site) -> None:
    """What ticks would have taken in eight hours without beta, while nothing else was done."""
    site.stop("alpha")
    node = site.lab.alpha
    base = versions(node, DATASET)[-1]
    seq, began = int(base.split("_")[2]), int(node.now())
    moments = [(began + GAP_SECONDS * n, name_tick(seq + n, began + GAP_SECONDS * n))
               for n in range(1, COUNT + 1)]  # fmt: skip
    node.sh("echo second >>/tank/work/diary")
    take_past(node, [(at, [f"{DATASET}@{name}"]) for at, name in moments])
    node.step_clock(GAP_SECONDS * COUNT + 60)


def prune(site: Site) -> list[str]:
    """Pruning follows a daemon's first tick; returns what is left."""
    site.start("alpha")
    site.wait(lambda: site.status()["groups"][0]["room"] is not None, "a look at the room")
    return versions(site.lab.alpha, DATASET)


def test_eight_hours_without_beta_on_a_pool_that_runs_short(site: Site) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    base = common(alpha, DATASET, beta, COPY)[-1]
    before = guids(beta, COPY)
    site.lab.cut()
    stay_away(site)

    leave_free(alpha, 33)
    left = prune(site)
    waiting = left[left.index(base) :]
    assert len(waiting) >= 1 + COUNT, "all of it waits, though keep_last = 3"
    (soon,) = events(site.log("alpha"), "space-soon")
    assert f"{len(waiting) - 1} snapshots wait for beta, the oldest of " in soon["message"]
    assert "Below 30 % what waits will be thinned" in soon["message"]
    assert soon["message"] in alpha.run(["zr", "status"]).text
    assert "waits for beta" in alpha.run(["zr", "retention", "plan", DATASET]).text
    site.stop("alpha")

    taken = created_at(alpha, DATASET)
    leave_free(alpha, 25)
    shown = alpha.run(["zr", "retention", "plan", DATASET]).text
    assert "the pool is short of room (else kept: waits for beta)" in shown
    left = prune(site)
    site.wait(lambda: bool(events(site.log("alpha"), "pruned")), "pruning")
    left = versions(alpha, DATASET)
    quarters = {taken[name] // 900: name for name in waiting}
    expected = {base, *waiting[-60:], *quarters.values()}
    assert set(left) - set(waiting) <= {left[-1]}, "at most one tick more"
    assert expected - set(waiting[-61:-59]) <= set(left) <= expected | {left[-1]}
    (thins,) = events(site.log("alpha"), "space-thins")
    assert thins["state"] == "waiting"
    assert "zr_base_" in alpha.run(["zfs", "holds", "-H", f"{DATASET}@{base}"]).text

    # What arrives waits no more: a prune that runs meanwhile would take it from alpha, base first.
    alpha.run(["zfs", "hold", "lab", f"{DATASET}@{base}"])
    site.lab.heal()
    site.settle(timeout_seconds=240)  # seventy increments, on a machine that may be busy
    there = guids(beta, COPY)
    assert list(there)[: len(before)] == list(before), "the replica went on, it was not sent anew"
    assert left[0] == base
    assert list(there)[len(before) :] == left[1:]
    assert not compare(alpha, DATASET, beta, COPY, [base, left[-1]])[1]
