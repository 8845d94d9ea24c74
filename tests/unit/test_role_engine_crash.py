"""The power goes before, within and after everything that a change of roles does, on either node.

Between two effects there are only looks: so a crash before one is a crash after the one before it,
and is tried once, in the switchover. What must be true then: never two that can write, nothing that
was written is nowhere, and the same end.
"""

import re
from collections.abc import Callable

import pytest

from tests.unit.role_engine_support import GROUP, SERVICE, Machine, Site, founded
from zrepl_py.core.lineage import recall
from zrepl_py.model.host import AddressState, ServiceState
from zrepl_py.model.roles import Order, Record, State

pytestmark = pytest.mark.long
HOW = ("before", "after", "lost", "kept")
NO_EFFECT = 1000


def check_end(site: Site) -> Machine:
    """One primary that serves, one standby that has the same; nothing is lost."""
    by_state = {m.node.state: m for m in site.machines if m.node is not None}
    assert by_state.keys() == {State.PRIMARY, State.STANDBY}, by_state.keys()
    primary, standby = by_state[State.PRIMARY], by_state[State.STANDBY]
    assert primary.can_write()
    assert not standby.can_write()
    assert primary.host.services[GROUP, SERVICE].state is ServiceState.RUNNING
    assert standby.host.services[GROUP, SERVICE].state is ServiceState.STOPPED
    assert primary.host.observe_address(GROUP).state is AddressState.HERE
    assert standby.host.observe_address(GROUP).state is AddressState.ABSENT
    primary.tick()
    site.rest()
    assert primary.served() == standby.served()
    assert standby.datasets.may_receive
    assert not primary.datasets.may_receive
    for machine in site.machines:
        assert machine.node is not None
        assert machine.node.memory.intent is None
    site.check_nothing_lost()
    return primary


def switchover(cut: Callable[[Site], None]) -> tuple[Site, Machine]:
    """alpha hands over to beta; the power goes where `cut` says, and comes back soon."""
    site = founded()
    written = site.alpha.served()
    assert site.alpha.node is not None
    site.alpha.write()  # after the last tick
    written |= site.alpha.served()
    site.alpha.node.give(Order.SWITCHOVER)
    cut(site)
    site.rest(until=lambda: any(m.node is None for m in site.machines))
    for _ in range(3):
        site.round()
    site.restart_what_is_off()
    site.rest()
    primary = check_end(site)
    assert written <= primary.served(), "a switchover loses nothing"
    return site, primary


def cutting(name: str, effect: int, how: str) -> Callable[[Site], None]:
    def cut(site: Site) -> None:
        machine = next(m for m in site.machines if m.here.name == name)
        machine.cut = (machine.effects + effect, how)

    return cut


@pytest.mark.parametrize("name", ["alpha", "beta"])
@pytest.mark.parametrize("how", HOW)
def test_a_switchover_cut_anywhere(name: str, how: str) -> None:
    ends = []
    for effect in range(1, NO_EFFECT):
        site, primary = switchover(cutting(name, effect, how))
        if sum(m.boots for m in site.machines) == 2:
            break  # there are not so many
        ends.append(primary.here.name)
    assert len(ends) > (10 if how in ("before", "after") else 3)
    if name == "alpha":
        assert ends == sorted(ends), "before the commit alpha, after it beta"


def promotion(cut: Callable[[Site], None]) -> tuple[Site, Machine]:
    """alpha dies with a tail, beta is promoted, alpha comes back."""
    site = founded()
    site.alpha.write()
    site.alpha.lose_power()
    assert site.beta.node is not None
    for _ in range(2):
        site.round()
    site.beta.node.give(Order.FORCE, who="anna")
    cut(site)
    site.rest(until=lambda: not site.beta.on)
    if not site.beta.on:
        site.beta.start()
        site.rest()
        assert site.beta.node is not None
        if site.beta.node.state is State.UNKNOWN:
            took = recall(site.beta.node.memory) in (Record.PRIMARY, Record.PROMOTING)
            site.beta.node.give(Order.CONTINUE if took else Order.FORCE, who="anna")
        site.rest()
    site.round(writes=True)
    site.alpha.start()
    site.rest(until=lambda: any(m.node is None for m in site.machines))
    site.restart_what_is_off()
    site.rest()
    primary = check_end(site)
    assert primary is site.beta
    tail = set(site.alpha.writes) - primary.served()
    assert len(tail) == len(site.alpha.members)
    assert tail <= site.alpha.kept(), "the tail is set aside"
    assert tail <= site.beta.kept(), "and shipped"
    return site, primary


@pytest.mark.parametrize("name", ["alpha", "beta"])
@pytest.mark.parametrize("how", HOW[1:])
def test_a_promotion_and_a_rejoin_cut_anywhere(name: str, how: str) -> None:
    cuts = 0
    for effect in range(1, NO_EFFECT):
        site, _ = promotion(cutting(name, effect, how))
        if sum(m.boots for m in site.machines) == 3:
            break
        cuts = effect
    assert cuts > (15 if how == "after" else 1)


def standby_written(cut: Callable[[Site], None]) -> Site:
    """Somebody wrote on the standby; it sets that aside, and follows again."""
    site = founded()
    site.beta.pools.write(site.beta.members["tank/audio"], "w999", b"where it does not belong")
    site.beta.writes.append("w999")
    cut(site)
    site.rest(until=lambda: not site.beta.on)
    site.round()
    site.restart_what_is_off()
    site.rest()
    assert check_end(site) is site.alpha
    assert "w999" not in site.alpha.served()
    return site


def one_ahead(cut: Callable[[Site], None]) -> Site:
    """A promotion of a group of which one member has come further than the tick."""
    site = founded()
    alpha, beta = (site.wire.ends[m.here.uuid] for m in site.machines)
    assert alpha.node is not None
    assert beta.node is not None
    site.alpha.write()
    site.wire.up = False
    site.alpha.tick()
    site.wire.up = True
    site.alpha.lanes._send("tank/db", alpha, alpha.node, beta, beta.node)
    site.alpha.lose_power()
    site.rest()
    site.beta.order(Order.FORCE)
    cut(site)
    site.rest(until=lambda: not site.beta.on)
    if not site.beta.on:
        site.beta.start()
        site.rest()
        took = recall(beta.node.memory) in (Record.PRIMARY, Record.PROMOTING)
        site.beta.order(Order.CONTINUE if took else Order.FORCE)
        site.rest()
    site.alpha.start()
    site.restart_what_is_off()
    site.rest(300)
    assert check_end(site) is site.beta
    return site


@pytest.mark.parametrize("how", ["after"])
@pytest.mark.parametrize("flow", [standby_written, one_ahead], ids=lambda flow: flow.__name__)
def test_a_rescue_on_the_standby_cut_anywhere(
    flow: Callable[[Callable[[Site], None]], Site], how: str
) -> None:
    whole = flow(lambda site: None)
    cuts = 0
    for effect in range(1, NO_EFFECT):
        site = flow(cutting("beta", effect, how))
        assert shape(site) == shape(whole), effect
        if site.beta.boots == 1:
            break
        cuts = effect
    assert cuts > 8


def shape(site: Site) -> set[str]:
    """Names of all datasets, without what is random in them."""
    label = re.compile(r"\d+-[0-9a-f]{8}-[0-9a-f]{8}")
    return {
        f"{machine.here.name}:{label.sub('LABEL', name)}"
        for machine in site.machines
        for name in machine.pools.pools["tank"].datasets
    }
