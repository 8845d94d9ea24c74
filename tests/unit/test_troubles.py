"""A trouble that goes on is told once for each cause, and then that it is over."""

from contextlib import nullcontext
from typing import Any

from tests.simulation.loop import Loop, NodeClock
from zrepl_py.core.replication import LaneView
from zrepl_py.daemon.lanes import Lanes, LaneState, Target
from zrepl_py.daemon.source import Source
from zrepl_py.daemon.syncs import Syncs
from zrepl_py.daemon.troubles import CAUSES, Trouble
from zrepl_py.engine.commands import run
from zrepl_py.engine.lane import LaneResult
from zrepl_py.errors import Passing, Standing
from zrepl_py.events import Event
from zrepl_py.model.history import EMPTY, Snapshot
from zrepl_py.model.names import Epoch
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.plan import TargetAhead
from zrepl_py.model.policy import Keep, Limits, Policy, Selection
from zrepl_py.model.site import Lane, Node
from zrepl_py.testing.model_journal import ModelJournal
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

ALPHA = Node("a1a1a1a1-0000-4000-8000-000000000000", "alpha")
BETA = Node("b1b1b1b1-0000-4000-8000-000000000000", "beta")


def test_a_cause_is_news_once_whatever_numbers_it_names() -> None:
    trouble = Trouble()
    assert trouble.is_news("low-space", "Pool tank has 4.3 % free.", 10.0)
    assert not trouble.is_news("low-space", "Pool tank has 3 % free.", 20.0)
    assert trouble.is_news("peer-silent", "The peer does not answer.", 30.0)
    assert not trouble.is_news("low-space", "Pool tank has 2.9 % free.", 40.0)
    assert trouble.end(70.0) == (4, 60)
    assert trouble.end(80.0) is None
    assert trouble.is_news("low-space", "Pool tank has 4.3 % free.", 90.0)


def test_causes_without_end_are_bounded() -> None:
    trouble = Trouble()
    words = [chr(97 + n // 26) + chr(97 + n % 26) for n in range(200)]
    assert sum(trouble.is_news("zfs", f"failed in {word}") for word in words) == CAUSES
    assert trouble.is_news("other", "failed")


class _Asked:
    """Notes which lanes are asked to run, and when; runs nothing."""

    def __init__(self) -> None:
        self.keys: list[tuple[Any, float]] = []

    def start(self, key: Any, engine: Any, ports: Any, after_seconds: float = 0.0) -> None:
        self.keys.append((key, after_seconds))


class World:
    def __init__(self) -> None:
        self.loop, self.asked = Loop(), _Asked()
        self.told: list[tuple[Event, dict[str, Any]]] = []
        self.lanes = Lanes(
            ALPHA,
            {},
            NodeClock(self.loop, 1_700_000_000.0),
            self.asked,
            lambda event, **fields: self.told.append((event, fields)),
            lambda _: EMPTY,
            lambda _: None,
        )
        self.lane = LaneState(Lane("lane-1", "tank/a", BETA, False), "all", Keep(), None)
        self.lanes.states = {"lane-1": self.lane}
        self.lanes._peers[BETA.uuid] = None  # type: ignore[assignment]

    def fail(self, times: int, error: Any) -> None:
        for _ in range(times):
            self.loop.run_until(self.loop.now + 30)
            self.lanes._failed("lane-1", self.lane, error)

    def succeed(self, conflict: Any = None) -> None:
        view = LaneView(BETA.short, False, EMPTY, frozenset(), ReplicaView(True, EMPTY))
        self.lanes._succeeded("lane-1", self.lane, LaneResult(view, conflict=conflict))


def test_a_lane_that_fails_is_told_once_and_when_it_goes_again() -> None:
    world = World()
    world.fail(9, Passing("peer-silent", "The peer has been silent for 61 seconds."))
    world.fail(1, Standing("peer-certificate", "Another certificate."))
    assert [(event, fields["reason"]) for event, fields in world.told] == [
        (Event.LANE_FAILED, "peer-silent"),
        (Event.LANE_FAILED, "peer-certificate"),
    ]
    world.succeed()
    over = {"dataset": "tank/a", "target": "beta", "failures": 10, "seconds": 270}
    assert world.told[2:] == [(Event.LANE_RECOVERED, over)]
    world.succeed()
    assert len(world.told) == 3


def test_a_conflict_that_stands_is_told_once() -> None:
    world = World()
    newer = Snapshot(7, 1, "zr_1-00000000_7_20261121T081500Z", 1_795_250_000)
    for _ in range(5):
        world.succeed(TargetAhead(newer, (newer,)))
    assert [event for event, _ in world.told] == [Event.LANE_CONFLICT]


def test_a_persons_command_ends_the_waiting_and_lets_it_begin_anew() -> None:
    world = World()
    world.fail(8, Passing("peer-silent", "The peer does not answer."))
    assert world.asked.keys[-1] == (("lane", "lane-1"), 30.0)
    world.lanes.wake("all")
    assert world.asked.keys[-1][1] == 30.0  # a tick does not end it
    world.lanes.wake_all()
    assert world.asked.keys[-1] == (("lane", "lane-1"), 0.0)
    world.fail(1, Passing("peer-silent", "The peer does not answer."))
    assert world.asked.keys[-1] == (("lane", "lane-1"), 1.0)


class _Now:
    """Runs what is to be started at once, and nothing that is for later."""

    def start(self, key: Any, engine: Any, ports: Any, after_seconds: float = 0.0) -> None:
        if key[0] == "tick":
            run(engine(), ports)


def test_a_full_pool_is_told_once_and_when_it_goes_on() -> None:
    loop, told = Loop(), list[tuple[Event, dict[str, Any]]]()
    clock, pools = NodeClock(loop, 1_700_000_000.0), ModelPools({"tank": 1 << 30})
    pools.make_dataset("tank/a")
    policy = Policy("p", "alpha", Selection(("tank/**",)), 60, (), {}, Limits(min_free_percent=10))
    source = Source(
        node=ALPHA,
        epoch=Epoch(1, "9f3a21cc"),
        policies=[policy],
        targets=[],
        ports={"ZfsPort": ModelZfs(pools), "JournalPort": ModelJournal(clock)},
        clock=clock,
        agenda=_Now(),
        tell=lambda event, **fields: told.append((event, fields)),
        rescan_seconds=300,
    )
    pools.write("tank/a", "ballast", bytes(1000 << 20))
    for _ in range(4):
        loop.run_until(loop.now + 60)
        source.start_tick(("p", "tank"))
    assert [event for event, _ in told] == [Event.TICK_PAUSED]
    pools.remove("tank/a", "ballast")
    source.start_tick(("p", "tank"))
    over = {"group": "p", "pool": "tank", "missed": 4, "seconds": 180}
    assert (Event.TICK_RECOVERED, over) in told


def test_a_sync_wakes_the_lanes_that_it_waits_for_and_the_words_of_ticks() -> None:
    loop, asked = Loop(), _Asked()
    clock, pools = NodeClock(loop, 1_700_000_000.0), ModelPools({"tank": 1 << 30})
    for name in ("tank/a", "tank/b"):
        pools.make_dataset(name)
    policy = Policy("p", "alpha", Selection(("tank/**",)), 60, ("beta",))
    ports = {"ZfsPort": ModelZfs(pools), "JournalPort": ModelJournal(clock)}
    source = Source(
        node=ALPHA,
        epoch=Epoch(1, "9f3a21cc"),
        policies=[policy],
        targets=[Target(BETA, None)],  # type: ignore[arg-type]
        ports=ports,
        clock=clock,
        agenda=asked,
        tell=lambda *_, **__: None,
        rescan_seconds=300,
    )
    run(source.tick(("p", "tank")), ports)
    states = {state.lane.dataset: state for state in source.lanes.states.values()}
    states["tank/a"].failures = states["tank/b"].failures = 6
    asked.keys.clear()
    agenda: Any = _Monitor()
    syncs = Syncs(source, agenda, clock, ports)
    token = syncs.begin(["tank/a"])["sync"]
    woken = (("lane", states["tank/a"].lane.uuid), 0.0)
    assert woken in asked.keys
    assert (("manifests", BETA.uuid), 0.0) in asked.keys
    assert (("lane", states["tank/b"].lane.uuid), 0.0) not in asked.keys
    states["tank/a"].failures = 6  # it failed again, before the tick that the sync waits for
    asked.keys.clear()
    run(source.tick(("p", "tank")), ports)
    assert woken not in asked.keys
    assert not syncs.look(token)["done"]
    assert woken in asked.keys
    asked.keys.clear()
    assert not syncs.look(token)["done"]
    assert woken not in asked.keys, "a look is no further try"


class _Monitor:
    """An agenda of which nothing but the monitor is asked."""

    monitor = nullcontext()
