"""Scenarios of research/failover.md §5.2 that need no real machine, by their numbers: two nodes
with production's roles, and one thing after the other. Each ends with every checker: one primary,
one standby, what has a receipt is with the primary, nothing that was written is nowhere."""

from dataclasses import replace
from random import Random

import pytest

from tests.simulation.role_node import SimRoleNode
from tests.simulation.role_scenario import TREES, draw_roles
from tests.simulation.role_site import RoleSite
from zrepl_py.core.lineage import recall
from zrepl_py.model.host import ServiceState
from zrepl_py.model.lineage import Memory
from zrepl_py.model.roles import Order, Record, State

pytestmark = [pytest.mark.scenario, pytest.mark.long]
SERVING = (State.PRIMARY, State.PRIMARY_ALONE)
LONG_SECONDS = 1e6
DICE = Random(0)
ADDRESS = "192.0.2.10"


def begun(*, honest: bool = True, seed: int = 1, write_seconds: float = 8.0) -> RoleSite:
    """alpha serves, beta follows, there is a receipt."""
    scenario = replace(
        draw_roles(seed, frozenset()), members=TREES[2], beat_seconds=5.0, cadence_seconds=30.0,
        latency_seconds=0.02, write_seconds=write_seconds, window_seconds=1200.0, honest=honest,
        starts_by_itself=True,
    )  # fmt: skip
    site = RoleSite(scenario)
    site.begin()
    wait(site, 100)
    assert (stands(site.alpha), stands(site.beta)) == (State.PRIMARY, State.STANDBY)
    site.people.ask_receipt()
    wait(site, 30)
    assert site.truth.receipts
    return site


def stands(node: SimRoleNode) -> State:
    return node.state


def wait(site: RoleSite, seconds: float) -> None:
    site.loop.run_until(site.loop.now + seconds)
    assert not site.watch.violations


def end(site: RoleSite) -> None:
    """Everything is well again, and every checker looks."""
    for node in (site.alpha, site.beta):
        node.dead = False
        node.start_again()
    report = site.finish()
    assert report.ok, (report.violations, report.trace[-40:])


def ordered(site: RoleSite, node: SimRoleNode, order: Order) -> str:
    """The answer."""
    before = dict(site.watch.seen)
    assert site.people.order(node, order)
    wait(site, 20)
    answers = [
        what
        for what, count in site.watch.seen.items()
        if what.startswith(f"{order}: ") and count != before.get(what, 0)
    ]
    return answers[-1].partition(": ")[2] if answers else ""


def die(site: RoleSite, node: SimRoleNode) -> None:
    node.dead = True
    node.crash(LONG_SECONDS)
    wait(site, 60)


def force(site: RoleSite, node: SimRoleNode) -> None:
    site.people.force(node, DICE, honest=False)
    wait(site, 120)


def rescues(node: SimRoleNode) -> int:
    datasets = node.machine.pools.pools[node.machine.pool].datasets
    return sum("/zr-rescue/" in name and bool(d.snapshots) for name, d in datasets.items())


def test_01_alpha_loses_power() -> None:
    site = begun()
    die(site, site.alpha)
    wait(site, 600)
    assert stands(site.beta) not in SERVING, "nobody has asked for it"
    assert ordered(site, site.beta, Order.PROMOTE) == "statement-needed"
    force(site, site.beta)
    assert stands(site.beta) is State.PRIMARY_ALONE
    assert "beta" in site.link.owners[ADDRESS]
    end(site)


def test_02_alpha_returns_with_a_tail() -> None:
    site = begun()
    site.wire.cut = {"alpha": 1, "beta": 1}
    wait(site, 200)
    die(site, site.alpha)
    site.wire.cut = {"alpha": 0, "beta": 0}
    force(site, site.beta)
    end(site)
    assert rescues(site.alpha)
    assert site.watch.seen["rescue shipped"]
    assert stands(site.beta) is State.PRIMARY, "no failback by itself"


def test_04_a_symmetric_partition() -> None:
    site = begun()
    site.wire.cut = {"alpha": 1, "beta": 1}
    wait(site, 1000)
    assert stands(site.alpha) is State.PRIMARY_ALONE
    assert stands(site.beta) not in SERVING
    receipts = len(site.truth.receipts)
    site.people.ask_receipt()
    wait(site, 100)
    assert len(site.truth.receipts) == receipts
    site.wire.cut = {"alpha": 0, "beta": 0}
    end(site)
    assert len(site.alpha.memory.lineage) == 1


@pytest.mark.parametrize("speaker", ["alpha", "beta"])
def test_10_only_one_direction_works(speaker: str) -> None:
    site = begun()
    site.wire.cut[speaker] = 1
    wait(site, 600)
    assert stands(site.alpha) is State.PRIMARY_ALONE
    assert stands(site.beta) not in SERVING
    site.wire.cut[speaker] = 0
    end(site)
    assert len(site.alpha.memory.lineage) == 1


def test_11_the_primarys_daemon_stands_still_and_goes_on() -> None:
    stand_still(whole_machine=False)


def test_12_the_primarys_machine_stands_still_and_goes_on() -> None:
    stand_still(whole_machine=True)


def stand_still(*, whole_machine: bool) -> None:
    site = begun(honest=False)
    site.alpha.frozen += 1
    site.alpha.machine.paused += whole_machine
    wait(site, 60)
    force(site, site.beta)
    assert stands(site.beta) is State.PRIMARY_ALONE
    site.alpha.machine.paused = 0
    site.alpha.thaw()
    end(site)
    assert stands(site.beta) is State.PRIMARY
    assert site.watch.seen["row overtaken"]
    assert rescues(site.alpha), "what it wrote meanwhile is kept"


@pytest.mark.parametrize("seconds", [3600.0, -3600.0, 86_400.0, -86_400.0])
def test_13_the_clock_jumps(seconds: float) -> None:
    site = begun()
    for node in (site.alpha, site.beta):
        node.machine.clock.wrong_by_seconds = seconds
        wait(site, 200)
    end(site)
    assert len(site.alpha.memory.lineage) == 1
    assert stands(site.alpha) is State.PRIMARY


def test_14_both_lose_power_and_beta_starts_first() -> None:
    site = begun()
    site.alpha.crash(600.0)
    site.beta.crash(30.0)
    wait(site, 400)
    assert stands(site.beta) is State.UNKNOWN
    assert not site.watch.writers.is_open(site.beta)
    wait(site, 300)
    assert stands(site.alpha) is State.PRIMARY
    end(site)


def test_15_only_beta_comes_back_and_alphas_disks_later() -> None:
    site = begun()
    site.beta.crash(30.0)
    die(site, site.alpha)
    wait(site, 100)
    force(site, site.beta)
    assert stands(site.beta) is State.PRIMARY_ALONE
    end(site)
    assert stands(site.beta) is State.PRIMARY


def test_18_beta_loses_power_while_it_receives_then_alpha_dies() -> None:
    site = begun()
    site.wire.cuts_streams = 1
    wait(site, 100)
    site.beta.crash(20.0)
    wait(site, 60)
    partial = [d.partial for d in site.beta.machine.pools.pools["back"].datasets.values()]
    assert any(partial), "something was half received"
    die(site, site.alpha)
    site.wire.cuts_streams = 0
    force(site, site.beta)
    assert stands(site.beta) is State.PRIMARY_ALONE
    end(site)


def test_19_half_of_the_group_was_received() -> None:
    site = begun()
    site.wire.loses = "tank/db"
    wait(site, 200)
    die(site, site.alpha)
    site.wire.loses = ""
    report = site.people.report(site.beta)
    assert "tank/data" in report.ahead
    force(site, site.beta)
    assert stands(site.beta) is State.PRIMARY_ALONE
    assert rescues(site.beta), "what was ahead is kept"
    end(site)


def test_26_somebody_writes_on_the_standby() -> None:
    site = begun()
    place = site.beta.members["tank/data"]
    site.beta.machine.write("tank/data", place, site.truth)
    end(site)
    assert stands(site.alpha) is State.PRIMARY
    assert rescues(site.beta)


def test_26_somebody_writes_on_the_standby_in_the_minute_of_a_switchover() -> None:
    """Handed over to, it would have to keep its own first, from a primary that is none any more."""
    site = begun(write_seconds=LONG_SECONDS)  # or the final snapshots would not fit there
    site.people.order(site.alpha, Order.SWITCHOVER)
    while site.beta.memory.intent is None:
        wait(site, 0.05)
        assert site.loop.now < 300
    assert stands(site.alpha) is State.DRAINING
    place = site.beta.members["tank/data"]
    site.beta.machine.write("tank/data", place, site.truth)
    wait(site, 120)
    assert stands(site.alpha) is State.PRIMARY
    end(site)
    assert rescues(site.beta)


def test_27_the_standby_is_rolled_back() -> None:
    site = begun()
    found = site.beta.machine.pools.dataset(site.beta.members["tank/data"])
    found.snapshots.pop()
    found.files, found.changed_txg = found.snapshots[-1].files, found.snapshots[-1].createtxg
    end(site)
    assert stands(site.alpha) is State.PRIMARY


def test_28_promote_on_the_wrong_host() -> None:
    site = begun()
    assert ordered(site, site.alpha, Order.PROMOTE) == "already-primary"
    assert ordered(site, site.beta, Order.SWITCHOVER) == "not-primary"
    end(site)


def test_29_promoted_twice_and_on_both() -> None:
    site = begun(honest=False)
    site.people.order(site.alpha, Order.SWITCHOVER)
    wait(site, 60)
    assert stands(site.beta) in SERVING
    site.wire.cut = {"alpha": 1, "beta": 1}
    site.beta.crash(200.0)
    wait(site, 100)
    force(site, site.alpha)
    assert ordered(site, site.alpha, Order.FORCE) == "already-primary"
    wait(site, 200)
    site.somebody_lied = True  # who says that alpha was not promoted is wrong
    assert ordered(site, site.beta, Order.CONTINUE) == "done"
    assert stands(site.alpha) in SERVING
    assert stands(site.beta) in SERVING, "both were told to, by somebody who was wrong"
    site.wire.cut = {"alpha": 0, "beta": 0}
    end(site)


def test_30_forced_while_alpha_lives() -> None:
    site = begun(honest=False)
    before = site.watch.seen["force: peer-alive"]
    force(site, site.beta)
    assert site.watch.seen["force: peer-alive"] == before + 1
    assert stands(site.alpha) is State.PRIMARY
    end(site)


def test_34_the_link_flaps() -> None:
    site = begun()
    for turn in range(120):
        site.wire.cut = {"alpha": turn % 2, "beta": turn % 2}
        wait(site, 5)
    assert len(site.alpha.memory.lineage) == 1
    site.wire.cut = {"alpha": 0, "beta": 0}
    end(site)
    assert stands(site.alpha) is State.PRIMARY


def test_35_betas_disk_is_full() -> None:
    site = begun()
    pool = site.beta.machine.pools.pools["back"]
    size, pool.size_bytes = pool.size_bytes, pool.used_bytes()
    wait(site, 300)
    assert stands(site.alpha) in SERVING
    pool.size_bytes = size
    end(site)


def test_36_alphas_pool_is_suspended() -> None:
    site = begun()
    pool = site.alpha.machine.pools.pools["tank"]
    pool.health = "SUSPENDED"
    wait(site, 200)
    assert stands(site.alpha) is State.FAULTED
    assert site.alpha.machine.host.services["radio", "studio"].state is ServiceState.STOPPED
    pool.health = "ONLINE"
    end(site)
    assert stands(site.alpha) is State.PRIMARY


def test_43_there_and_back_again() -> None:
    site = begun()
    for node in (site.alpha, site.beta):
        assert ordered(site, node, Order.SWITCHOVER) == "done"
        wait(site, 100)
        assert stands(node.peer) is State.PRIMARY
    end(site)
    assert len(site.alpha.memory.lineage) == 3
    assert not rescues(site.alpha)
    assert not rescues(site.beta), "nothing was left behind"


def test_44_nothing_was_written_meanwhile() -> None:
    site = begun()
    site.writing = False
    wait(site, 100)
    die(site, site.alpha)
    force(site, site.beta)
    end(site)
    assert stands(site.beta) is State.PRIMARY
    assert not rescues(site.alpha)


def test_45_alphas_journal_is_lost() -> None:
    site = begun()
    site.alpha.crash(30.0)
    site.alpha.journal = type(site.alpha.journal)(site.alpha.machine.clock, as_values=True)
    site.alpha.memory = Memory(site.alpha.here.uuid)
    site.watch.epochs.forget(site.alpha)
    wait(site, 300)
    assert stands(site.alpha) not in SERVING, "it does not guess"
    assert recall(site.beta.memory) is Record.STANDBY
    assert not site.watch.writers.is_open(site.alpha)
    die(site, site.alpha)
    force(site, site.beta)
    end(site)
    assert stands(site.beta) is State.PRIMARY
