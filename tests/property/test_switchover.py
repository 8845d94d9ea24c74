"""A switchover that is killed at any step, on either node or both: one primary, nothing lost; on
the side that the one durable record says."""

from dataclasses import replace

import pytest

from tests.property.roles_model import NodeModel
from tests.property.switch_world import Machine, one_step
from zrepl_py.core.lineage import recall
from zrepl_py.core.opening import GateSight, GateStep
from zrepl_py.core.switchover import (
    Prospects,
    SourceSight,
    SwitchStep,
    TargetSight,
    judge_target,
    list_objections,
    plan_source,
    plan_target,
)
from zrepl_py.model.lineage import Entry, Intent, Memory
from zrepl_py.model.names import Epoch
from zrepl_py.model.roles import Claim, Order, Record, State, Verdict

FIRST = Entry(Epoch(1, "0" * 8), "a")
INTENT = Intent(Epoch(2, "c" * 8), "b")


def site() -> tuple[Machine, Machine]:
    """a serves, b follows, and somebody has typed `zr switchover` on a."""
    a = Machine(
        NodeModel(Memory("a", "g", (FIRST,), FIRST.epoch, opened=True), (1, 2),
                  state=State.PRIMARY, proved=True),
        mounted=True, services=True, address=True, holders=True, keys=True, readonly=False,
        receive=False, marker=FIRST.epoch, tick=FIRST.epoch,
    )  # fmt: skip
    b = Machine(NodeModel(Memory("b", "g", (FIRST,), FIRST.epoch), (1,), state=State.STANDBY))
    return a, b


def check_now(a: Machine, b: Machine) -> None:
    assert not (a.writable and b.writable), "two nodes can write"
    assert not (a.address and b.address), "the address is on both"
    for machine in (a, b):
        if machine.services:
            assert machine.mounted


def settle(a: Machine, b: Machine, rounds: int = 120) -> None:
    for _ in range(rounds):
        moved = [one_step(a, b), one_step(b, a)]
        check_now(a, b)
        if not any(moved):
            return
    raise AssertionError(f"no rest: {a.trace[-20:]} {b.trace[-20:]}")


def begun() -> tuple[Machine, Machine]:
    a, b = site()
    settle(a, b)
    a.order = Order.SWITCHOVER
    return a, b


def steps_of_a_whole_one() -> int:
    a, b = begun()
    settle(a, b)
    assert b.core.state is State.PRIMARY
    assert a.core.state is State.STANDBY
    assert b.services
    assert b.address
    return max(a.steps, b.steps)


def drive(cuts: dict[int, tuple[str, ...]]) -> tuple[Machine, Machine]:
    """`cuts`: after how many rounds whose power is lost."""
    a, b = begun()
    start = a.steps
    for number in range(max(cuts) + 1):
        for name in cuts.get(number, ()):
            {"a": a, "b": b}[name].lose_power()
        check_now(a, b)
        one_step(a, b)
        check_now(a, b)
        one_step(b, a)
        check_now(a, b)
    assert a.steps > start
    return a, b


def check_end(a: Machine, b: Machine) -> None:
    committed = recall(a.memory) is Record.HANDED_OVER or len(b.memory.lineage) == 2
    settle(a, b)
    primary, standby = (b, a) if len(b.memory.lineage) == 2 else (a, b)
    if committed:
        assert primary is b, "after the commit point there is no way back"
    assert primary.core.state is State.PRIMARY
    assert standby.core.state is State.STANDBY
    assert primary.services
    assert primary.address
    assert primary.writable
    assert not standby.writable
    assert not standby.services
    assert standby.receive
    assert not primary.receive
    assert primary.core.content == standby.core.content == (1, 2)
    assert primary.marker == primary.memory.lineage[-1].epoch


TOTAL = steps_of_a_whole_one()


@pytest.mark.parametrize("who", [("a",), ("b",), ("a", "b")], ids="".join)
def test_killed_after_any_step_it_converges(who: tuple[str, ...]) -> None:
    for cut in range(TOTAL + 1):
        check_end(*drive({cut: who}))


def test_killed_twice_at_any_two_steps_it_converges() -> None:
    for first in range(TOTAL + 1):
        for second in range(first, TOTAL + 1, 2):
            check_end(*drive({first: ("a",), second: ("b",)}))
            check_end(*drive({first: ("b",), second: ("a",)}))


def test_given_up_before_the_commit_everything_is_as_before() -> None:
    for cut in range(TOTAL):
        a, b = begun()
        for _ in range(cut):
            one_step(a, b)
            one_step(b, a)
        a.late = True
        check_end(a, b)
        assert a.memory.intent is None
        assert b.memory.intent is None


CLOSED = GateSight(
    address_absent=True, services_stopped=True, no_holders=True, unmounted=True, readonly=True,
    nothing_in_use=True,
)  # fmt: skip
READY = SourceSight(INTENT, False, INTENT, CLOSED, {"x": 7}, True, {"x": (7,)}, True, True)


def test_the_commit_needs_everything_in_one_look() -> None:
    assert plan_source(READY) is SwitchStep.HAND_OVER
    for change, step in (
        ({"handed_over": True}, SwitchStep.DONE),
        ({"intent": None}, SwitchStep.GIVE_UP),
        ({"in_time": False}, SwitchStep.GIVE_UP),
        ({"target_follows": False}, SwitchStep.GIVE_UP),
        ({"target_follows": None}, SwitchStep.WAIT),
        ({"target_intent": None}, SwitchStep.ASK),
        ({"target_intent": Intent(Epoch(2, "d" * 8), "b")}, SwitchStep.ASK),
        ({"finals": None}, SwitchStep.TAKE_FINALS),
        ({"still": None}, SwitchStep.PROVE_STILL),
        ({"still": False}, SwitchStep.PROVE_STILL),
        ({"target_has": {}}, SwitchStep.SEND_FINALS),
        ({"target_has": {"x": (6,)}}, SwitchStep.SEND_FINALS),
        ({"gate": replace(CLOSED, nothing_in_use=None)}, GateStep.PROVE_CLOSED),
        ({"gate": replace(CLOSED, address_absent=None)}, GateStep.REMOVE_ADDRESS),
    ):
        assert plan_source(replace(READY, **change)) is step


def test_one_that_was_written_to_or_does_not_follow_is_given_nothing() -> None:
    """Story 8112: handed over to, it could not serve, nor could the one that had handed over."""
    follows = {
        (claim, verdict): judge_target(claim, verdict) for claim in Claim for verdict in Verdict
    }
    good = {key for key, said in follows.items() if said is True}
    assert good == {(Claim.STANDBY, Verdict.SYNC), (Claim.BEHIND, Verdict.SYNC)}
    for (claim, verdict), said in follows.items():
        bad = claim is Claim.ASIDE or verdict is Verdict.PEER_YIELDS
        assert (said is False) is bad


def test_the_target_notes_what_is_asked_and_drops_what_is_over() -> None:
    sight = TargetSight(None, INTENT, Claim.PRIMARY, True, True)
    assert plan_target(sight) is SwitchStep.NOTE_INTENT
    assert plan_target(replace(sight, ready=False)) is SwitchStep.WAIT
    noted = replace(sight, intent=INTENT)
    assert plan_target(noted) is SwitchStep.WAIT
    assert plan_target(replace(noted, asked=None)) is SwitchStep.DROP_INTENT
    assert plan_target(replace(noted, asked=None, claim=Claim.SILENT)) is SwitchStep.WAIT
    late = replace(noted, asked=None, claim=Claim.SILENT, in_time=False)
    assert plan_target(late) is SwitchStep.DROP_INTENT


def test_every_objection_is_listed_and_what_is_not_known_is_one() -> None:
    all_well = Prospects(*(True,) * 10)
    assert list_objections(all_well) == ()
    assert len(list_objections(Prospects())) == 10
    one = list_objections(replace(all_well, keys_available=False))
    assert [o.fact for o in one] == ["keys_available"]
    assert one[0].way_out
