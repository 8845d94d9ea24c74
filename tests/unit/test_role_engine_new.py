"""A member that is made on the other node while the founder follows: it is not on the founder yet,
and its first stream needs a right above it."""

from dataclasses import replace

from tests.unit.role_engine_support import Machine, Site, founded
from zrepl_py.engine.role_tree import find_roots
from zrepl_py.model.roles import Order, State


def switched() -> Site:
    """beta serves, alpha follows."""
    site = founded(("tank/services/a", "tank/db"))
    site.alpha.order(Order.SWITCHOVER)
    site.rest()
    assert [state_of(m) for m in site.machines] == [State.STANDBY, State.PRIMARY]
    return site


def state_of(machine: Machine) -> State:
    assert machine.node is not None
    return machine.node.state


def make(site: Site, member: str) -> None:
    """It is made on beta, and is a member with the next tick."""
    place = f"tank/zr/alpha/{member}"
    if site.beta.pools.find(place.rpartition("/")[0]) is None:
        site.beta.zfs.create_placeholder(place.rpartition("/")[0])
    site.beta.pools.make_dataset(place, properties={"mountpoint": f"/{member}", "canmount": "on"})
    for machine, own in ((site.alpha, member), (site.beta, place)):
        node = machine.node
        assert node is not None
        machine.members = {**node.group.members, member: own}
        below = find_roots(machine.members.values())
        if machine is site.beta:
            below = node.group.receive_below
        node.group = replace(node.group, members=machine.members, receive_below=below)
        node.rest = None
    site.beta.reflect()
    for _ in range(3):
        site.round(writes=True)
    site.rest()


def test_what_is_above_a_new_one_has_the_right_until_it_is_here() -> None:
    site = switched()
    make(site, "tank/services/b")
    assert site.alpha.pools.find("tank/services/b") is not None
    datasets = site.alpha.datasets
    assert datasets.observe_receive_right("tank/services/b")
    assert not datasets.may_make, "and it was given up again"
    assert not datasets.observe_receive_right("tank/services")
    assert [state_of(m) for m in site.machines] == [State.STANDBY, State.PRIMARY]
    site.beta.order(Order.SWITCHOVER)
    site.rest()
    assert [state_of(m) for m in site.machines] == [State.PRIMARY, State.STANDBY]
    assert not datasets.may_receive


def test_one_below_a_folder_that_is_not_here_either() -> None:
    site = switched()
    make(site, "tank/new/one")
    assert site.alpha.pools.find("tank/new/one") is not None
    assert not site.alpha.datasets.observe_receive_right("tank/new")


def test_directly_below_the_pool_it_waits_for_a_person_and_the_turns_go_on() -> None:
    site = switched()
    make(site, "tank/new")
    assert site.alpha.pools.find("tank/new") is None
    assert not site.alpha.datasets.observe_receive_right("tank"), "never the pool's own dataset"
    assert state_of(site.alpha) in (State.STANDBY, State.CATCHING_UP)
    assert site.alpha.datasets.observe_receive_right("tank/db"), "the others go on"
    assert site.alpha.turn() is not None
