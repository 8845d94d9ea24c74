"""plan_lane: what is done, in which order, for every situation a crash can leave."""

from dataclasses import replace

import pytest

from tests.unit.histories import TARGET, parse_history
from zrepl_py.core.diff import newest_own
from zrepl_py.core.replication import (
    LaneView,
    apply_step,
    plan_lane,
    plan_protection,
    rests_on_memory,
)
from zrepl_py.model.history import History
from zrepl_py.model.names import render_cursor
from zrepl_py.model.observation import ReplicaView, ResumePoint
from zrepl_py.model.plan import (
    AbortPartial,
    Hold,
    HoldBase,
    Plan,
    Release,
    Resume,
    SendFull,
    SendIncrement,
    SetCursor,
    Skipped,
)


def view_of(
    source: str,
    replica: str | None,
    held: set[int] | None = None,
    resume: ResumePoint | None = None,
    held_there: set[int] | None = None,
) -> LaneView:
    history = parse_history(replica or "", txg_offset=5000)
    newest = newest_own(history)
    settled = {newest.guid} if newest else set()
    held_on_target = frozenset(settled if held_there is None else held_there)
    there = ReplicaView(replica is not None, history, resume, held_on_target)
    return LaneView(TARGET, False, parse_history(source), frozenset(held or ()), there)


def plan_of(view: LaneView, left_out: tuple[int, ...] = ()) -> Plan:
    def skip(pending: tuple[object, ...], replica: History) -> tuple[Skipped, ...]:
        return tuple(Skipped(s, "test") for s in view.source.snapshots if s.guid in left_out)

    plan = plan_lane(view, skip)
    assert isinstance(plan, Plan)
    return plan


def words(plan: Plan) -> list[str]:
    """`hold 2`, `incr 1-2`, …"""
    said = []
    for step in plan.steps:
        match step:
            case SendFull(to):
                said.append(f"full {to.guid}")
            case SendIncrement(base, to):
                said.append(f"incr {base.guid}-{to.guid}")
            case Resume(base, to, _, _):
                said.append(f"resume {base.guid if base else 0}-{to.guid}")
            case AbortPartial(guid, _):
                said.append(f"abort {guid}")
            case Hold(snapshot):
                said.append(f"hold {snapshot.guid}")
            case Release(snapshot):
                said.append(f"release {snapshot.guid}")
            case SetCursor(base):
                said.append(f"cursor {base.guid}")
            case HoldBase(base):
                said.append(f"there {base.guid}")
    return said


def test_first_time_everything_in_order() -> None:
    assert words(plan_of(view_of("1 2", None))) == [
        "hold 1", "full 1", "cursor 1", "hold 2", "incr 1-2", "cursor 2", "release 1",
    ]  # fmt: skip


def test_steady_increment_costs_four_steps() -> None:
    assert words(plan_of(view_of("1@# 2", "1", held={1}))) == [
        "hold 2", "incr 1-2", "cursor 2", "release 1",
    ]  # fmt: skip


def test_in_sync_is_nothing_to_do() -> None:
    assert words(plan_of(view_of("1 2@#", "1 2", held={2}))) == []


def test_crash_after_commit_before_cursor() -> None:
    """The target committed 2, the acknowledgement was lost: settle, send nothing again."""
    assert words(plan_of(view_of("1@# 2", "1 2", held={1, 2}))) == ["cursor 2", "release 1"]


def test_base_that_is_only_a_bookmark() -> None:
    assert words(plan_of(view_of("1# 2", "1"))) == ["hold 2", "incr 1-2", "cursor 2"]


def test_resume_then_the_rest() -> None:
    point = ResumePoint(to_guid=2, from_guid=1, object=7, offset=8, bytes_received=9, raw=False)
    assert words(plan_of(view_of("1@# 2 3", "1", held={1, 2}, resume=point))) == [
        "hold 2", "resume 1-2", "cursor 2", "release 1",
        "hold 3", "incr 2-3", "cursor 3", "release 2",
    ]  # fmt: skip


def test_resume_of_a_first_full() -> None:
    point = ResumePoint(1, 0, 7, 8, 9, raw=False)
    assert words(plan_of(view_of("1", "", held={1}, resume=point)))[:2] == ["hold 1", "resume 0-1"]


def test_partial_that_no_longer_fits_is_aborted_first() -> None:
    for point in (
        ResumePoint(77, 1, 0, 0, 0, raw=False),  # its snapshot is gone here
        ResumePoint(2, 1, 0, 0, 0, raw=True),  # begun raw
        ResumePoint(2, 99, 0, 0, 0, raw=False),  # from another base
    ):
        said = words(plan_of(view_of("1@# 2", "1", held={1}, resume=point)))
        assert said[0] == f"abort {point.to_guid}"
        assert "incr 1-2" in said


def test_skipped_are_not_sent_but_the_order_stays() -> None:
    assert words(plan_of(view_of("1@# 2 3 4", "1", held={1}), left_out=(2, 3))) == [
        "hold 4", "incr 1-4", "cursor 4", "release 1",
    ]  # fmt: skip


def test_stale_holds_go() -> None:
    assert words(plan_of(view_of("1 2 3@#", "3", held={1, 3}))) == ["release 1"]


def test_applying_a_plan_leaves_nothing_to_do() -> None:
    view = view_of("1 2 f9 3", None)
    for txg, step in enumerate(plan_of(view).steps, start=1):
        view = apply_step(view, step, createtxg=txg)
    assert words(plan_of(view)) == []
    assert view.held == {3}
    assert [c.name for c in view.cursors()] == [render_cursor(TARGET, 3)]
    assert plan_of(replace(view, held=frozenset())).steps == (Hold(view.source.snapshots[-1]),)


def test_the_target_holds_the_base_and_its_newest() -> None:
    """After a crash of the target between its commit and its hold, say."""
    view = view_of("1 2@#", "1 2", held={2}, held_there={1})
    assert words(plan_of(view)) == ["there 2"]
    assert words(plan_of(view_of("1@# 2", "1", held={1}, held_there=set())))[0] == "there 1"
    for step in plan_of(view).steps:
        view = apply_step(view, step)
    assert view.replica.held == {2}


@pytest.mark.parametrize(
    ("source", "replica", "held_there", "steps"),
    [
        # The source was rolled back to 1: what the target has since is held, and so is 1.
        ("1 4", "1 2 3", {3}, ["hold 1", "there 1"]),
        ("1", "1 2 3", {1, 3}, ["hold 1"]),
        ("1# 4", "1 2 3", {3}, ["there 1"]),
        ("1 2", "3 4", {4}, []),  # nothing in common
    ],
)
def test_a_conflict_holds_the_last_common_version_on_both_sides(
    source: str, replica: str, held_there: set[int], steps: list[str]
) -> None:
    view = view_of(source, replica, held_there=held_there)
    conflict = plan_lane(view)
    assert not isinstance(conflict, Plan)
    protection = plan_protection(view, conflict)
    assert words(Plan(protection, "")) == steps
    for step in protection:
        view = apply_step(view, step)
    assert plan_protection(view, conflict) == ()


def test_a_source_without_the_targets_newest_is_doubted() -> None:
    assert rests_on_memory(view_of("1", "1 2"))
    assert rests_on_memory(view_of("1 2#", "1 2"))
    assert not rests_on_memory(view_of("1 2 3", "1 2"))
    assert not rests_on_memory(view_of("1 2 3", None))
