"""What stands on a snapshot is seen right before it would go, on both sides, and named."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.simulation.loop import Loop, NodeClock
from tests.unit.test_found_by_simulation import REPLICA, Pair, tick_name
from tests.unit.test_source_retention import Alpha
from zrepl_py.core.audit.finding import Level
from zrepl_py.core.audit.service import judge_status
from zrepl_py.core.caution import Doubt, Removal, plan_removal
from zrepl_py.core.retention import Votes, join_pins, judge
from zrepl_py.daemon.proof_jobs import Job, readers_of
from zrepl_py.daemon.readers import Readers
from zrepl_py.engine.commands import run
from zrepl_py.engine.last_look import LastLook, plan_freshly
from zrepl_py.events import Event
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.observation import Dependents
from zrepl_py.model.policy import Keep, Limits
from zrepl_py.model.proof import Reading, Subject, Way
from zrepl_py.testing.model_zfs import ModelZfs

from .cli_support import lane, status
from .histories import parse_history

DATASET = "tank/a"
FIVE = parse_history("1 2 3 4 5")


class Pool:
    """ZfsPort, as far as a last look needs it."""

    def __init__(self, seen: dict[int, Dependents], gone: tuple[int, ...] = ()) -> None:
        self.seen, self.gone = seen, gone
        self.looks: list[list[int]] = []

    def observe_dependents(self, snapshots: tuple[str, ...]) -> dict[str, Dependents]:
        guids = {f"{DATASET}@{s.name}": s.guid for s in FIVE.snapshots}
        self.looks.append([guids[name] for name in snapshots])
        return {n: self.seen.get(guids[n], Dependents()) for n in snapshots
                if guids[n] not in self.gone}  # fmt: skip


def look(
    pool: Pool, keep: Keep, limits: Limits | None = None, pins: Votes | None = None
) -> LastLook:
    limits = limits or Limits(max_remove_percent=100)

    def plan(history: History, found: Votes) -> tuple[Removal, Votes]:
        every = join_pins(found, pins or {})
        return plan_removal(history, keep, limits, every), every

    engine = plan_freshly(DATASET, FIVE, limits, plan, {}, dict)
    return run(engine, {"ZfsPort": pool})


def going(seen: LastLook) -> list[int]:
    return [v.snapshot.guid for v in seen.removal.doomed]


def test_a_plan_of_nothing_costs_no_look() -> None:
    pool = Pool({})
    assert going(look(pool, Keep(last=5))) == []
    assert pool.looks == []


def test_what_would_go_is_looked_at_once_and_nothing_else_is() -> None:
    pool = Pool({})
    assert going(look(pool, Keep(last=2))) == [1, 2, 3]
    assert pool.looks == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("those", "cause"),
    [
        (Dependents(frozenset({"of a person"})), "held: of a person"),
        (Dependents(clones=frozenset({"tank/x"})), "cloned: tank/x"),
        (Dependents(in_use=True), "read by somebody: it is mounted, or being sent"),
    ],
)
def test_what_is_found_stays_and_is_named(those: Dependents, cause: str) -> None:
    seen = look(Pool({2: those}), Keep(last=2))
    assert going(seen) == [1, 3]
    assert {s.guid: why for s, why in seen.spared.items()} == {2: (cause,)}
    assert seen.pins[2] == (cause,)


def test_what_a_minimum_count_lets_go_because_of_a_pin_is_looked_at_too() -> None:
    """Pinned ones count for the minimum, so others go that were not looked at before."""
    pool = Pool({1: Dependents(frozenset({"x"})), 3: Dependents(frozenset({"y"}))})
    seen = look(pool, Keep(at_least=3))
    assert [going(seen), pool.looks] == [[2, 4], [[1, 2], [3], [4]]]
    assert {s.guid for s in seen.spared} == {1, 3}


def test_over_the_cap_all_are_looked_at_for_what_is_pinned_does_not_count() -> None:
    pool = Pool({5: Dependents(frozenset({"x"})), 4: Dependents(clones=frozenset({"tank/x"}))})
    limits = Limits(max_snapshots=2, max_remove_percent=100)
    seen = look(pool, Keep(last=5), limits)
    pins: Votes = {5: ("held: x",), 4: ("cloned: tank/x",)}
    whole = judge(FIVE, Keep(last=5), limits, pins)
    assert going(seen) == [v.snapshot.guid for v in whole if not v.keep] == [1]
    assert not seen.spared, "they would have stayed in any case"


def test_what_is_gone_is_no_part_of_the_plan() -> None:
    seen = look(Pool({}, gone=(2,)), Keep(last=2))
    assert going(seen) == [1, 3]
    assert [s.guid for s in seen.gone] == [2]
    assert seen.history.snapshot(2) is None


def test_what_is_only_asked_about_is_looked_at_too_so_that_the_plan_has_one_name() -> None:
    limits = Limits(max_remove_percent=100)

    def plan(history: History, found: Votes) -> tuple[Removal, Votes]:
        removal = plan_removal(history, Keep(last=2), limits, found)
        return Removal((), Doubt("removes-much", "So many."), removal.doomed), found

    pool = Pool({2: Dependents(clones=frozenset({"tank/x"}))})
    seen = run(plan_freshly(DATASET, FIVE, limits, plan, {}, dict), {"ZfsPort": pool})
    assert [v.snapshot.guid for v in seen.removal.withheld] == [1, 3]


class Listening(Alpha):
    """A source with hours of snapshots, of which five should stay, and what it tells."""

    def __init__(self) -> None:
        super().__init__(Keep(last=5), hours=9)

    def first(self) -> Snapshot:
        return self.zfs.observe_history("tank/a").snapshots[0]

    def tells(self, event: Event) -> list[dict[str, Any]]:
        return [fields for said, fields in self.told if said is event]


def test_a_hold_and_a_clone_on_the_source_are_named_once_and_go_after_release() -> None:
    alpha = Listening()
    one, two = alpha.pools.dataset("tank/a").snapshots[:2]
    one.holds.add("of a person")
    alpha.pools.clone(f"tank/a@{two.name}", "tank/x")
    assert alpha.prune()[:2] == ["1", "2"]
    (pruned,) = alpha.tells(Event.PRUNED)
    assert pruned["left"] == [
        f"tank/a@{one.name}: held: of a person",
        f"tank/a@{two.name}: cloned: tank/x",
    ]
    alpha.prune()
    assert all(not fields["left"] for fields in alpha.tells(Event.PRUNED)[1:]), "said once"
    one.holds.clear()
    alpha.pools.destroy("tank/x")
    assert "1" not in alpha.prune()
    assert "2" not in alpha.prune()


def test_what_a_proof_reads_stays_on_the_source() -> None:
    alpha = Listening()
    first = alpha.first()
    alpha.source.readers = lambda: {first.guid: "a drill of the copy on beta"}
    assert alpha.prune()[0] == "1"
    alpha.source.readers = dict
    assert alpha.prune()[0] != "1"


def test_what_begins_to_wait_while_the_pool_is_asked_stays() -> None:
    """A target that had nothing gets its first snapshot during the look."""
    alpha = Alpha(Keep(last=5), hours=9, limits=Limits(max_remove_percent=100))
    run(alpha.source.tick(("p", "tank")), alpha.ports)
    third = alpha.zfs.observe_history("tank/a").snapshots[2]
    (lane,) = [s for s in alpha.source.lanes.states.values() if s.lane.dataset == "tank/a"]

    class Slow(ModelZfs):
        def observe_dependents(self, snapshots: Sequence[str]) -> dict[str, Dependents]:
            lane.arrived = third
            return super().observe_dependents(snapshots)

    run(alpha.source.prune(("p", "tank")), {**alpha.ports, "ZfsPort": Slow(alpha.pools)})
    left = [v.name.split("_")[2] for v in alpha.pools.dataset("tank/a").snapshots]
    assert left == ["4", "5", "6", "7", "8", "9"]


def test_what_somebody_destroyed_is_told_and_survived() -> None:
    alpha = Listening()
    alpha.prune()
    second = alpha.zfs.observe_history("tank/a").snapshots[1]
    alpha.pools.destroy(f"tank/a@{second.name}")
    alpha.prune()
    (gone,) = alpha.tells(Event.SNAPSHOTS_GONE)
    assert gone == {"dataset": "tank/a", "count": 1, "names": [second.name]}
    for _ in range(3):
        alpha.prune()
    assert len(alpha.tells(Event.SNAPSHOTS_GONE)) == 1, "said once; its own destroys never are"


def test_what_is_gone_before_the_next_look_at_the_pool_is_found_when_it_would_go() -> None:
    alpha = Listening()
    run(alpha.source.tick(("p", "tank")), alpha.ports)
    first = alpha.first()
    alpha.pools.destroy(f"tank/a@{first.name}")
    run(alpha.source.prune(("p", "tank")), alpha.ports)
    assert [gone["names"] for gone in alpha.tells(Event.SNAPSHOTS_GONE)] == [[first.name]]
    assert not alpha.tells(Event.PRUNE_FAILED)


def test_a_clone_of_a_replica_is_named_and_goes_after_release() -> None:
    pair, told = Pair(keep=Keep(last=1)), list[tuple[Event, dict[str, Any]]]()
    pair.replicas._tell = lambda event, **fields: told.append((event, fields))
    for seq in (1, 2, 3):
        pair.take(seq)
        pair.send(seq, seq - 1 or None)
    pair.target.clone(f"{REPLICA}@{tick_name(1)}", "back/x")
    run(pair.replicas.prune(pair.known), pair.ports)
    assert told[-1][1]["left"] == [f"{REPLICA}@{tick_name(1)}: cloned: back/x"]
    assert not pair.replicas.is_pruned(pair.known), "it is looked at again"
    pair.target.destroy("back/x")
    run(pair.replicas.prune(pair.known), pair.ports)
    assert [v.name for v in pair.target.dataset(REPLICA).snapshots] == [tick_name(3)]


def test_what_the_source_reads_stays_on_the_replica() -> None:
    pair = Pair(keep=Keep(last=1))
    for seq in (1, 2, 3):
        pair.take(seq)
        pair.send(seq, seq - 1 or None)
    first = pair.target.dataset(REPLICA).snapshots[0]
    pair.replicas.readers = lambda: {first.guid: "alpha: a comparison"}
    run(pair.replicas.prune(pair.known), pair.ports)
    assert [v.name for v in pair.target.dataset(REPLICA).snapshots] == [tick_name(1), tick_name(3)]


def test_a_question_is_open_until_it_is_answered() -> None:
    alpha = Alpha(Keep(last=5))
    alpha.prune()
    (question,) = alpha.source.questions
    assert (question["dataset"], question["reason"]) == ("tank/a", "removes-much")
    assert question["allow"] == f"zr retention apply tank/a --plan {question['plan']}"
    assert question["snapshots"] > 100
    for version in list(alpha.pools.dataset("tank/a").snapshots)[:-6]:  # a person said yes
        alpha.pools.destroy(f"tank/a@{version.name}")
    run(alpha.source.prune(("p", "tank")), alpha.ports)
    assert alpha.source.questions == []


def test_a_proof_that_runs_needs_the_snapshot_also_while_it_does_not_read_it() -> None:
    jobs = [
        Job("1", "lane", "tank/a", "beta", way, None, True, state, _reading(guid, way))
        for guid, way, state in (
            (1, Way.DRILL, "running"),
            (2, Way.VERIFY, "running"),
            (3, Way.VERIFY, "ended"),
            (4, Way.VERIFY, "waiting"),
        )
    ]
    waits = Job("2", "lane", "tank/a", "beta", Way.DRILL, None, False, "running")
    assert readers_of([*jobs, waits]) == {
        1: "a drill of the copy on beta",
        2: "a comparison with beta",
    }


def _reading(guid: int, way: Way) -> Reading:
    return Reading(Subject("lane", "tank/a", "beta", "zr_1", guid, False, False), way, 0)


def test_who_asks_for_pages_is_a_reader_for_five_minutes_who_gets_a_stream_until_it_ends() -> None:
    loop = Loop()
    readers = Readers(NodeClock(loop, 1_700_000_000.0))
    readers.note(1, "alpha: a comparison")
    with readers.reading(2, "alpha: a restore or a drill"):
        loop.now += 299
        both = {1: "alpha: a comparison", 2: "alpha: a restore or a drill"}
        assert readers.now() == both
        loop.now += 2
        assert readers.now() == {2: "alpha: a restore or a drill"}
    assert readers.now() == {}
    readers.note(1, "alpha: a comparison")
    readers.note(1, "alpha: a comparison", 0.0)
    assert readers.now() == {}


def test_what_retention_asks_is_a_finding_with_the_answer_as_its_remedy() -> None:
    allow = "zr retention apply tank/a --plan 1f0c9a7be2d4"
    question = {
        "dataset": "tank/a",
        "reason": "removes-much",
        "message": "Too many.",
        "snapshots": 163,
        "plan": "1f0c9a7be2d4",
        "allow": allow,
    }
    (found,) = judge_status(status([lane()]) | {"questions": [question]})
    assert (found.id, found.level, found.subject) == ("retention-asks", Level.WARNING, "tank/a")
    assert "163" in found.sentence
    assert "zr retention plan tank/a" in found.remedy
    assert found.remedy.endswith(allow)
