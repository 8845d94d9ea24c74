"""Two daemons' keepers over machines in memory: founded, handed over, reloaded, refused."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.role_daemon_support import CLOCK, Pair
from zrepl_py.core.role_words import Heartbeat
from zrepl_py.core.roles import WAITING
from zrepl_py.daemon import role_orders
from zrepl_py.engine.role_node import say
from zrepl_py.errors import Passing, Refused
from zrepl_py.events import Event
from zrepl_py.model.roles import State
from zrepl_py.model.wire import Begin, LaneName

pytestmark = pytest.mark.long


def test_founded_by_an_order_one_serves_and_the_other_follows() -> None:
    with Pair() as pair:
        alpha, beta = pair.alpha.role, pair.beta.role
        assert (alpha.state, alpha.ticks, beta.ticks) == (State.INIT, True, False)
        pair.found()
        assert (alpha.ticks, alpha.sends, alpha.leads, alpha.accepts) == (True, True, True, False)
        assert (beta.ticks, beta.sends, beta.leads, beta.accepts) == (False, False, False, True)
        assert alpha.epoch == beta.epoch is not None
        shown = pair.beta.verbs["role_show"]()[0]
        assert (shown["group"], shown["state"], shown["primary"]) == ("radio", "standby", "alpha")
        changes = [told["row"] for told in pair.alpha.words(Event.ROLE_CHANGED)]
        assert changes[:2] == ["new", "founded"]


def test_a_switchover_and_its_steps() -> None:
    with Pair() as pair:
        pair.found()
        known = pair.alpha.verbs["role_order"](order="switchover", group="radio", who="anna")
        pair.until(lambda: pair.states == (State.STANDBY, State.PRIMARY), 40.0)
        looked = pair.alpha.verbs["role_look"](**known)
        assert looked["over"]
        assert looked["refusal"] is None
        assert "hand-over" in looked["steps"]
        assert pair.alpha.verbs["role_look"](**known)["steps"] == []
        assert pair.beta.role.ticks
        assert pair.beta.role.place("tank/db") == "tank/zr/alpha/tank/db"
        assert not pair.alpha.role.ticks
        assert pair.beta.role.services == {"studio": "running"}
        pair.site.check_nothing_lost()


def test_a_reload_leaves_a_primary_what_it_is() -> None:
    with Pair() as pair:
        pair.found()
        pair.beta.up = False
        pair.until(lambda: pair.alpha.role.state is State.PRIMARY_ALONE)
        seen: list[State] = []
        pair.alpha.stop()
        pair.alpha.service_of(pair.alpha.roles)
        pair.alpha.roles.changed.append(lambda role: seen.append(role.state))
        assert pair.alpha.role.state is State.PRIMARY_ALONE
        assert pair.alpha.role.ticks
        pair.alpha.start()
        pair.until(lambda: pair.alpha.role.tried > 0 and pair.alpha.role.look is not None)
        pair.beta.up = True
        pair.until(lambda: pair.states == (State.PRIMARY, State.STANDBY))
        assert State.UNKNOWN not in seen


@pytest.mark.long
def test_what_is_known_of_the_streams_outlasts_a_standby_that_was_away() -> None:
    """A primary that is alone for a moment sends the same as before: thirty lanes that look again,
    each time the other one is unfit for a second, are slower than what they wait for."""
    with Pair() as pair:
        pair.found()
        turned: list[State] = []
        pair.alpha.roles.changed.append(lambda role: turned.append(role.state))
        pair.beta.up = False
        pair.until(lambda: pair.alpha.role.state is State.PRIMARY_ALONE)
        pair.beta.up = True
        pair.until(lambda: pair.states == (State.PRIMARY, State.STANDBY))
        assert turned == []
        pair.alpha.verbs["role_order"](order="switchover", group="radio", who="anna")
        pair.until(lambda: pair.states == (State.STANDBY, State.PRIMARY))
        assert turned[0] is State.DRAINING


def test_a_restarted_daemon_goes_on_and_a_restarted_machine_waits() -> None:
    with Pair() as pair:
        pair.found()
        pair.beta.up = False
        pair.alpha.restart()
        pair.until(lambda: pair.alpha.role.state is State.PRIMARY_ALONE)
        pair.alpha.restart(machine_boot="2")
        pair.until(lambda: pair.alpha.role.look is not None)
        assert pair.alpha.role.state is State.UNKNOWN
        assert not pair.alpha.role.ticks
        with pytest.raises(Refused) as refused:
            pair.alpha.verbs["role_order"](order="promote")
        assert refused.value.reason == "was-primary"
        assert "zr promote --peer-is-down" in refused.value.remedy
        pair.beta.up = True
        pair.until(lambda: pair.states == (State.PRIMARY, State.STANDBY))


def test_a_refused_order_says_the_way_out_and_its_price() -> None:
    with Pair() as pair:
        pair.found()
        order = pair.beta.verbs["role_order"]
        with pytest.raises(Refused) as refused:
            order(order="promote", group="radio", who="anna")
        assert refused.value.reason == "peer-alive"
        assert "Its price: Everything written on alpha" in refused.value.message
        assert "zr switchover" in refused.value.remedy
        assert pair.beta.words(Event.ROLE_REFUSED)[0]["reason"] == "peer-alive"
        with pytest.raises(Refused, match="has roles on this node"):
            order(order="promote", group="video")
        with pytest.raises(ValueError, match="explode"):
            order(order="explode")
        assert pair.states == (State.PRIMARY, State.STANDBY)


def test_a_forced_promotion_by_the_command_that_the_report_names() -> None:
    with Pair() as pair:
        pair.found()
        pair.alpha.stop()
        pair.alpha.up = False
        report, order = pair.beta.verbs["role_report"], pair.beta.verbs["role_order"]
        with pytest.raises(Refused) as refused:
            order(order="promote")
        assert refused.value.reason == "statement-needed"
        said = report()["report"]
        assert said["command"].startswith("zr promote radio --on beta --force --i-fenced alpha")
        statement = {"group": "radio", "on": "beta", "fenced": "alpha", "receipts_aside": False}
        for wrong, reason in (
            ({**statement, "accepted": "2001-01-01T00:00:00Z"}, "loss-bound-stale"),
            ({**statement, "fenced": "gamma", "accepted": said["since"]}, "wrong-peer"),
        ):
            with pytest.raises(Refused) as refused:
                order(order="force", statement=wrong)
            assert refused.value.reason == reason
        known = order(order="force", statement={**statement, "accepted": said["since"]}, who="anna")
        pair.until(lambda: pair.beta.verbs["role_look"](**known)["over"])
        assert pair.beta.role.state is State.PRIMARY_ALONE
        head = pair.beta.role.node.memory.head
        assert head is not None
        assert (head.who, head.accepted) == ("anna", said["since"])


def test_only_the_policys_source_is_the_first_primary() -> None:
    with Pair() as pair:
        pair.alpha.tick()
        pair.until(lambda: pair.states == (State.INIT, State.INIT) and pair.both_looked())
        with pytest.raises(Refused) as refused:
            pair.beta.verbs["role_order"](order="begin", who="anna")
        assert refused.value.reason == "wrong-node"
        assert "Type it on alpha." in refused.value.remedy
        assert pair.states == (State.INIT, State.INIT)
        assert pair.alpha.role.ticks


def test_the_first_order_waits_for_the_other_node_and_is_withdrawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Pair() as pair:
        pair.beta.up = False
        pair.alpha.tick()
        pair.until(lambda: pair.alpha.role.look is not None)
        order, look = pair.alpha.verbs["role_order"], pair.alpha.verbs["role_look"]
        waits = order(order="begin", who="anna")
        assert look(**waits)["waits_for"] == WAITING[State.UNKNOWN]
        monkeypatch.setattr(role_orders, "WAIT_SECONDS", 1.0)
        pair.until(lambda: look(**waits)["over"])
        assert look(**waits)["refusal"]["reason"] == "order-waits"
        monkeypatch.undo()
        order(order="begin", who="anna")
        pair.beta.up = True
        pair.until(lambda: pair.states == (State.PRIMARY, State.STANDBY))


def test_a_forced_order_on_the_primary_hears_that_it_is_the_primary() -> None:
    with Pair() as pair:
        pair.found()
        wrong = {"group": "radio", "on": "beta", "fenced": "alpha", "accepted": "2001-01-01"}
        with pytest.raises(Refused) as refused:
            pair.alpha.verbs["role_order"](order="force", statement=wrong)
        assert refused.value.reason == "already-primary"


def test_the_other_node_is_answered_while_a_turn_hangs_in_a_pool() -> None:
    with Pair() as pair:
        pair.found()
        mine = say(pair.alpha.role.node)
        with pair.lock:  # every command of either machine hangs
            pair.beta.role.wake()
            CLOCK.sleep(0.2)
            theirs = pair.beta.desk.exchange(pair.site.alpha.here.uuid, mine)
            assert theirs.said.state is State.STANDBY
            assert pair.beta.verbs["role_show"]()[0]["state"] == "standby"


def test_a_cause_is_told_once_and_that_it_is_over() -> None:
    with Pair() as pair:
        pair.found()
        host = pair.site.beta.ports["HostPort"]
        pair.site.beta.ports["HostPort"] = FailingHost()
        pair.until(lambda: pair.beta.role.error is not None)
        tried = pair.beta.role.tried
        pair.until(lambda: pair.beta.role.tried > tried + 1.0)
        assert len(pair.beta.words(Event.ROLE_FAILED)) == 1
        assert pair.beta.verbs["role_show"]()[0]["error"]["reason"] == "worker-gone"
        pair.site.beta.ports["HostPort"] = host
        pair.until(lambda: bool(pair.beta.words(Event.ROLE_RECOVERED)))


class FailingHost:
    """A host worker that is not there."""

    def __getattr__(self, verb: str) -> Any:
        raise Passing("worker-gone", "The worker does not answer.")


def test_a_new_member_is_one_with_the_tick_that_has_it() -> None:
    with Pair() as pair:
        pair.found()
        with pair.lock:
            pair.site.alpha.pools.make_dataset(
                "tank/audio/new", properties={"mountpoint": "/tank/audio/new"}
            )
        manifest = pair.alpha.role.node.manifests[-1]
        made = replace(manifest, seq=manifest.seq + 1, members={**manifest.members,
                                                                "tank/audio/new": 5})  # fmt: skip
        with pair.alpha.agenda.monitor:
            pair.alpha.role.note_manifest(made)
        pair.until(lambda: "tank/audio/new" in pair.alpha.role.node.group.members)
        assert pair.alpha.role.member("tank/audio/new") == "tank/audio/new"
        assert pair.alpha.role.state in (State.PRIMARY, State.PRIMARY_ALONE)


def test_a_member_that_a_person_destroys_on_the_primary_stops_no_service() -> None:
    with Pair() as pair:
        pair.found()
        with pair.lock:
            pools = pair.site.alpha.pools.pools["tank"].datasets
            del pools["tank/audio/raw"]
            pair.site.alpha.reflect()
        tried = pair.alpha.role.tried
        pair.until(lambda: "tank/audio/raw" not in pair.alpha.role.node.group.members)
        pair.until(lambda: pair.alpha.role.tried > tried + 3.0)
        assert pair.alpha.role.state in (State.PRIMARY, State.PRIMARY_ALONE)
        assert pair.alpha.role.services == {"studio": "running"}
        assert all(told["after"] != "faulted" for told in pair.alpha.words(Event.ROLE_CHANGED))


def test_before_there_are_roles_a_pool_that_fails_stops_no_service() -> None:
    with Pair() as pair:
        pair.alpha.tick()
        pair.until(lambda: pair.states == (State.INIT, State.INIT) and pair.both_looked())
        pair.site.alpha.pools.pools["tank"].health = "SUSPENDED"
        pair.until(lambda: pair.alpha.role.error is not None)
        assert pair.alpha.role.state is State.INIT
        assert pair.alpha.role.ticks, "the tick says itself what is the matter"
        pair.site.alpha.pools.pools["tank"].health = "ONLINE"
        pair.until(lambda: pair.alpha.role.error is None)


def test_streams_go_by_the_role_once_there_is_an_epoch() -> None:
    with Pair() as pair:
        alpha, beta = pair.site.alpha.here.uuid, pair.site.beta.here.uuid
        begin = Begin(LaneName("1", "tank/db"), "s", 1, 0, False, False, "0-00000000")
        assert pair.beta.desk.check_stream(alpha, begin) is False
        pair.found()
        begin = replace(begin, epoch=str(pair.beta.role.epoch))
        assert pair.beta.desk.check_stream(alpha, begin) is True
        assert pair.beta.desk.check_stream(beta, begin) is False, "no group with that node"
        with pytest.raises(Refused) as refused:
            pair.alpha.desk.check_stream(beta, begin)
        assert refused.value.reason == "peer-epoch"
        with pytest.raises(Refused) as refused:
            pair.beta.desk.check_stream(alpha, replace(begin, epoch="9-00000000"))
        assert refused.value.reason == "peer-epoch"
        with pytest.raises(Refused) as refused:
            pair.beta.desk.note_heartbeat(beta, pair.beta.role.plan.uuid, Heartbeat("1", 1))
        assert refused.value.reason == "no-roles"


def test_a_new_member_directly_below_the_founders_pool_is_named_with_the_way_out() -> None:
    with Pair() as pair:
        pair.found()
        known = pair.alpha.verbs["role_order"](order="switchover")
        pair.until(lambda: pair.states == (State.STANDBY, State.PRIMARY), 40.0)
        assert pair.alpha.verbs["role_look"](**known)["refusal"] is None
        place, made = "tank/zr/alpha/tank/new", {"mountpoint": "/new"}
        with pair.lock:
            pair.site.beta.pools.make_dataset(place, properties=made)
        newest = pair.beta.role.node.manifests[-1]
        members = {**newest.members, "tank/new": 5}
        for daemon in (pair.alpha, pair.beta):
            with daemon.agenda.monitor:
                daemon.role.note_manifest(replace(newest, seq=newest.seq + 1, members=members))
        show = pair.alpha.verbs["role_show"]
        pair.until(lambda: "tank/new" in show()[0]["says"])
        assert "zfs unallow -l -u zr-recv tank`" in show()[0]["says"]
        tried = pair.alpha.role.tried
        pair.until(lambda: pair.alpha.role.tried > tried + 2.0)
        assert pair.alpha.role.error is None
        assert "tank/new" not in pair.beta.verbs["role_show"]()[0]["says"]
