"""What the simulator found, each as its smallest case; docs/design/simulation.md tells more."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.simulation.loop import Loop, NodeClock
from zrepl_py.core.diff import newest_own
from zrepl_py.core.replication import LaneView
from zrepl_py.core.retention import judge
from zrepl_py.daemon.lanes import Lanes, LaneState
from zrepl_py.daemon.replicas import Replicas
from zrepl_py.engine.commands import Command, Engine, run
from zrepl_py.engine.lane import LaneResult, replicate_lane
from zrepl_py.engine.receive import Place, Replica
from zrepl_py.errors import Passing, Refused
from zrepl_py.events import Event
from zrepl_py.model.history import EMPTY, History, Snapshot
from zrepl_py.model.names import Epoch, TickName, render_hold, render_tick
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.policy import Keep, Limits, Policy, Selection
from zrepl_py.model.receipt import Holding, Receipt
from zrepl_py.model.site import Lane, Manifest, Node
from zrepl_py.model.wire import Begin, Committed, LaneName
from zrepl_py.testing.model_journal import ModelJournal
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

ALPHA = Node("a1a1a1a1-0000-4000-8000-000000000000", "alpha")
BETA = Node("b1b1b1b1-0000-4000-8000-000000000000", "beta")
LANE = LaneName("lane-1", "tank/a")
REPLICA = "back/zr/alpha/tank/a"
TAG = render_hold(ALPHA.short)


def tick_name(seq: int) -> str:
    return render_tick(TickName(Epoch(1, "9f3a21cc"), seq, 1_700_000_000 + 60 * seq))


class Pair:
    """Two model nodes, joined by calls without a network."""

    def __init__(self, keep: Keep | None = None) -> None:
        self.source = ModelPools({"tank": 1 << 30})
        self.target = ModelPools({"back": 1 << 30}, seed=1)
        self.source.make_dataset("tank/a")
        self.target.make_dataset("back/zr", mounted=False)
        self.zfs, self.there = ModelZfs(self.source), ModelZfs(self.target)
        self.ports: dict[str, Any] = {
            "ZfsPort": self.there,
            "JournalPort": ModelJournal(NodeClock(Loop(), 1_700_000_000.0)),
        }
        policy = Policy("all", "alpha", Selection(("tank/**",)), 60, ("beta",))
        if keep:
            policy = replace(policy, keep={"beta": keep})
        self.replicas = Replicas(
            name="beta",
            places=[Place("back/zr/alpha", ALPHA)],
            policies=[policy] if keep else (),
            ports=self.ports,
            tell=lambda *_, **__: None,
        )
        self.known = self.replicas.find(ALPHA.uuid, LANE)

    def take(self, seq: int) -> None:
        self.source.write("tank/a", "f", f"{seq}".encode())
        self.source.foreign_snapshot(f"tank/a@{tick_name(seq)}")

    def send(self, seq: int, base: int | None, port: "type[_BytesFor] | None" = None) -> Committed:
        """One stream, received by the production engines."""
        to = self.source.version(f"tank/a@{tick_name(seq)}")
        start = self.source.version(f"tank/a@{tick_name(base)}") if base else None
        assert to is not None
        begin = Begin(
            LANE, to.name, to.guid, start.guid if start else 0, False, False, "1-9f3a21cc"
        )
        content = self.zfs.stream_of(
            f"tank/a@{to.name}", f"tank/a@{start.name}" if start else None, raw=False, resume=None
        )
        replica = run(self.replicas.prepare(self.known, begin), self.ports)
        received = (port or _BytesFor)(self.there, content)
        engine = self.replicas.receive(self.known, replica, begin, 0)
        return run(engine, {**self.ports, "ZfsPort": received})

    def held(self) -> list[str]:
        return [v.name for v in self.target.dataset(REPLICA).snapshots if TAG in v.holds]


class _BytesFor:
    """The model's ZFS, whose receive takes bytes instead of a pipe."""

    def __init__(self, zfs: ModelZfs, content: bytes) -> None:
        self._zfs, self._content = zfs, content

    def receive(self, snapshot: str, *, fd: int, **expected: Any) -> None:
        self._zfs.receive_stream(snapshot, self._content, **expected)

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._zfs, verb)


class _Calls:
    """The model's ZFS, and which verbs it was asked for."""

    def __init__(self, zfs: ModelZfs) -> None:
        self._zfs, self.verbs = zfs, list[str]()

    def __getattr__(self, verb: str) -> Any:
        self.verbs.append(verb)
        return getattr(self._zfs, verb)


def test_a_foreign_snapshot_on_the_replica_takes_no_hold_over() -> None:
    """Seed 0: the base before stayed held for ever, because a foreign one was newer than it."""
    pair = Pair()
    pair.take(1)
    pair.send(1, None)
    pair.target.foreign_snapshot(f"{REPLICA}@by-hand")
    pair.known.replica = None  # as after any error: observed again, with the foreign one
    pair.take(2)
    pair.send(2, 1)
    assert pair.held() == [tick_name(2)]


def test_what_is_remembered_of_a_receive_is_what_the_pool_shows() -> None:
    """Seed 5: retention counted from the tick's second, not from the snapshot's creation."""
    pair = Pair()
    pair.source.now = lambda: 1_700_000_999.0
    pair.take(1)
    pair.send(1, None)
    assert pair.known.replica is not None
    remembered = pair.known.replica.view.history.snapshots
    assert remembered == pair.there.observe_history(REPLICA).snapshots
    assert judge(pair.known.replica.view.history, Keep(last=1), Limits(), {})[0].keep


def test_a_tick_told_twice_at_once_is_written_once() -> None:
    """Mutant seed 9: a slow disk, a source that gives up and asks again."""
    pair = Pair()
    manifest = Manifest("all/tank", 7, "1-9f3a21cc", 0, {"tank/a": 1})
    first = pair.replicas.store_manifest(ALPHA.uuid, manifest)
    append = next(first)
    with pytest.raises(Passing, match="still being written"):
        next(pair.replicas.store_manifest(ALPHA.uuid, manifest))
    pair.ports["JournalPort"].append(*append.args)
    with pytest.raises(StopIteration):
        first.send("hash")
    run(pair.replicas.store_manifest(ALPHA.uuid, manifest), pair.ports)
    assert len(list(pair.ports["JournalPort"].records("manifest"))) == 1


def test_a_snapshot_that_goes_while_the_plan_runs_is_planned_around() -> None:
    """Seed 153: our own retention took one of a backlog; the lane waited a minute for nothing."""
    pair = Pair()
    for seq in (1, 2, 3):
        pair.take(seq)
    sent: list[str] = []

    def destroy_second(name: str) -> None:
        if not sent:
            pair.source.destroy(f"tank/a@{tick_name(2)}")
        sent.append(name)

    result = drive(pair, replicate_lane(SENT, None), destroy_second)
    assert sent == [tick_name(1), tick_name(3)]
    assert [s.name for s in result.committed] == sent
    assert result.view.held == {result.committed[-1].guid}


def test_what_the_target_has_is_known_while_it_is_sent_more() -> None:
    """Night seeds 105135976384, 237013654247, 894019770912: a replica was destroyed and sent again
    from its beginning; until that was over, retention believed that nothing waited for it."""
    pair = Pair()
    seen: list[str] = []

    def note(view: LaneView) -> None:
        newest = newest_own(view.replica.history)
        seen.append(newest.name if newest else "")

    pair.take(1)
    drive(pair, replicate_lane(SENT, None, noted=note), lambda _: None)
    assert seen == ["", tick_name(1)]
    pair.take(2)
    drive(pair, replicate_lane(SENT, None, noted=note), lambda _: None)
    assert seen[2:] == [tick_name(1), tick_name(2)]
    pair.target.destroy(REPLICA)
    pair.known.replica = None
    seen.clear()
    with pytest.raises(Passing):
        drive(pair, replicate_lane(SENT, None, noted=note), fail)
    assert seen == [""], "also where nothing could be sent"


SENT = Lane("lane-1", "tank/a", BETA, False)


def fail(name: str) -> None:
    raise Passing("peer-silent", f"{name} is cut.")


def drive(pair: Pair, engine: Engine[LaneResult], sent: Callable[[str], None]) -> LaneResult:
    """Run it between the two; `sent(name)` is called after each stream."""
    try:
        command: Command = next(engine)
        while True:
            outcome: Any = None
            if command.verb == "transfer":
                step = command.args[1]
                base = int(step.base.name.split("_")[2]) if hasattr(step, "base") else None
                outcome = pair.send(int(step.to.name.split("_")[2]), base)
                sent(step.to.name)
            elif command.verb == "observe_replica":
                outcome = run(pair.replicas.observe(pair.known, LANE), pair.ports)
            elif command.port == "ZfsPort":
                try:
                    outcome = getattr(pair.zfs, command.verb)(*command.args, **command.kwargs)
                except Exception as error:  # noqa: BLE001 - as the runner does
                    command = engine.throw(error)
                    continue
            command = engine.send(outcome)
    except StopIteration as ended:
        result: LaneResult = ended.value
        return result


def begin_of(lane: LaneName, *, parent: str = "") -> Begin:
    return Begin(lane, tick_name(1), 7, 0, False, False, "1-9f3a21cc", parent=parent)


def test_no_placeholder_takes_the_place_of_a_replica_to_come() -> None:
    """Replicas were destroyed by hand: children came back first, and their parent never could."""
    pair = Pair()
    child = LaneName("lane-2", "tank/a/b")
    known = pair.replicas.find(ALPHA.uuid, child)
    with pytest.raises(Passing, match="tank/a/b") as raised:
        run(pair.replicas.prepare(known, begin_of(child, parent=LANE.lane)), pair.ports)
    assert raised.value.reason == "parent-missing"
    assert pair.target.find(REPLICA) is None
    assert pair.target.find("back/zr/alpha") is None
    pair.take(1)
    pair.send(1, None)
    run(pair.replicas.prepare(known, begin_of(child, parent=LANE.lane)), pair.ports)


CHILD = LaneName("c1c2c3c4-0000-5000-8000-000000000000", "tank/moved/new")
BESIDE = f"{REPLICA}/new_c1c2c3c4"


def prepared_child(pair: Pair, *, parent: str = "") -> Replica:
    known = pair.replicas.find(ALPHA.uuid, CHILD)
    return run(pair.replicas.prepare(known, begin_of(CHILD, parent=parent)), pair.ports)


def test_a_child_of_a_renamed_dataset_comes_below_its_parents_replica() -> None:
    """Seed 14: the replica kept its old name, and the child's was refused below the new one: ZFS
    makes no placeholders below an encrypted replica."""
    pair = Pair()
    pair.take(1)
    pair.send(1, None)
    assert prepared_child(pair, parent=LANE.lane).name == BESIDE
    assert pair.target.find("back/zr/alpha/tank/moved") is None


def test_a_placeholder_at_its_name_keeps_no_replica_away() -> None:
    """Seed 498657452321: somebody destroyed the replica in the seconds before its child came."""
    pair = Pair()
    pair.there.create_placeholder(f"{REPLICA}/b")
    pair.take(1)
    pair.send(1, None)
    name = f"{REPLICA}_lane1"
    assert pair.target.dataset(name).local["zr:lane"] == LANE.lane
    pair.known.replica = None
    pair.take(2)
    pair.send(2, 1)
    assert [v.name for v in pair.target.dataset(name).snapshots] == [tick_name(1), tick_name(2)]


def test_a_replica_beside_its_usual_place_is_found_again_without_a_mark() -> None:
    """A crash between its first stream and its mark, or a first stream that was cut."""
    pair = Pair()
    pair.take(1)
    pair.send(1, None)
    pair.target.make_dataset(BESIDE, mounted=False)
    pair.there.create_placeholder("back/zr/alpha/tank/moved/new")
    known = pair.replicas.find(ALPHA.uuid, CHILD)
    assert run(pair.replicas.observe(known, CHILD), pair.ports).exists
    assert known.replica is not None
    assert known.replica.name == BESIDE


def test_a_replica_that_was_not_marked_is_marked_by_the_next_stream() -> None:
    """A crash right after the first commit: after a rename the replica would not be found."""
    pair = Pair()
    pair.take(1)
    pair.send(1, None)
    del pair.target.dataset(REPLICA).local["zr:lane"]
    pair.known.replica = None
    pair.take(2)
    pair.send(2, 1)
    assert pair.target.dataset(REPLICA).local["zr:lane"] == LANE.lane


def test_what_somebody_holds_on_a_replica_is_only_looked_at() -> None:
    """Seed 22: every minute a transaction and an event, for a snapshot that could not go."""
    pair, told = Pair(keep=Keep(last=1)), list[Event]()
    pair.replicas._tell = lambda event, **_: told.append(event)
    for seq in (1, 2, 3):
        pair.take(seq)
        pair.send(seq, seq - 1 or None)
    held = pair.target.version(f"{REPLICA}@{tick_name(1)}")
    assert held is not None
    held.holds.add("by-hand")
    run(pair.replicas.prune(pair.known), pair.ports)
    assert [v.name for v in pair.target.dataset(REPLICA).snapshots] == [tick_name(1), tick_name(3)]
    assert told[-1] is Event.PRUNED
    told.clear()
    asked = _Calls(pair.there)
    run(pair.replicas.prune(pair.known), {**pair.ports, "ZfsPort": asked})
    assert (asked.verbs, told) == (["observe_dependents"], [])
    held.holds.clear()
    run(pair.replicas.prune(pair.known), pair.ports)
    assert [v.name for v in pair.target.dataset(REPLICA).snapshots] == [tick_name(3)]


def test_a_replica_that_was_not_marked_is_marked_when_its_base_is_held() -> None:
    """Seed 62: a crash right after a first commit, then nothing more to send: its children waited
    for a mark that only the next stream would have made."""
    pair = Pair()
    pair.take(1)
    committed = pair.send(1, None)
    del pair.target.dataset(REPLICA).local["zr:lane"]
    pair.target.version(f"{REPLICA}@{tick_name(1)}").holds.clear()  # type: ignore[union-attr]
    pair.known.replica = None
    run(pair.replicas.hold_base(pair.known, LANE, committed.guid), pair.ports)
    assert pair.target.dataset(REPLICA).local["zr:lane"] == LANE.lane
    assert pair.held() == [tick_name(1)]
    child = LaneName("lane-2", "tank/a/b")
    known = pair.replicas.find(ALPHA.uuid, child)
    run(pair.replicas.prepare(known, begin_of(child, parent=LANE.lane)), pair.ports)


class _Asked:
    """An agenda that only notes what is asked for."""

    def __init__(self) -> None:
        self.keys: list[tuple[Any, float]] = []

    def start(self, key: Any, engine: Any, ports: Any, after_seconds: float = 0.0) -> None:
        self.keys.append((key, after_seconds))


def test_a_failed_child_is_not_asked_at_once_by_a_parent_with_nothing_new() -> None:
    """Seed 62: child and parent woke each other as fast as the link carried it, for hours."""
    asked = _Asked()
    clock = NodeClock(Loop(), 1_700_000_000.0)
    lanes = Lanes(ALPHA, {}, clock, asked, lambda *_, **__: None, lambda _: EMPTY, lambda _: None)
    parent = LaneState(Lane("lane-1", "tank/a", BETA, False), "all/tank", Keep(), None)
    child = LaneState(Lane("lane-2", "tank/a/b", BETA, False), "all/tank", Keep(), "lane-1")
    lanes.states = {"lane-1": parent, "lane-2": child}
    lanes._peers[BETA.uuid] = None  # type: ignore[assignment]
    one = Snapshot(7, 1, tick_name(1), 1_700_000_060)
    view = LaneView(BETA.short, False, History((one,)), frozenset(), ReplicaView(True, EMPTY))
    lanes._succeeded("lane-1", parent, LaneResult(view))
    assert asked.keys == [(("lane", "lane-2"), 0.0)]
    child.failures = 3
    lanes._succeeded("lane-1", parent, LaneResult(view))
    assert len(asked.keys) == 1
    lanes._succeeded("lane-1", parent, LaneResult(view, committed=(one,)))
    assert len(asked.keys) == 2


def test_a_receipt_is_refused_for_what_is_not_there() -> None:
    """A mutant: a target that confirms without a look at its pool."""
    pair = Pair()
    pair.take(1)
    committed = pair.send(1, None)
    held = Holding(LANE.lane, LANE.dataset, committed.guid, tick_name(1))
    receipt = Receipt(1, ALPHA.uuid, "alpha", BETA.uuid, "beta", "1-9f3a21cc", 0, 0, {}, (held,))
    run(pair.replicas.store_receipt(ALPHA.uuid, receipt), pair.ports)
    for wrong in (replace(held, guid=7), replace(held, name=tick_name(2))):
        false = replace(receipt, holdings=(held, wrong))
        with pytest.raises(Refused, match="is not on the target") as raised:
            run(pair.replicas.store_receipt(ALPHA.uuid, false), pair.ports)
        assert raised.value.reason == "receipt-false"
    assert len(list(pair.ports["JournalPort"].records("receipt"))) == 1
