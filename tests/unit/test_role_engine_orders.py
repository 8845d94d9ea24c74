"""Orders that the engine answers itself: what comes first of several reasons against one."""

import pytest

from tests.unit.role_engine_support import GROUP, SERVICE, Site, founded
from tests.unit.test_role_engine import nodes, states, turn
from zrepl_py.daemon.role_orders import Orders
from zrepl_py.errors import Standing
from zrepl_py.model.host import ServiceState
from zrepl_py.model.roles import Order, State


def test_only_the_policys_source_founds() -> None:
    """The copy must not get the first epoch: the original would be closed, and follow it."""
    site = Site()
    for machine in site.machines:
        machine.start()
    site.rest()
    assert states(site) == (State.INIT, State.INIT)
    nodes(site)[1].give(Order.BEGIN, who="anna")
    refusal = turn(site.beta).refusal
    assert refusal is not None
    assert refusal.reason == "wrong-node"
    assert states(site) == (State.INIT, State.INIT)
    assert nodes(site)[1].order is Order.NONE


def test_a_forced_order_on_a_primary_hears_the_table_before_its_statement() -> None:
    site = founded()
    nodes(site)[0].give(Order.FORCE, "2001-01-01T00:00:00Z", "anna")
    refusal = turn(site.alpha).refusal
    assert refusal is not None
    assert refusal.reason == "already-primary"


def test_the_first_order_waits_until_the_other_node_was_heard() -> None:
    """Typed right after the first copy: not yet known is no refusal."""
    site = Site()
    site.alpha.start()
    assert site.alpha.node is not None
    site.alpha.node.give(Order.BEGIN, who="anna")
    waited = turn(site.alpha)
    assert (waited.refusal, waited.moved) == (None, False)
    assert site.alpha.node.state is State.UNKNOWN
    assert site.alpha.node.order is Order.BEGIN
    site.beta.start()
    site.rest()
    assert states(site) == (State.PRIMARY, State.STANDBY)


def test_the_first_order_is_refused_where_there_was_a_primary() -> None:
    site = founded()
    for machine in site.machines:
        machine.stop()
    site.alpha.start()
    assert site.alpha.node is not None
    site.alpha.node.give(Order.BEGIN, who="anna")
    refusal = turn(site.alpha).refusal
    assert site.alpha.node.state is State.UNKNOWN
    assert refusal is not None
    assert refusal.reason == "roles-exist"


def test_a_switchover_to_a_node_whose_mount_point_is_in_use_stops_nothing() -> None:
    """Somebody wrote into the empty directory on the standby: neither node could serve."""
    site = founded()
    site.beta.datasets.occupied = {"/tank/db"}
    site.alpha.order(Order.SWITCHOVER)
    for _ in range(3):
        turn(site.alpha)
        with pytest.raises(Standing, match=r"/tank/db, where tank/zr/alpha/tank/db is to be"):
            turn(site.beta)
        assert site.alpha.host.services[GROUP, SERVICE].state is ServiceState.RUNNING
        assert site.alpha.can_write()
    site.beta.datasets.occupied.clear()
    site.rest()
    assert states(site) == (State.STANDBY, State.PRIMARY)


def test_a_switchover_of_a_member_whose_mount_point_is_not_known_stops_nothing() -> None:
    """Its original inherits it from a dataset that is not in the group: nothing was carried."""
    site = founded()
    place = site.beta.pools.dataset(site.beta.members["tank/db"])
    del place.local["zr:orig:mountpoint"]
    site.alpha.order(Order.SWITCHOVER)
    turn(site.alpha)
    with pytest.raises(Standing, match="is not known") as refused:
        turn(site.beta)
    assert refused.value.reason == "mountpoint-unknown"
    assert site.alpha.can_write()
    place.local["mountpoint"] = "/tank/db"
    site.rest()
    assert states(site) == (State.STANDBY, State.PRIMARY)


def test_a_switchover_to_a_node_that_lacks_a_key_stops_nothing_and_does_not_happen() -> None:
    """The standby takes its keys before it agrees: until then the primary serves on."""
    site = Site()
    site.alpha.pools.dataset("tank/db").encrypted = True
    for machine in site.machines:
        machine.start()
    site.rest()
    site.alpha.order(Order.BEGIN)
    site.rest(until=lambda: states(site) == (State.PRIMARY, State.STANDBY))
    site.beta.datasets.key_at_hand = False
    site.alpha.order(Order.SWITCHOVER)
    for _ in range(5):
        turn(site.alpha)
        with pytest.raises(Standing, match="key"):
            turn(site.beta)
        assert nodes(site)[0].state is State.DRAINING
        assert site.alpha.host.services[GROUP, SERVICE].state is ServiceState.RUNNING
        assert site.alpha.can_write()
    site.clock.advance(100.0)
    assert turn(site.alpha).what == "switchover-failed"
    assert nodes(site)[0].state is State.PRIMARY
    site.beta.datasets.key_at_hand = True
    for _ in range(3):
        site.round(writes=True)
    assert states(site) == (State.PRIMARY, State.STANDBY)
    site.alpha.order(Order.SWITCHOVER)
    site.rest()
    assert states(site) == (State.STANDBY, State.PRIMARY)


def test_a_standby_that_somebody_writes_to_is_handed_nothing_and_the_command_says_so() -> None:
    """It has to keep first what only it has, from a primary: there has to be one still."""
    site = founded()
    orders = Orders()
    orders.begin(Order.SWITCHOVER, "", "anna", 0.0)
    orders.give(nodes(site)[0])
    orders.note_turn(nodes(site)[0], turn(site.alpha), None, 0.0)
    assert turn(site.beta).what == "note-intent"
    site.beta.pools.write(site.beta.members["tank/db"], "stray", b"stray")
    turn(site.beta)
    assert states(site) == (State.DRAINING, State.DIVERGED)
    orders.note_turn(nodes(site)[0], turn(site.alpha), None, 1.0)
    assert states(site) == (State.PRIMARY, State.DIVERGED)
    refusal = orders.known[0].refusal
    assert refusal is not None
    assert refusal.reason == "switchover-failed"
    assert "beta does not follow: it is diverged." in str(refusal)
    site.rest()
    assert states(site) == (State.PRIMARY, State.STANDBY)
    site.check_nothing_lost()
