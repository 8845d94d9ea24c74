"""What the stories with roles found in the engine (docs/design/simulation.md), in their smallest
form: each fails without its mend."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.unit.role_engine_support import SERVING, Machine, Site, founded
from zrepl_py.engine.commands import Command
from zrepl_py.engine.role_node import say
from zrepl_py.engine.role_observe import Look, observe_site
from zrepl_py.engine.role_sight import has_right
from zrepl_py.engine.role_turn import take_turn
from zrepl_py.model.properties import CLONED_PROPERTY
from zrepl_py.model.roles import Order, State, Verdict
from zrepl_py.testing.model_datasets import LOG_HEADER_BYTES


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


def written_during(
    machine: Machine, verb: str = "", happens: Callable[[], None] = lambda: None
) -> set[int | None]:
    """What one turn that begins with a glance says was written, at every moment of it; right before
    the first such command something else happens."""
    assert machine.node is not None
    assert machine.node.rest is not None, "else it would be no glance"
    engine, said = take_turn(machine.node), set[int | None]()
    outcome: object = None
    with suppress(StopIteration):
        while True:
            command: Command = engine.send(outcome)
            if command.verb == verb:
                happens()
                verb = ""
            outcome = machine.perform(command)
            said |= {word.written_bytes for word in machine.node.words.values()}
    return said


def send_news(source: Machine) -> None:
    """Something is written there, and comes to the other node."""
    source.write()
    source.tick()
    source.lanes.send_all()


def test_what_a_stream_brings_during_a_look_was_written_by_nobody() -> None:
    site = founded()
    look = look_while(site.beta, "exchange", lambda: send_news(site.alpha))
    assert look.view.verdict is not Verdict.WRITTEN


def test_a_primarys_standby_is_not_ahead_of_it_when_a_stream_comes_during_its_look() -> None:
    site = founded()

    def sends() -> None:
        send_news(site.alpha)
        site.beta.turn()

    assert look_while(site.alpha, "exchange", sends).view.verdict is Verdict.SYNC


def test_a_glance_does_not_unsay_what_a_whole_look_has_measured() -> None:
    """Somebody's own snapshot on the standby: a glance cannot tell what was written since ours."""
    site = founded()
    beta = site.beta
    place = beta.pools.dataset(beta.members["tank/db"])
    beta.pools.take(place, "by-hand", beta.pools.pools["tank"])
    site.rest()
    assert written_during(beta) == {0}


def test_a_glance_knows_that_a_clone_was_written_by_its_making() -> None:
    """After a rejoin its primary would call it unfit until the first stream comes."""
    site = founded()
    site.rest()
    place = site.beta.pools.dataset(site.beta.members["tank/db"])
    made = f"{place.snapshots[-1].guid}:{LOG_HEADER_BYTES}"
    site.beta.turn()

    def shows() -> None:
        place.local[CLONED_PROPERTY] = made

    assert written_during(site.beta, "observe_trees", shows) == {0}
    assert place.local[CLONED_PROPERTY] == made


def test_what_a_stream_brings_during_a_glance_was_written_by_nobody() -> None:
    """The list of datasets is older than the history: what it says was written is in the stream."""
    site = founded()
    site.rest()
    place = site.beta.pools.dataset(site.beta.members["tank/db"])
    place.local[CLONED_PROPERTY] = f"{place.snapshots[-1].guid}:{LOG_HEADER_BYTES}"
    site.beta.node.settled.clear()  # type: ignore[union-attr]
    said = written_during(site.beta, "observe_histories", lambda: send_news(site.alpha))
    assert said == {0}


def test_who_is_about_to_open_does_not_say_that_it_is_closed() -> None:
    """An old primary that comes back in this moment would prove its role by that word."""
    site = founded()
    beta = site.beta
    assert beta.node is not None
    beta.order(Order.FORCE)
    assert say(beta.node).said.writable is False, "the other one answers: it will be refused"
    beta.turn()
    site.alpha.lose_power()
    site.rest()
    assert say(beta.node).said.writable is False
    beta.order(Order.FORCE)
    assert say(beta.node).said.writable is None


@pytest.mark.parametrize("writes", [False, True])
def test_who_was_overtaken_while_its_daemon_was_away_closes_before_it_follows(
    writes: bool,
) -> None:
    """Somebody has said that it is off, and it was not: what is open belongs to no epoch of the
    other one's, and is not set aside while it is written to."""
    site = founded()
    site.honest = False
    site.wire.up = False
    site.alpha.stop()
    site.beta.order(Order.FORCE)
    site.rest()
    if writes:
        site.alpha.write()
    site.alpha.start(reboot=False)
    site.wire.up = True
    for _ in range(12):
        site.round()
        assert site.alpha.node is not None
        if site.alpha.can_write():
            assert site.alpha.node.state in (State.UNKNOWN, State.FENCED)
            assert len(site.alpha.node.memory.lineage) == 1
    site.rest()
    assert site.alpha.node.state is State.STANDBY  # type: ignore[union-attr]
    assert site.alpha.served() == site.beta.served()
    site.check_nothing_lost()


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


def test_a_primarys_older_word_does_not_make_its_standby_look_written() -> None:
    """The stream came after the word: what it brought was taken for somebody's write, and the
    primary confirmed nothing for a while."""
    site = founded()
    site.alpha.turn()
    for _ in range(2):
        send_news(site.alpha)
    assert site.beta.node is not None
    site.beta.node.rest = None
    site.beta.turn()
    assert {word.written_bytes for word in site.beta.node.words.values()} == {0}
    site.alpha.turn()
    assert state_of(site.alpha) is State.PRIMARY


@pytest.mark.parametrize("turns", range(1, 6))
def test_a_daemon_that_is_killed_while_it_takes_over_goes_on(turns: int) -> None:
    """The other node is dead, so nobody could confirm it; a person has stated already that it is,
    and would have to state it again."""
    site = founded()
    site.alpha.lose_power()
    site.rest()
    site.beta.order(Order.FORCE)
    for _ in range(turns):
        site.beta.turn()
    site.beta.stop()
    site.beta.start(reboot=False)
    site.rest()
    assert state_of(site.beta) is State.PRIMARY_ALONE
    assert site.beta.can_write()


def rescuing(moved: int) -> Site:
    """beta sets aside what somebody wrote there, and is `moved` turns into it; alpha is lost."""
    site = founded()
    site.round(writes=True)
    site.rest()
    site.beta.pools.write(site.beta.members["tank/db"], "w999", b"stray")
    site.beta.writes.append("w999")
    for _ in range(10):
        if state_of(site.beta) is State.RESCUING:
            break
        site.round()
    for _ in range(moved):
        site.beta.turn()
    assert state_of(site.beta) is State.RESCUING
    site.alpha.lose_power()
    return site


@pytest.mark.parametrize("moved", range(9))
@pytest.mark.parametrize("restarted", [False, True])
def test_a_rescue_whose_primary_is_lost_for_good_ends_by_a_persons_order(
    moved: int, restarted: bool
) -> None:
    site = rescuing(moved)
    beta = site.beta
    if restarted:
        beta.lose_power()
        beta.start()
    site.rest()
    for order, reason in ((Order.PROMOTE, "statement-needed"), (Order.CONTINUE, "not-waiting")):
        beta.order(order)
        turn = beta.turn()
        assert turn is not None
        assert turn.refusal is not None
        assert turn.refusal.reason == reason
    beta.order(Order.FORCE)
    site.rest()
    assert state_of(beta) is State.PRIMARY_ALONE
    assert beta.can_write()
    assert beta.served() == site.alpha.served()
    site.check_nothing_lost()
    site.alpha.start()
    site.rest()
    assert (state_of(site.alpha), state_of(beta)) == (State.STANDBY, State.PRIMARY)
    site.check_nothing_lost()


@pytest.mark.parametrize("moved", range(14))
def test_a_returning_primarys_rescue_whose_new_primary_is_lost(moved: int) -> None:
    """It goes on from the newest tick of which every member can be had again; the rest is kept."""
    site = founded()
    site.alpha.write()
    site.alpha.tick()
    site.alpha.lose_power()
    site.rest()
    site.beta.order(Order.FORCE)
    site.rest()
    site.alpha.start()
    for _ in range(20):
        if state_of(site.alpha) is State.RESCUING:
            break
        site.round()
    for _ in range(moved):
        if state_of(site.alpha) is State.RESCUING:
            site.alpha.turn()
    if state_of(site.alpha) is not State.RESCUING:
        return  # it has come to its end
    site.beta.lose_power()
    site.rest()
    site.alpha.order(Order.FORCE)
    site.rest()
    assert state_of(site.alpha) is State.PRIMARY_ALONE
    assert site.alpha.can_write()
    site.check_nothing_lost()
    assert site.alpha.node is not None
    bases = site.alpha.node.memory.lineage[-1].bases
    for member, place in site.alpha.members.items():
        found = site.alpha.pools.dataset(place)
        assert bases[member] in {v.guid for v in found.snapshots}, member
    site.beta.start()
    site.rest(300)
    assert (state_of(site.alpha), state_of(site.beta)) == (State.PRIMARY, State.STANDBY)
    site.check_nothing_lost()


def test_what_was_written_on_a_standby_and_is_gone_again_needs_nobody() -> None:
    """`diverged`, and in sync: there was no way out of that."""
    site = founded()
    beta = site.beta
    found = beta.pools.dataset(beta.members["tank/db"])
    files, txg = found.files, found.changed_txg
    beta.pools.write(found.name, "stray", b"stray")
    site.round()
    site.wire.up = False
    site.round()
    assert state_of(beta) is State.DIVERGED
    found.files, found.changed_txg = files, txg
    site.wire.up = True
    site.rest()
    assert (state_of(site.alpha), state_of(beta)) == (State.PRIMARY, State.STANDBY)
    assert not any("zr-rescue" in name for name in beta.pools.pools["tank"].datasets)
