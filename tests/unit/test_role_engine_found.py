"""What the stories with roles found in the engine (docs/design/simulation.md), in their smallest
form: each fails without its mend."""

from collections.abc import Callable

from tests.unit.role_engine_support import SERVING, Machine, founded
from zrepl_py.engine.commands import Command
from zrepl_py.engine.role_observe import Look, observe_site
from zrepl_py.engine.role_sight import has_right
from zrepl_py.model.roles import State, Verdict


def look_while(machine: Machine, verb: str, happens: Callable[[], None]) -> Look:
    """One look, in the middle of which something else happens: right before this command."""
    assert machine.node is not None
    engine = observe_site(machine.node)
    outcome: object = None
    while True:
        try:
            command: Command = engine.send(outcome)
        except StopIteration as done:
            look = done.value
            assert isinstance(look, Look)
            return look
        if command.verb == verb:
            happens()
        outcome = machine.perform(command)


def test_what_a_stream_brings_during_a_look_was_written_by_nobody() -> None:
    site = founded()
    source = site.alpha

    def sends() -> None:
        source.write()
        source.tick()
        source.lanes.send_all()

    look = look_while(site.beta, "exchange", sends)
    assert look.view.verdict is not Verdict.WRITTEN


def test_below_what_is_not_there_nobody_may_receive() -> None:
    assert founded().alpha.run(has_right("tank/none")) is False


def test_a_primary_that_has_lost_its_pool_does_not_say_that_the_members_are_gone() -> None:
    site = founded()
    beta = site.beta
    place = beta.members["tank/db"]
    first = beta.pools.dataset(place).snapshots[0].guid
    beta.pools.write(place, "stray", b"stray")
    for _ in range(20):
        site.round()
        if state_of(beta) is State.RESCUING:
            break
    assert state_of(beta) is State.RESCUING
    pool = site.alpha.pools.pools["tank"]
    site.alpha.lose_power()
    pool.health = "SUSPENDED"
    site.alpha.start()
    for _ in range(40):
        site.round()
    assert state_of(beta) is State.RESCUING, "it waits for the primary's word"
    pool.health = "ONLINE"
    site.rest()
    assert state_of(site.alpha) in SERVING
    assert beta.pools.dataset(place).snapshots[0].guid == first, "nothing came whole again"


def state_of(machine: Machine) -> State:
    return machine.node.state if machine.node is not None else State.UNKNOWN
