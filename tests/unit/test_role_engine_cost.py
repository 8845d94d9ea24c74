"""How many commands and processes do a change of roles, and a quiet turn, cost? Thirty datasets
must not cost thirty times as much. The bounds are a little above what was counted."""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.unit.role_engine_support import LOOKS, Machine, Site, founded
from tests.unit.test_roles_table import decisions
from zrepl_py.engine.role_glance import WHOLE_SECONDS
from zrepl_py.model.host import MountSeen
from zrepl_py.model.roles import Advance, Claim, Order, State, Verdict

pytestmark = pytest.mark.long

MANY = tuple(f"tank/m{number:02}" for number in range(30))
FORKS = {
    "observe_trees": 1, "observe_histories": 1, "mount": 2,
    "restore_properties": 7, "set_gate": 7, "observe_receive_right": 1, "forbid_receive": 3,
    "allow_receive": 2, "rename": 4, "clone": 5, "promote": 3, "copy_properties": 4,
    "snapshot_tree": 4, "observe_service": 1, "start_service": 2, "stop_service": 2,
}  # fmt: skip
"""What the adapters start for each, of thirty members (adapters/zfs/tree*.py, rights.py;
systemctl)."""


def forks(asked: Counter[str]) -> int:
    return sum(FORKS.get(verb, 0) * count for verb, count in asked.items())


def counted(machine: Machine) -> Counter[str]:
    asked, machine.asked = machine.asked, Counter()
    return asked


@pytest.fixture(name="site")
def _site() -> Site:
    site = founded(MANY)
    site.clock.advance(60.0)
    site.rest()
    for machine in site.machines:
        machine.asked.clear()
    return site


def test_a_quiet_turn(site: Site) -> None:
    for machine in site.machines:
        assert machine.node is not None
        machine.node.rest = None
        machine.node.settled.clear()
        machine.turn()
        whole = counted(machine)
        machine.turn()
        quiet = counted(machine)
        print(machine.here.name, "whole", dict(whole), "quiet", dict(quiet))
        assert sum(whole.values()) <= 60
        assert sum(quiet.values()) <= 15
        assert forks(quiet) <= 3
        assert not any(not verb.startswith(LOOKS) for verb in quiet)


def test_a_tick_costs_one_list_more(site: Site) -> None:
    machine = site.alpha
    machine.turn()
    machine.tick()
    counted(machine)
    machine.turn()
    assert counted(machine)["observe_histories"] <= 1


def test_everything_is_looked_at_now_and_then(site: Site) -> None:
    machine = site.beta
    machine.turn()
    site.clock.advance(WHOLE_SECONDS + 1)
    counted(machine)
    machine.turn()
    assert counted(machine)["observe_holders"] == 2


def test_a_promotion(site: Site) -> None:
    site.alpha.lose_power()
    machine, turns = site.beta, 0
    while turns < 5:
        machine.turn()
        turns += 1
    counted(machine)
    machine.order(Order.FORCE)
    turns = 0
    while (turn := machine.turn()) is not None and turn.moved:
        turns += 1
    asked = counted(machine)
    print(turns, forks(asked), dict(asked))
    assert machine.node is not None
    assert machine.node.state is State.PRIMARY_ALONE
    assert machine.can_write()
    assert turns <= 5
    assert asked["exchange"] <= 2, "a silent node is asked once, and after that not at once again"
    assert forks(asked) <= 60


def test_a_switchover(site: Site) -> None:
    for machine in site.machines:
        counted(machine)
    site.alpha.order(Order.SWITCHOVER)
    rounds = 0
    while rounds < 40 and site.round():
        rounds += 1
    spent = {m.here.name: counted(m) for m in site.machines}
    print(rounds, {name: (forks(asked), dict(asked)) for name, asked in spent.items()})
    assert site.beta.can_write()
    assert rounds <= 12
    assert forks(spent["alpha"]) <= 210
    assert forks(spent["beta"]) <= 80


def test_a_rejoin(site: Site) -> None:
    site.alpha.write()
    site.alpha.lose_power()
    site.beta.order(Order.FORCE)
    site.rest()
    site.alpha.start()
    counted(site.alpha)
    rounds = 0
    while rounds < 60 and site.round():
        rounds += 1
    asked = counted(site.alpha)
    print(rounds, forks(asked), dict(asked))
    assert site.alpha.node is not None
    assert site.alpha.node.state is State.STANDBY
    assert rounds <= 25
    assert forks(asked) <= 950


def test_while_a_switchover_is_noted_nothing_is_remembered(site: Site) -> None:
    """What the standby then says that it has, the handover rests on."""
    site.alpha.order(Order.SWITCHOVER)
    for _ in range(2):
        site.round()
    machine = site.beta
    assert machine.node is not None
    assert machine.node.memory.intent is not None
    for _ in range(3):
        counted(machine)
        machine.turn()
        assert counted(machine)["observe_histories"] >= 1


@pytest.mark.parametrize("state", [State.PROMOTING, State.PRIMARY_ALONE])
def test_silence_gives_nothing_to_a_node_that_is_opening(state: State) -> None:
    """So it need not be asked for at every step."""
    given = {
        outcome.row
        for view, outcome in decisions(state)
        if isinstance(outcome, Advance)
        and (view.claim, view.verdict, view.order) == (Claim.SILENT, Verdict.UNJUDGED, Order.NONE)
    }
    assert given <= {"broken", "authority-lost", "promoted"}


def test_a_glance_only_ever_rests(site: Site) -> None:
    """Whatever else there is to do, a whole look of the same turn decides."""
    machine = site.beta
    machine.turn()
    place = machine.members[MANY[0]]
    assert machine.node is not None
    elsewhere = MountSeen(place, "/x", "/", True, 7, 9, False)
    changes: tuple[Callable[[], object], ...] = (
        lambda: machine.pools.write(place, "stray", b"x"),
        lambda: machine.host.file_systems[place].mounts.append(elsewhere),
        lambda: machine.order(Order.PROMOTE),
    )
    for change in changes:
        machine.turn()
        assert machine.node.rest is not None
        counted(machine)
        change()
        turn = machine.turn()
        assert turn is not None
        assert turn.what != "rest"
        assert counted(machine)["observe_histories"] >= 1
        site.rest()
