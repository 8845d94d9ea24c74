"""Beta was away: is the backlog worked off in order, from a base that was kept for it?"""

from collections.abc import Iterator

import pytest

from .conftest import Fresh
from .contents import common, compare, guids
from .looks import events, versions
from .site import Site

pytestmark = pytest.mark.lab
DATASET = "tank/work"
COPY = "back/zr/alpha/tank/work"


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh()
    site.lab.alpha.sh("zfs create tank/work; echo first >/tank/work/diary")
    site.protect([DATASET], every="1h")
    site.start()
    site.settle()
    yield site
    site.stop("alpha")
    site.stop("beta")


def again(site: Site, *, keep_alpha: int = 1000, keep_beta: int = 1000) -> None:
    """The same site with another retention; beta stays away for now."""
    site.stop("alpha")
    site.stop("beta")
    site.protect([DATASET], every="1h", keep_alpha=keep_alpha, keep_beta=keep_beta)
    site.start("alpha")
    # Its first tick must not take what is written for the next one.
    site.wait(lambda: site.status()["groups"][0]["ticks_ended"] > 0, "its first tick", 60)


def write_and_snapshot(site: Site, count: int) -> list[str]:
    """So many snapshots with something new in each; their names."""
    before = versions(site.lab.alpha, DATASET)
    for number in range(count):
        site.lab.alpha.sh(
            f"echo {number} >>/tank/work/diary; head -c 9000 /dev/urandom >/tank/work/n"
        )
        seen = versions(site.lab.alpha, DATASET)[-1]
        site.lab.alpha.run(["zr", "snapshot"])
        site.wait(lambda: versions(site.lab.alpha, DATASET)[-1] != seen, "a snapshot", 60)  # noqa: B023
    return [name for name in versions(site.lab.alpha, DATASET) if name not in before]


def received(site: Site) -> list[str]:
    return [event["snapshot"] for event in events(site.log("beta"), "received")]


def assert_same_newest(site: Site, count: int = 1000) -> None:
    """`count`: so many stay on both nodes, also when one is pruned meanwhile."""
    names = common(site.lab.alpha, DATASET, site.lab.beta, COPY)
    assert names[-1] == versions(site.lab.alpha, DATASET)[-1]
    assert not compare(site.lab.alpha, DATASET, site.lab.beta, COPY, names[-count:])[1]


def test_a_backlog_is_worked_off_in_order(site: Site) -> None:
    site.stop("beta")
    missed = write_and_snapshot(site, 5)
    site.wait(lambda: bool(site.lane(DATASET)["error"]), "beta is missed", 60)
    status = site.lane(DATASET)
    assert not status["in_sync"]
    assert status["error"]["reason"] == "peer-silent"
    assert "would be lost" in site.status()["sentence"]
    site.start("beta")
    site.settle()
    assert received(site)[-5:] == missed
    assert_same_newest(site)


def test_what_beta_would_drop_at_once_is_not_sent(site: Site) -> None:
    again(site, keep_beta=3)
    missed = write_and_snapshot(site, 6)
    site.start("beta")
    site.settle()
    assert received(site) == missed[-3:]
    skipped = events(site.log("alpha"), "snapshots-skipped")
    assert sum(event["count"] for event in skipped) == 3
    assert_same_newest(site, 3)


def test_retention_keeps_the_base_and_what_waits_as_long_as_beta_is_away(site: Site) -> None:
    base = common(site.lab.alpha, DATASET, site.lab.beta, COPY)[-1]
    again(site, keep_alpha=2)
    missed = write_and_snapshot(site, 5)
    # Pruning follows a daemon's first tick, and another one once a minute.
    site.stop("alpha")
    site.start("alpha")
    site.wait(lambda: site.status()["groups"][0]["room"] is not None, "a look at the room", 90)
    site.wait(lambda: versions(site.lab.alpha, DATASET)[0] == base, "what is older goes", 120)
    assert versions(site.lab.alpha, DATASET) == [base, *missed], "though keep_last = 2"
    holds = site.lab.alpha.run(["zfs", "holds", "-H", f"{DATASET}@{base}"]).text
    assert "zr_base_" in holds
    before = guids(site.lab.beta, COPY)
    site.start("beta")
    # No tick: it would prune alpha, where nothing waits any more, while it is compared.
    site.lab.alpha.run(["zr", "replicate", "--timeout", "90"], timeout_seconds=120)
    assert list(guids(site.lab.beta, COPY))[: len(before)] == list(before)
    assert received(site) == missed
    assert_same_newest(site)


def test_a_restarted_beta_learns_at_once_of_what_is_idle(site: Site) -> None:
    """Nothing is sent of it, so nobody but alpha can tell: retention there waits for that."""
    site.stop("beta")
    site.start("beta")

    def known() -> list[str]:
        return [replica["dataset"] for replica in site.status("beta")["replicas"]]

    site.wait(lambda: known() == [DATASET], "beta to know its replica", 60)
