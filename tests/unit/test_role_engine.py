"""Changes of roles on two machines in memory: what each comes to, and what is kept."""

import pytest

from tests.unit.role_engine_support import ALPHA, BETA, GROUP, SERVICE, Site, founded
from zrepl_py.core.lineage import recall
from zrepl_py.core.promotion import render_moment
from zrepl_py.core.role_words import ShipOrder
from zrepl_py.engine.role_node import RENEW_SECONDS, RoleNode, say
from zrepl_py.engine.role_turn import Turn
from zrepl_py.errors import Passing, Refused
from zrepl_py.model.host import Holding, ServiceState
from zrepl_py.model.lineage import Taking
from zrepl_py.model.rescue import SHIPPED_PARENT
from zrepl_py.model.roles import Order, Record, State


def nodes(site: Site) -> tuple[RoleNode, RoleNode]:
    assert site.alpha.node is not None
    assert site.beta.node is not None
    return site.alpha.node, site.beta.node


def states(site: Site) -> tuple[State, State]:
    alpha, beta = nodes(site)
    return alpha.state, beta.state


def turn(machine: object) -> Turn:
    done = machine.turn()  # type: ignore[attr-defined]
    assert isinstance(done, Turn)
    return done


FOLLOWED = (State.PRIMARY, State.STANDBY)


def test_founded_it_is_open_on_one_side_and_closed_on_the_other() -> None:
    site = founded()
    assert states(site) == FOLLOWED
    assert site.alpha.host.services[GROUP, SERVICE].state is ServiceState.RUNNING
    assert site.alpha.served() == site.beta.served() != set()
    assert not site.beta.can_write()
    for name in site.alpha.members.values():
        marker = site.alpha.pools.dataset(name).files[".zr/epoch"].content.decode()
        assert marker == f"{nodes(site)[0].memory.lineage[-1].epoch}\n"


def test_what_is_remembered_comes_back_from_the_journal_and_proved_only_on_that_start() -> None:
    site = founded()
    before = nodes(site)[0].memory
    site.alpha.stop()
    site.alpha.start(reboot=False)
    assert nodes(site)[0].memory == before
    assert nodes(site)[0].proved
    site.alpha.lose_power()
    site.alpha.start()
    assert nodes(site)[0].memory == before
    assert not nodes(site)[0].proved


def test_the_record_is_written_again_once_a_day() -> None:
    site = founded()
    count = len(list(site.alpha.journal.records("role")))
    site.rest()
    assert len(list(site.alpha.journal.records("role"))) == count
    site.clock.advance(RENEW_SECONDS)
    site.rest()
    assert len(list(site.alpha.journal.records("role"))) == count + 1


def test_a_restarted_daemon_goes_on_alone_and_interrupts_nobody() -> None:
    site = founded()
    site.beta.stop()
    site.alpha.stop()
    site.alpha.start(reboot=False)
    for _ in range(4):
        site.round()
        assert site.alpha.host.services[GROUP, SERVICE].state is ServiceState.RUNNING
        assert site.alpha.can_write()
    assert nodes_alpha(site) is State.PRIMARY_ALONE


def nodes_alpha(site: Site) -> State:
    assert site.alpha.node is not None
    return site.alpha.node.state


def test_a_primary_that_starts_alone_waits_and_opens_nothing() -> None:
    site = founded()
    site.beta.lose_power()
    site.alpha.lose_power()
    site.alpha.start()
    for _ in range(4):
        site.round()
    assert nodes_alpha(site) is State.UNKNOWN
    assert not site.alpha.can_write()
    site.beta.start()
    site.rest()
    assert states(site) == FOLLOWED


def test_a_member_that_came_further_than_the_others_is_brought_back_and_kept() -> None:
    site = founded()
    site.alpha.write()
    ahead = set(site.alpha.pools.dataset("tank/db").files)
    site.alpha.lanes.send_all()
    site.wire.up = False
    site.alpha.tick()
    # Of that tick one member alone arrives.
    source, target = site.wire.ends[ALPHA.uuid], site.wire.ends[BETA.uuid]
    alpha, beta = nodes(site)
    site.wire.up = True
    site.alpha.lanes._send("tank/db", source, alpha, target, beta)
    assert site.beta.pools.dataset("tank/zr/alpha/tank/db").files.keys() == ahead
    site.alpha.lose_power()
    site.rest()
    assert site.beta.node is not None
    site.beta.node.give(Order.FORCE)
    site.rest()
    assert site.beta.node.state is State.PRIMARY_ALONE
    kept = [n for n in site.beta.pools.pools["tank"].datasets if n.endswith("/zr/alpha/tank/db")]
    assert len(kept) == 2, "its place, and the rescue"
    aside = next(name for name in kept if "zr-rescue" in name)
    assert ahead <= site.beta.pools.dataset(aside).files.keys()
    served = site.beta.pools.dataset("tank/zr/alpha/tank/db").files.keys()
    assert served < ahead
    site.check_nothing_lost()


def test_what_somebody_wrote_on_the_standby_is_set_aside_and_it_follows_again() -> None:
    site = founded()
    name = site.beta.members["tank/audio"]
    site.beta.pools.write(name, "w999", b"where it does not belong")
    site.beta.writes.append("w999")
    site.rest()
    site.round(writes=True)
    site.rest()
    assert states(site) == FOLLOWED
    assert site.alpha.served() == site.beta.served()
    site.check_nothing_lost()


def test_orders_that_are_refused() -> None:
    site = founded()
    alpha, beta = nodes(site)
    for node, machine, order, reason in (
        (beta, site.beta, Order.PROMOTE, "peer-alive"),
        (beta, site.beta, Order.FORCE, "peer-alive"),
        (beta, site.beta, Order.SWITCHOVER, "not-primary"),
        (alpha, site.alpha, Order.PROMOTE, "already-primary"),
        (alpha, site.alpha, Order.ABORT, "no-switchover"),
        (alpha, site.alpha, Order.REJOIN, "nothing-to-rejoin"),
    ):
        node.give(order)
        refusal = turn(machine).refusal
        assert refusal is not None
        assert refusal.reason == reason
        assert node.order is Order.NONE
        assert states(site) == FOLLOWED


def test_a_bound_that_is_not_the_one_of_now_is_refused() -> None:
    site = founded()
    site.alpha.lose_power()
    site.rest()
    beta = site.beta.node
    assert beta is not None
    beta.give(Order.FORCE, accepted=render_moment(1))
    refusal = turn(site.beta).refusal
    assert refusal is not None
    assert refusal.reason == "loss-bound-stale"
    beta.give(Order.FORCE, accepted=render_moment(beta.manifests[-1].at), who="anna")
    site.rest()
    assert beta.state is State.PRIMARY_ALONE
    head = beta.memory.lineage[-1]
    assert (head.taking, head.who) == (Taking.FORCED, "anna")
    assert head.bases == beta.manifests[-2].members


def test_a_switchover_whose_standby_goes_away_is_taken_back() -> None:
    site = founded()
    alpha, _ = nodes(site)
    alpha.give(Order.SWITCHOVER)
    for _ in range(2):
        site.round()
    assert nodes_alpha(site) is State.DRAINING
    assert recall(alpha.memory) is Record.PRIMARY, "it has not handed over"
    site.wire.up = False
    site.rest()
    assert nodes_alpha(site) is State.PRIMARY_ALONE
    assert site.alpha.host.services[GROUP, SERVICE].state is ServiceState.RUNNING
    site.wire.up = True
    site.rest()
    assert states(site) == FOLLOWED
    assert [n.memory.intent for n in nodes(site)] == [None, None]


def test_what_cannot_be_closed_is_not_handed_over() -> None:
    site = founded()
    alpha, _ = nodes(site)
    held = {"tank/db": {Holding.MAPS: "f"}}
    site.alpha.host.add_program("hangs", held, heeds_term=False, heeds_kill=False)
    alpha.give(Order.SWITCHOVER)
    site.rest()
    assert states(site) == FOLLOWED
    assert len(alpha.memory.lineage) == 1
    assert site.alpha.can_write()


def test_two_that_both_went_on_wait_for_a_person_and_the_other_ones_tail_is_kept() -> None:
    site = founded()
    site.honest = False
    site.wire.up = False
    site.rest()
    alpha, beta = nodes(site)
    beta.give(Order.FORCE)
    site.rest()
    site.wire.up = True
    alpha.give(Order.NONE)
    for _ in range(3):
        site.alpha.write()
        site.round(writes=True)
    # alpha has only seen the higher epoch, it never made one: it is overtaken, not split.
    site.rest()
    assert states(site) == (State.STANDBY, State.PRIMARY)
    site.check_nothing_lost()
    assert site.alpha.served() == site.beta.served()


def test_a_true_split_is_solved_by_a_person_alone() -> None:
    site = founded()
    site.honest = False
    site.wire.up = False
    for machine in (site.alpha, site.beta):
        machine.lose_power()
    site.alpha.start()
    site.beta.start()
    alpha, beta = nodes(site)
    site.rest()
    beta.give(Order.FORCE)
    site.rest()
    alpha.give(Order.CONTINUE)
    site.rest()
    assert states(site) == (State.PRIMARY_ALONE, State.PRIMARY_ALONE)
    site.alpha.write()
    site.beta.write()
    # Then alpha goes on in an epoch of its own, from the same one.
    alpha.memory = type(alpha.memory)(
        alpha.memory.node, alpha.memory.group,
        (*alpha.memory.lineage, type(alpha.memory.lineage[0])(
            type(alpha.memory.lineage[0].epoch)(2, "eeeeeeee"), alpha.memory.node)),
        type(alpha.memory.lineage[0].epoch)(2, "eeeeeeee"), True,
    )  # fmt: skip
    site.wire.up = True
    for _ in range(6):
        site.round()
    assert states(site) == (State.SPLIT, State.SPLIT)
    beta.give(Order.RESOLVE, who="anna")
    site.rest(300)
    assert states(site) == (State.STANDBY, State.PRIMARY)
    assert beta.memory.lineage[-1].taking is Taking.RESOLVED
    site.check_nothing_lost()


def test_a_service_that_does_not_start_leaves_the_node_primary() -> None:
    site = founded()
    site.beta.host.services[GROUP, SERVICE].starts = False
    nodes(site)[0].give(Order.SWITCHOVER)
    site.rest()
    assert states(site) == (State.STANDBY, State.PRIMARY)
    assert site.beta.host.services[GROUP, SERVICE].state is ServiceState.FAILED


def test_a_rescue_is_shipped_to_a_place_that_the_receiver_chooses() -> None:
    site = founded()
    peer = site.alpha.ports["RolePeerPort"]
    snapshot = f"tank/db@{site.alpha.pools.dataset('tank/db').snapshots[-1].name}"
    for label, member in (("../../x", "tank/db"), ("1-00000000-00000000", "tank/other")):
        order = ShipOrder(label, member, f"zr-rescue_{label}", 7, 0, False)
        with pytest.raises(Refused):
            peer.ship_rescue(snapshot, None, order)
    names = site.beta.pools.pools["tank"].datasets
    assert not any(SHIPPED_PARENT in name for name in names)


def test_a_node_that_has_not_looked_yet_says_nothing() -> None:
    site = founded()
    site.beta.stop()
    site.beta.start(reboot=False)
    with pytest.raises(Passing):
        say(nodes(site)[1])


def test_the_heartbeat_is_for_the_loss_report() -> None:
    site = founded()
    alpha, beta = nodes(site)
    site.round()
    site.clock.advance(30.0)
    last = beta.hear_last(site.clock.monotonic())
    assert last is not None
    assert 30.0 <= last.silent_seconds < 35.0
    assert alpha.hear_last(0.0) is None


def test_a_mount_point_that_was_inherited_is_there_on_the_other_node_too() -> None:
    site = founded(inherited=True)
    site.alpha.pools.pools["tank"].datasets["tank"].local["mountpoint"] = "/srv/radio"
    site.round(writes=True)
    site.rest()
    replica = site.beta.pools.dataset(site.beta.members["tank/db"])
    assert replica.local["zr:orig:mountpoint"] == "/srv/radio/db"
    assert "mountpoint" not in replica.local
    site.alpha.lose_power()
    site.rest()
    site.beta.order(Order.FORCE)
    site.rest()
    trees = site.beta.datasets.observe_trees(list(site.beta.members.values()))
    wanted = {m: f"/srv/radio/{m.partition('/')[2]}" for m in site.beta.members}
    assert {d.name: d.mountpoint for d in trees} == {
        site.beta.members[m]: point for m, point in wanted.items()
    }
    assert all(d.mounted for d in trees)
    site.alpha.start()
    site.rest()
    nodes(site)[1].give(Order.SWITCHOVER)
    site.rest()
    assert states(site) == FOLLOWED
    back = site.alpha.datasets.observe_trees(list(site.alpha.members.values()))
    assert {d.name: d.mountpoint for d in back} == wanted


def test_a_tail_of_nothing_but_markers_is_kept_as_a_rescue_and_shipped() -> None:
    """beta was promoted, and lost before alpha had anything of it. Its epoch's snapshot has the
    marker, so nothing is `written`; but it is a snapshot that the other lineage has not: to follow
    without a rescue, it would have to be destroyed."""
    site = founded()
    site.alpha.lose_power()
    site.rest()
    site.beta.order(Order.FORCE)
    site.rest()
    site.alpha.start()
    for machine in (site.alpha, site.beta, site.alpha, site.alpha, site.alpha):
        machine.turn()  # they meet; no stream comes
    assert nodes_alpha(site) is State.STANDBY
    site.beta.lose_power()
    site.alpha.order(Order.FORCE)
    site.rest()
    assert nodes_alpha(site) is State.PRIMARY_ALONE
    site.beta.start()
    site.rest()
    assert states(site) == FOLLOWED
    for machine, parent in ((site.beta, "/zr-rescue/"), (site.alpha, f"/{SHIPPED_PARENT}/")):
        kept = [d for n, d in machine.pools.pools["tank"].datasets.items() if parent in n]
        kept = [d for d in kept if d.snapshots]
        assert len(kept) == len(machine.members)
        epoch = str(nodes(site)[0].memory.lineage[1].epoch)
        marker = {d.files[".zr/epoch"].content.decode() for d in kept}
        assert marker == {f"{epoch}\n"}
    assert site.alpha.served() == site.beta.served()


def test_an_unwritten_failover_and_back_leaves_no_rescue_of_markers() -> None:
    site = founded()
    for away, other in ((site.alpha, site.beta), (site.beta, site.alpha)):
        site.rest()
        away.lose_power()
        site.rest()
        other.order(Order.FORCE)
        site.rest()
        away.start()
        site.rest()
    assert states(site) == FOLLOWED
    for machine in site.machines:
        assert not any("zr-rescue" in name for name in machine.pools.pools["tank"].datasets)


def test_names_that_could_not_be_set_aside_get_no_roles() -> None:
    site = Site(("tank/" + "x" * 200,))
    for machine in site.machines:
        machine.start()
    site.rest()
    nodes(site)[0].give(Order.BEGIN, who="anna")
    refusal = turn(site.alpha).refusal
    assert refusal is not None
    assert refusal.reason == "names-too-long"
    assert nodes_alpha(site) is State.INIT
