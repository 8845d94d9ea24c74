"""More scenarios of research/failover.md §5.2, by their numbers: power lost at any step, programs
that do not let go, names and keys that are missing, two versions. As those in
test_role_scenarios.py, each ends with every checker."""

from dataclasses import replace

import pytest

from tests.simulation.role_machine import OTHER_NAMESPACE
from tests.simulation.role_node import SimRoleNode
from tests.simulation.role_site import RoleSite
from tests.simulation.test_role_scenarios import (
    ADDRESS,
    SERVING,
    begun,
    die,
    end,
    force,
    ordered,
    rescues,
    stands,
    wait,
)
from zrepl_py.core.role_words import judge_stream
from zrepl_py.errors import Passing, Refused, Standing
from zrepl_py.model.host import Holding, ServiceState
from zrepl_py.model.roles import Order, State

pytestmark = [pytest.mark.scenario, pytest.mark.long]
STEPS = range(3, 200, 12)
"""Commands of a node after which its power goes: tests/unit/test_role_engine_crash.py has each."""


def kill(node: SimRoleNode, command: int, how: str) -> None:
    node.crash_in, node.crash_as = command, how


@pytest.mark.parametrize("name", ["alpha", "beta"])
@pytest.mark.parametrize("how", ["before", "after"])
def test_16_killed_at_a_step_of_a_switchover(name: str, how: str) -> None:
    ends = set()
    for command in STEPS:
        site = begun()
        kill(site.alpha if name == "alpha" else site.beta, command, how)
        site.people.order(site.alpha, Order.SWITCHOVER)
        wait(site, 600)
        end(site)
        ends.add(stands(site.beta))
    assert ends <= {State.PRIMARY, State.STANDBY}


@pytest.mark.parametrize("name", ["alpha", "beta"])
@pytest.mark.parametrize("how", ["before", "after"])
def test_17_killed_at_a_step_of_a_promotion_or_of_the_rejoin(name: str, how: str) -> None:
    for command in STEPS:
        site = begun()
        site.wire.cut = {"alpha": 1, "beta": 1}
        wait(site, 60)
        die(site, site.alpha)
        site.wire.cut = {"alpha": 0, "beta": 0}
        if name == "beta":
            kill(site.beta, command, how)
        force(site, site.beta)
        wait(site, 1500)
        if stands(site.beta) not in SERVING:
            order = Order.CONTINUE if site.beta.memory.head != site.alpha.memory.head else None
            if order is None:
                force(site, site.beta)
            else:
                assert ordered(site, site.beta, order) == "done"
        wait(site, 100)
        assert stands(site.beta) is State.PRIMARY_ALONE
        site.alpha.dead = False
        site.alpha.start_again()
        if name == "alpha":
            kill(site.alpha, command, how)
            wait(site, 900)
        end(site)
        assert stands(site.beta) is State.PRIMARY
        assert rescues(site.alpha)


def holds_on(site: RoleSite, way: Holding, *, namespace: int = 1, kill_helps: bool = True) -> int:
    """A program of alpha's keeps a member in use, and heeds no polite word."""
    held = {"tank/data": {way: "f"}}
    process = site.alpha.machine.host.add_program(
        "stays", held, namespace=namespace, heeds_term=False, heeds_kill=kill_helps
    )
    return process.pid


def check_switched(site: RoleSite, pid: int) -> None:
    """The program is ended, and nothing of it is written later than the final snapshots."""
    assert ordered(site, site.alpha, Order.SWITCHOVER) == "done"
    wait(site, 100)
    assert pid not in site.alpha.machine.host.programs
    assert stands(site.beta) is State.PRIMARY
    end(site)
    assert not rescues(site.alpha), "the final snapshots had everything"


def check_taken_back(site: RoleSite) -> None:
    """What cannot be closed is not handed over."""
    assert ordered(site, site.alpha, Order.SWITCHOVER) == "done"
    wait(site, 300)
    assert stands(site.alpha) is State.PRIMARY
    assert len(site.alpha.memory.lineage) == 1
    site.alpha.machine.host.programs.clear()
    end(site)


def test_20_a_program_stands_in_a_dataset() -> None:
    site = begun()
    check_switched(site, holds_on(site, Holding.CWD))


def test_20_a_program_that_nothing_ends_stands_in_a_dataset() -> None:
    site = begun()
    holds_on(site, Holding.CWD, kill_helps=False)
    check_taken_back(site)


def test_21_a_mapped_file_is_written_through_readonly() -> None:
    site = begun()
    check_switched(site, holds_on(site, Holding.MAPS))


def test_21_a_mapped_file_that_nothing_unmaps() -> None:
    site = begun()
    holds_on(site, Holding.MAPS, kill_helps=False)
    check_taken_back(site)


def test_22_a_container_has_the_file_system_in_a_namespace_of_its_own() -> None:
    site = begun()
    site.alpha.machine.host.add_mount("tank/data", OTHER_NAMESPACE, "/data")
    check_switched(site, holds_on(site, Holding.FD, namespace=OTHER_NAMESPACE))


def test_23_somebody_has_unmounted_lazily() -> None:
    site = begun()
    pid = holds_on(site, Holding.FD)
    site.alpha.machine.host.unmount_lazily("tank/data")
    site.alpha.machine.absorb()
    check_switched(site, pid)


def test_24_a_stale_alpha_sends_to_a_promoted_idle_beta() -> None:
    site = begun(honest=False)
    site.wire.cut = {"alpha": 1, "beta": 1}
    wait(site, 60)
    site.writing = False
    force(site, site.beta)
    assert stands(site.beta) is State.PRIMARY_ALONE
    old, role = site.alpha.memory.head, site.beta.role
    assert old is not None
    assert role is not None
    place = site.beta.members["tank/data"]
    before = [v.guid for v in site.beta.machine.pools.dataset(place).snapshots]
    with pytest.raises(Standing, match="may not receive"):
        site.beta.lane.check_right(f"{place}@x")  # by hand, as the receiving user: the kernel
    with pytest.raises((Refused, Passing)):
        judge_stream(role.state, role.memory, site.alpha.here.uuid, old.epoch)  # by zr
    assert [v.guid for v in site.beta.machine.pools.dataset(place).snapshots] == before
    site.writing = True
    site.wire.cut = {"alpha": 0, "beta": 0}
    end(site)
    assert stands(site.beta) is State.PRIMARY


def test_32_somebody_else_has_the_address_still() -> None:
    site = begun()
    die(site, site.alpha)
    owners = site.link.owners[ADDRESS]
    owners.add("alphas-network-card")
    force(site, site.beta)
    assert stands(site.beta) is State.PRIMARY_ALONE, "the data are served, the address is not"
    assert owners == {"alphas-network-card"}
    owners.clear()
    wait(site, 60)
    assert owners == {"beta"}
    end(site)


def test_38_the_keys_are_missing_on_beta() -> None:
    site = begun()
    die(site, site.alpha)
    found = site.beta.machine.pools.dataset(site.beta.members["tank/data"])
    below = site.beta.machine.pools.dataset(site.beta.members["tank/data/raw"])
    for dataset in (found, below):
        dataset.encrypted, dataset.key_loaded = True, dataset is below
    site.beta.machine.datasets.key_at_hand = False
    force(site, site.beta)
    assert stands(site.beta) is State.PROMOTING, "it waits for the key"
    assert site.watch.seen["turn failed: key-missing"]
    assert not site.watch.writers.is_open(site.beta)
    assert site.beta.machine.host.services["radio", "studio"].state is not ServiceState.RUNNING
    found.key_loaded = True  # a person has typed it
    wait(site, 60)
    assert stands(site.beta) is State.PRIMARY_ALONE
    for dataset in (found, below):
        dataset.encrypted = False
    end(site)


@pytest.mark.parametrize("after", [1.0, 7.0, 14.0, 21.0])
def test_39_a_dataset_is_renamed_while_it_is_handed_over(after: float) -> None:
    """Nothing of it is destroyed on the other node, and no half of a group is served."""
    site = begun()
    pools = site.alpha.machine.pools
    site.people.order(site.alpha, Order.SWITCHOVER)
    wait(site, after)
    found = pools.find("tank/db")
    if found is not None:
        pools.rename("tank/db", "tank/other")
        site.alpha.machine.reflect()
    wait(site, 200)
    replica = site.beta.machine.pools.find(site.beta.members["tank/db"])
    assert replica is not None
    assert replica.snapshots
    pools.rename("tank/other", "tank/db")
    site.alpha.machine.reflect()
    end(site)


def test_39_a_dataset_is_destroyed_on_the_primary() -> None:
    """It stops, and says so: its replica is whole, and a person decides."""
    site = begun()
    site.people.ask_receipt()
    wait(site, 60)
    replica = site.beta.machine.pools.dataset(site.beta.members["tank/db"])
    kept = [v.guid for v in replica.snapshots]
    datasets = site.alpha.machine.pools.pools["tank"].datasets
    gone = datasets.pop("tank/db")
    site.alpha.machine.reflect()
    wait(site, 60)
    assert stands(site.alpha) is State.FAULTED
    assert stands(site.beta) not in SERVING
    assert [v.guid for v in replica.snapshots][: len(kept)] == kept
    datasets["tank/db"] = gone  # somebody has brought the pool back to before
    site.alpha.machine.reflect()
    end(site)


def test_42_containers_start_by_themselves_on_the_standby() -> None:
    """restart: always; the gate is closed, so nothing of theirs lands."""
    site = begun()
    written = len(site.truth.writes)
    service = site.beta.machine.host.services["radio", "studio"]
    site.beta.crash(30.0)
    wait(site, 31)
    assert site.beta.machine.on
    assert not site.watch.writers.is_open(site.beta)
    wait(site, 100)
    assert service.state is ServiceState.STOPPED
    assert all(w.node == "alpha" for w in site.truth.writes[written:])
    end(site)


@pytest.mark.parametrize("differs", ["stream_flags", "authority"])
def test_47_the_two_nodes_run_different_versions(differs: str) -> None:
    """What does not fit is said, and neither streams nor a switchover come of it."""
    site = begun()
    role = site.beta.role
    assert role is not None
    same, older = role.group, frozenset({"large_blocks"})
    if differs == "stream_flags":
        role.group = replace(same, stream_flags=older)
    else:
        role.group = replace(same, authority="witness")
    wait(site, 60)
    assert stands(site.alpha) is State.PRIMARY_ALONE
    assert ordered(site, site.alpha, Order.SWITCHOVER) == "standby-unfit"
    receipts = len(site.truth.receipts)
    site.people.ask_receipt()
    wait(site, 100)
    assert len(site.truth.receipts) == receipts
    role.group = same
    end(site)
    assert stands(site.alpha) is State.PRIMARY
