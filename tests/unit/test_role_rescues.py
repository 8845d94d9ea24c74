"""What only the old primary had, by two daemons' keepers: kept, sent beside the turns, listed,
shown, dropped by a person; and what a plan says of it."""

import threading

import pytest

from tests.unit.role_daemon_support import CLOCK, Daemon, Pair
from zrepl_py.core.role_words import ShipOrder
from zrepl_py.daemon.role_shipping import count_sent
from zrepl_py.engine.role_turn import must_ship
from zrepl_py.errors import Passing, Refused
from zrepl_py.events import Event
from zrepl_py.model.roles import State

pytestmark = pytest.mark.long


def promote(pair: Pair) -> None:
    """beta takes over, by what its own report says."""
    said = pair.beta.verbs["role_report"]()["report"]
    statement = {"group": "radio", "on": "beta", "fenced": "alpha", "accepted": said["since"]}
    known = pair.beta.verbs["role_order"](order="force", statement=statement)
    pair.until(lambda: pair.beta.verbs["role_look"](**known)["over"])
    assert pair.beta.role.state is State.PRIMARY_ALONE


def return_with_a_tail(pair: Pair) -> None:
    """beta was promoted, and alpha is back with what beta never got."""
    pair.found()
    pair.beta.up = False
    with pair.lock:
        pair.site.alpha.write()
    assert pair.site.alpha.writes
    pair.alpha.stop()
    pair.beta.up, pair.alpha.up = True, False
    promote(pair)
    with pair.lock:
        pair.site.alpha.lose_power()
    pair.alpha.restart(machine_boot="2")
    pair.alpha.up = True


def test_while_a_rescue_is_on_its_way_turns_and_orders_go_on() -> None:
    with Pair() as pair:
        go_on = threading.Event()

        def slowly(order: ShipOrder) -> None:
            count_sent(pair.alpha.role, 1234)
            go_on.wait(30.0)

        pair.alpha.shipping = slowly
        return_with_a_tail(pair)
        pair.until(lambda: pair.alpha.shipped == 1, 40.0)
        tried = pair.alpha.role.tried
        pair.until(lambda: pair.alpha.role.tried > tried + 2.0)
        assert pair.alpha.role.state in (State.STANDBY, State.CATCHING_UP)
        sending = pair.alpha.verbs["role_show"]()[0]["sending"]
        assert sending["member"] == "tank/audio"
        assert sending["bytes"] == 1234
        with pytest.raises(Refused) as refused:
            pair.alpha.verbs["role_order"](order="promote")
        assert refused.value.reason == "peer-alive"
        assert pair.alpha.shipped == 1
        go_on.set()
        pair.until(lambda: len(pair.alpha.words(Event.RESCUE_SHIPPED)) == 3)
        pair.until(lambda: all_shown(pair.alpha, own=True) and all_shown(pair.beta, own=False), 5.0)
        assert pair.alpha.role.sending is None
        assert pair.alpha.shipped == 3


def test_a_rescue_that_was_cut_begins_again_and_none_where_nobody_follows() -> None:
    with Pair() as pair:

        def cut(order: ShipOrder) -> None:
            raise Passing("peer-silent", "The stream was cut.")

        pair.alpha.shipping = cut
        return_with_a_tail(pair)
        pair.until(lambda: pair.alpha.shipped == 2, 40.0)
        assert len(pair.alpha.words(Event.RESCUE_DELAYED)) == 1, "each cause once"
        pair.beta.up = False
        pair.until(lambda: not must_ship_now(pair))
        tries = pair.alpha.shipped
        CLOCK.sleep(3.0)
        assert pair.alpha.shipped == tries
        pair.beta.up = True
        pair.alpha.shipping = lambda order: None
        pair.until(lambda: len(pair.alpha.words(Event.RESCUE_SHIPPED)) == 3, 40.0)


def all_shown(daemon: Daemon, *, own: bool) -> bool:
    """In what `zr status` shows, without anybody having listed them."""
    shown = daemon.verbs["role_show"]()[0]["rescues"]
    return [(r["own"], len(r["members"]), r["shipped"]) for r in shown] == [(own, 3, True)]


def must_ship_now(pair: Pair) -> bool:
    look = pair.alpha.role.look
    return look is not None and must_ship(pair.alpha.role.node, look)


def test_what_only_the_old_primary_had_is_kept_shipped_listed_and_dropped_by_a_person() -> None:
    with Pair() as pair:
        return_with_a_tail(pair)
        pair.until(lambda: pair.states == (State.STANDBY, State.PRIMARY), 40.0)
        pair.until(lambda: len(pair.alpha.words(Event.RESCUE_SHIPPED)) == 3)
        kept = pair.alpha.verbs["rescue_list"]()
        assert [(r["of"], r["own"], r["shipped"]) for r in kept] == [("alpha", True, True)]
        assert kept[0]["members"] == ["tank/audio", "tank/audio/raw", "tank/db"]
        assert kept[0]["bytes"] > 0
        there = pair.beta.verbs["rescue_list"](group="radio")
        assert [(r["label"], r["of"], r["own"]) for r in there] == [
            (kept[0]["label"], "alpha", False)
        ]
        places = pair.beta.verbs["rescue_place"](label=kept[0]["label"])
        assert places[0]["base"].startswith("tank/zr/alpha/tank/audio@zr_")
        held = {v.name for d in pair.site.beta.pools.pools["tank"].datasets.values()
                for v in d.snapshots if v.holds}  # fmt: skip
        assert f"zr-rescue_{kept[0]['label']}" in held
        for daemon in (pair.alpha, pair.beta):
            with pytest.raises(Refused) as refused:
                daemon.verbs["rescue_drop"](label="1-00000000-00000000")
            assert refused.value.reason == "no-rescue"
        pair.site.check_nothing_lost()
        elsewhere = {"label": kept[0]["label"], "group": "radio"}
        for daemon, peer in ((pair.alpha, "beta"), (pair.beta, "alpha")):
            (there,) = daemon.verbs["rescue_elsewhere"](**elsewhere)
            assert there == {"peer": peer, "has": "all", "why": None}
        gone = pair.alpha.verbs["rescue_drop"](label=kept[0]["label"], who="anna")
        assert all_shown(pair.beta, own=False), "it was sent"
        assert pair.beta.verbs["rescue_elsewhere"](**elsewhere)[0]["has"] == "none"
        pair.alpha.up = False
        (there,) = pair.beta.verbs["rescue_elsewhere"](**elsewhere)
        assert (there["has"], there["why"]) == ("unknown", "The other node does not answer.")
        pair.alpha.up = True
        assert len(gone) >= 4, "three members, and what held them"
        assert pair.alpha.verbs["rescue_list"]() == []
        assert pair.site.alpha.served() == pair.site.beta.served()
        pair.site.check_nothing_lost()  # beta has it still
        pair.beta.verbs["rescue_drop"](label=kept[0]["label"], who="anna")
        assert pair.beta.verbs["rescue_list"]() == []
        assert pair.states == (State.STANDBY, State.PRIMARY)


def test_a_plan_says_everything_that_a_switchover_would_do_and_all_that_is_in_its_way() -> None:
    with Pair() as pair:
        return_with_a_tail(pair)
        pair.until(lambda: pair.states == (State.STANDBY, State.PRIMARY), 40.0)
        pair.until(lambda: all_shown(pair.beta, own=False))
        ask = pair.beta.verbs["role_plan"]
        pair.until(lambda: not ask(group="radio")["behind"])
        plan = ask(group="radio")
        assert plan["verdict"] == "possible"
        assert plan["services"] == ["studio"]
        assert plan["address"] == "192.0.2.10"
        said = {o["fact"]: o["known"] for o in plan["objections"]}
        assert said.pop("rescues_seen") is True
        assert set(said) == {
            "same_version", "mountpoints_free", "space_enough", "services_known",
        }  # fmt: skip
        assert not any(said.values()), "only alpha could say"
        other = pair.alpha.verbs["role_plan"](group="radio")
        assert other["verdict"]["reason"] == "not-primary"
        assert pair.states == (State.STANDBY, State.PRIMARY), "nothing was done"
