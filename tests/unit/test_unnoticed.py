"""Deliberate bugs that no seed and no test noticed once; mutant_list_unnoticed.py names each."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from tests.simulation.loop import Loop, NodeClock
from zrepl_py.core.caps import Awaited
from zrepl_py.core.caution import Removal
from zrepl_py.core.replication import LaneView
from zrepl_py.core.retention import Verdict
from zrepl_py.daemon.lanes import Target
from zrepl_py.daemon.replicas import Replicas
from zrepl_py.daemon.source import Source
from zrepl_py.daemon.syncs import Syncs
from zrepl_py.engine.commands import run
from zrepl_py.engine.lane import perform_step
from zrepl_py.engine.prune import Doom, prune
from zrepl_py.engine.receive import Place
from zrepl_py.errors import Bug, Corrupt, Passing, Refused, Standing
from zrepl_py.events import Event
from zrepl_py.model.history import EMPTY, Snapshot
from zrepl_py.model.names import Epoch
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.plan import SendFull, TargetAhead
from zrepl_py.model.policy import Keep, Limits, Policy, Selection
from zrepl_py.model.receipt import Receipt
from zrepl_py.model.site import Node
from zrepl_py.model.wire import Committed, LaneName
from zrepl_py.testing.model_journal import ModelJournal
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

from .test_caps import kept
from .test_found_by_simulation import LANE, Pair, _BytesFor
from .test_source_caps import away
from .test_source_retention import KEY, Alpha, _Asked
from .test_troubles import ALPHA, BETA, World

GAMMA = Node("c1c1c1c1-0000-4000-8000-000000000000", "gamma")
START = 1_700_000_000


class Small:
    """A source of a few datasets, whose targets are not there."""

    def __init__(self, names: Sequence[str], targets: tuple[str, ...] = ("beta",)) -> None:
        self.told: list[tuple[Event, dict[str, Any]]] = []
        self.pools = ModelPools({"tank": 1 << 30})
        for name in names:
            self.pools.make_dataset(name)
        self.clock = NodeClock(Loop(), float(START))
        self.ports = {"ZfsPort": ModelZfs(self.pools), "JournalPort": ModelJournal(self.clock)}
        self.source = Source(
            node=ALPHA,
            epoch=Epoch(1, "9f3a21cc"),
            policies=[Policy("p", "alpha", Selection(tuple(names)), 60, targets)],
            targets=[Target(BETA, None)],  # type: ignore[arg-type]
            ports=self.ports,
            clock=self.clock,
            agenda=_Asked(),
            tell=lambda event, **fields: self.told.append((event, fields)),
            rescan_seconds=300,
        )

    def tick(self) -> None:
        run(self.source.tick(KEY), self.ports)


# What goes.


def test_the_second_check_is_asked_before_every_destroy() -> None:
    alpha = Alpha(Keep(), hours=3)
    history = alpha.zfs.observe_history("tank/a")
    doom = Doom(history.snapshots[-1:], history, frozenset())
    with pytest.raises(Bug):
        run(prune({"tank/a": doom}), alpha.ports)


def test_a_target_prunes_by_the_policy_of_the_source_that_it_keeps_for() -> None:
    policies = [
        Policy(f"of {source}", source, Selection(("tank/**",)), 60, ("beta",))
        for source in ("alpha", "gamma")
    ]
    ports = {
        "ZfsPort": ModelZfs(ModelPools({"back": 1 << 30})),
        "JournalPort": ModelJournal(NodeClock(Loop(), float(START))),
    }
    replicas = Replicas(
        name="beta",
        places=[Place("back/zr/alpha", ALPHA), Place("back/zr/gamma", GAMMA)],
        policies=policies,
        ports=ports,
        tell=lambda *_, **__: None,
    )
    found = replicas._policy_of(replicas.find(GAMMA.uuid, LaneName("lane-1", "tank/a")))
    assert found is not None
    assert found.name == "of gamma"


def test_a_target_prunes_by_the_policy_of_the_name_that_the_dataset_has_now() -> None:
    pair = Pair()
    pair.replicas._policies = tuple(
        Policy(name, "alpha", Selection((f"tank/{name}/**",)), 60, ("beta",)) for name in ("a", "b")
    )
    pair.take(1)
    pair.send(1, None)
    known = pair.replicas.find(ALPHA.uuid, LANE)
    run(pair.replicas.observe(known, LaneName(LANE.lane, "tank/b")), pair.ports)
    found = pair.replicas._policy_of(known)
    assert found is not None
    assert found.name == "b"


def test_what_is_at_rest_gives_way_when_room_runs_short() -> None:
    alpha = away(Keep(last=5), Limits(thin_free_percent=30))
    alpha.pools.write("tank/a", "file", b"much" * 5000)
    before = alpha.prune()
    run(alpha.source.prune(KEY), alpha.ports)
    pool = alpha.pools.pools["tank"]
    pool.size_bytes = pool.used_bytes() * 100 // (100 - 29)
    run(alpha.source.prune(KEY), alpha.ports)
    assert len(alpha.pools.dataset("tank/a").snapshots) < 200 < len(before)


def test_under_the_cap_what_the_first_of_two_targets_lacks_gets_thinner_too() -> None:
    two = (Awaited("beta", 1, Keep()), Awaited("gamma", 20_000, Keep()))
    stays = kept(Keep(), Limits(1000), awaited=two)
    assert min(guid for guid in stays if guid != 1) < 15_000


# Ticks and lanes.


def test_a_dataset_that_is_gone_costs_one_tick_and_no_more() -> None:
    small = Small(("tank/a", "tank/b"))
    small.tick()
    small.pools.destroy("tank/b")
    small.pools.write("tank/a", "f", b"1")
    small.tick()
    small.tick()
    assert small.source.ticks[KEY].error is None


def test_numbers_go_on_from_those_in_the_pool_where_the_journal_is_new() -> None:
    alpha = Alpha(Keep(), hours=12)
    alpha.pools.write("tank/a", "f", b"new")
    assert alpha.prune()[-1] == "13"


def test_a_sibling_whose_name_begins_alike_is_no_parent() -> None:
    small = Small(("tank/a", "tank/ab"))
    small.tick()
    states = small.source.lanes.states.values()
    assert [state.parent for state in states] == [None, None]


def test_a_lane_in_conflict_looks_again_in_a_minute() -> None:
    world = World()
    newest = Snapshot(7, 1, "zr_1-00000000_7_20261121T081500Z", 1_795_250_000)
    world.succeed(TargetAhead(newest, (newest,)))
    assert (("lane", "lane-1"), 60.0) in world.asked.keys


def test_a_sync_says_that_a_target_of_the_policy_is_not_paired() -> None:
    small = Small(("tank/a",), targets=("beta", "gamma"))
    small.tick()
    syncs = Syncs(small.source, _Monitor(), small.clock, small.ports)  # type: ignore[arg-type]
    token = syncs.begin()["sync"]
    small.tick()
    with pytest.raises(Standing) as error:
        syncs.look(token)
    assert "gamma" in error.value.message


class _Monitor:
    def __init__(self) -> None:
        self.monitor = nullcontext()


# What a target takes and says.


def test_a_target_takes_no_stream_when_it_has_little_room() -> None:
    pair = Pair()
    pair.take(1)
    pair.target.make_dataset("back/x")
    pair.target.write("back/x", "f", b"x" * 100_000)
    pool = pair.target.pools["back"]
    pool.size_bytes = int(pool.used_bytes() / 0.97)
    with pytest.raises(Passing) as error:
        pair.send(1, None)
    assert error.value.reason == "low-space"


def test_what_was_received_is_what_the_pool_shows_then() -> None:
    class Lies(_BytesFor):
        def observe_snapshot(self, name: str) -> Snapshot | None:
            found = self._zfs.observe_snapshot(name)
            return replace(found, guid=7) if isinstance(found, Snapshot) else None

    pair = Pair()
    pair.take(1)
    with pytest.raises(Corrupt):
        pair.send(1, None, Lies)


def test_an_acknowledgement_of_something_else_is_a_bug() -> None:
    class Peer:
        def transfer(self, *_: Any) -> Committed:
            return Committed(7, 1)

    small = Small(("tank/a",))
    small.tick()
    (state,) = small.source.lanes.states.values()
    to = Snapshot(8, 1, "zr_1-00000000_7_20261121T081500Z", 1_795_250_000)
    with pytest.raises(Bug):
        run(perform_step(state.lane, None, SendFull(to)), {**small.ports, "PeerPort": Peer()})  # type: ignore[arg-type]


def test_a_node_has_only_its_own_lanes() -> None:
    pair = Pair()
    pair.replicas._places[GAMMA.uuid] = Place("back/zr/gamma", GAMMA)
    with pytest.raises(Refused):
        pair.replicas.find(GAMMA.uuid, LANE)


def test_a_node_asks_for_its_own_receipts_only() -> None:
    pair = Pair()
    uuids = ALPHA.uuid, "alpha", BETA.uuid, "beta"
    receipt = Receipt(1, *uuids, "1-9f3a21cc", 0, 0, {}, ())
    with pytest.raises(Refused):
        run(pair.replicas.store_receipt(GAMMA.uuid, receipt), pair.ports)


# What the source knows of its targets.


def test_the_second_check_knows_what_is_pinned() -> None:
    alpha = away(Keep(last=5), Limits(), hours=12)
    alpha.prune()
    base = alpha.zfs.observe_history("tank/a").snapshots[0]
    wrong = Removal((Verdict(base, False, ("a bug",)),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zrepl_py.daemon.source.plan_removal", lambda *_, **__: wrong)
        with pytest.raises(Bug):
            run(alpha.source.prune(KEY), alpha.ports)


def test_what_a_target_said_that_it_has_counts_before_its_cursor() -> None:
    alpha = away(Keep(last=5), Limits(), hours=12)
    alpha.prune()
    history = alpha.zfs.observe_history("tank/a")
    (state,) = [s for s in alpha.source.lanes.states.values() if s.lane.dataset == "tank/a"]
    state.arrived = history.snapshots[3]
    (awaited,) = alpha.source._awaited(alpha.source.groups[KEY], "tank/a", history)
    assert awaited.base_createtxg == history.snapshots[3].createtxg


def test_a_target_that_was_started_again_is_looked_at_again() -> None:
    small = Small(("tank/a",))
    small.tick()
    lanes = small.source.lanes
    ((uuid, state),) = lanes.states.items()
    believed = state.view = LaneView(BETA.short, False, EMPTY, frozenset(), ReplicaView(False))
    lanes.doubt_target("beta")
    assert lanes.states[uuid].view is None
    state.view = believed  # by a run that was on its way
    assert next(lanes.run_lane(uuid)).verb == "observe_history"


def test_a_parent_that_is_refused_for_good_keeps_no_child_waiting() -> None:
    small = Small(("tank/a", "tank/a/b"))
    small.tick()
    lanes = small.source.lanes
    parent, child = sorted(lanes.states.values(), key=lambda state: state.lane.dataset)
    assert not lanes._may_start(child)
    parent.error = Refused("target-exists", "Something else has the replica's name.")
    assert lanes._may_start(child)
