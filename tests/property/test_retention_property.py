"""Retention's promises, over histories whose labels go anywhere."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.histories import own_name
from zrepl_py.core.retention import judge, judge_doomed, own_of, would_drop_on_target
from zrepl_py.core.voters import Own, vote_last, vote_newest, vote_within, voters_of
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.policy import CALENDAR, Keep, Limits, Rung

LABELS = st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=25)
RUNGS = st.lists(st.builds(Rung, st.integers(1, 6), st.integers(1, 1000)), max_size=3).map(tuple)
CALENDARS = st.sets(st.sampled_from(CALENDAR)).flatmap(
    lambda names: st.tuples(
        *(st.tuples(st.just(n), st.integers(1, 4)) for n in CALENDAR if n in names)
    )
)
PATTERNS = st.just(()) | st.just(("zr_*_[37]_*",))
TIMELESS = st.builds(
    Keep,
    st.none() | st.integers(1, 30),
    grid=RUNGS,
    calendar=CALENDARS,
    matching=PATTERNS,
    timezone=st.sampled_from(("UTC", "Europe/Berlin")),
)
"""Rules that do not depend on how old something is."""
VOTING = st.builds(
    lambda keep, within: replace(keep, within_seconds=within),
    TIMELESS,
    st.none() | st.integers(1, 4000),
)
KEEP = st.builds(
    lambda keep, least: replace(keep, at_least=least), VOTING, st.none() | st.integers(1, 9)
)
"""All rules; a minimum count has a fixed number of places, as the cap has."""
LIMITS = st.builds(Limits, st.integers(1, 30))
PINS = st.dictionaries(st.integers(1, 26), st.just(("pinned",)), max_size=4)
HISTORY = LABELS.map(
    lambda labels: History(
        tuple(
            Snapshot(g, 10 * g, own_name(g) if own else f"foreign{g}", at)
            for g, (at, own) in enumerate(labels, 1)
        )
    )
)
NO_CAP = Limits(max_snapshots=100_000)
DAY = 86_400


def kept(history: History, keep: Keep, limits: Limits, pins: dict[int, tuple[str, ...]],
         *more: int) -> set[int]:  # fmt: skip
    voters = [v for n in more for v in (vote_last(n), vote_within(100 * n))]
    verdicts = judge(history, keep, limits, pins, voters=voters)
    assert all(v.reasons for v in verdicts)
    return {v.snapshot.guid for v in verdicts if v.keep}


@given(HISTORY, KEEP, LIMITS, PINS)
def test_the_newest_and_the_pinned_stay_and_foreign_ones_are_not_judged(
    history: History, keep: Keep, limits: Limits, pins: dict[int, tuple[str, ...]]
) -> None:
    own = [s.guid for s in history.snapshots if s.name.startswith("zr_")]
    verdicts = judge(history, keep, limits, pins)
    assert [v.snapshot.guid for v in verdicts] == own
    stays = kept(history, keep, limits, pins)
    assert set(own[-1:]) <= stays
    assert pins.keys() & set(own) <= stays
    assert len(stays - pins.keys()) <= max(limits.max_snapshots, keep.at_least or 0)
    assert len(stays) >= min(keep.at_least or 0, len(own))


@given(HISTORY, KEEP, LIMITS, PINS, PINS, st.integers(1, 20))
def test_more_voters_never_keep_less(
    history: History,
    keep: Keep,
    limits: Limits,
    pins: dict[int, tuple[str, ...]],
    more: dict[int, tuple[str, ...]],
    voter: int,
) -> None:
    voting = replace(keep, at_least=None)
    assert kept(history, voting, NO_CAP, pins) <= kept(history, voting, NO_CAP, pins, voter)
    assert kept(history, voting, limits, pins) <= kept(history, voting, limits, {**pins, **more})
    assert len(kept(history, keep, limits, pins)) <= len(kept(history, keep, limits, pins, voter))


@given(HISTORY, KEEP, LIMITS, PINS)
def test_judging_what_stayed_changes_nothing(
    history: History, keep: Keep, limits: Limits, pins: dict[int, tuple[str, ...]]
) -> None:
    """Nothing that was kept goes without anything new, so pruning settles in one round.

    keep_within may only keep more the second time: gaps between what is left are wider.
    """
    stays = kept(history, keep, limits, pins)
    left = History(
        tuple(s for s in history.snapshots if s.guid in stays or not s.name.startswith("zr_"))
    )
    if keep.within_seconds is None:
        assert kept(left, keep, limits, pins) == stays


@given(HISTORY, st.integers(1, 2000), st.integers(2, 60))
def test_a_step_of_the_clock_never_empties_a_pool(
    history: History, ahead: int, within: int
) -> None:
    """One jump ahead: whatever was younger than half the window before it, stays."""
    own = [s for s in history.snapshots if s.name.startswith("zr_")]
    ordered = sorted(s.created_at for s in own)
    times = [*ordered, ordered[-1] + ahead * 1000] if ordered else []
    jumped = History(tuple(Snapshot(g, g, own_name(g), at) for g, at in enumerate(times, 1)))
    stays = kept(jumped, Keep(within_seconds=within), NO_CAP, {})
    for place, at in enumerate(ordered, 1):
        if ordered[-1] - at <= within / 2:
            assert place in stays


@given(HISTORY, HISTORY, KEEP)
def test_a_backlog_skips_exactly_what_retention_would_drop(
    there: History, more: History, keep: Keep
) -> None:
    shift = len(there.snapshots)
    pending = tuple(
        Snapshot(s.guid + shift, s.createtxg, s.name, s.created_at) for s in more.snapshots
    )
    skipped = {s.snapshot.guid for s in would_drop_on_target(pending, there, keep)}
    everything = History(
        tuple(
            Snapshot(s.guid, place, s.name, s.created_at)
            for place, s in enumerate([*there.snapshots, *pending])
        )
    )
    dropped = {v.snapshot.guid for v in judge(everything, keep, NO_CAP, {}) if not v.keep}
    assert skipped == dropped & {s.guid for s in pending}
    assert not pending or pending[-1].guid not in skipped


@given(HISTORY, VOTING)
def test_the_order_of_voters_changes_nothing(history: History, keep: Keep) -> None:
    own = Own(own_of(history))
    voters = [vote_newest, *voters_of(keep)]
    forward = {place for vote in voters for ballot in vote(own) for place in ballot.places}
    backward = [place for vote in voters[::-1] for ballot in vote(own) for place in ballot.places]
    assert forward == set(backward)
    judged = {v.snapshot.guid for v in judge(history, keep, NO_CAP, {}) if v.keep}
    assert judged == {own.snapshots[place].guid for place in forward}


@given(HISTORY, KEEP, LIMITS, PINS)
def test_the_doomed_are_those_that_are_judged_to_go(
    history: History, keep: Keep, limits: Limits, pins: dict[int, tuple[str, ...]]
) -> None:
    verdicts = judge(history, keep, limits, pins)
    assert judge_doomed(history, keep, limits, pins) == tuple(v for v in verdicts if not v.keep)


def shrink_step_by_step(history: History, keep: Keep) -> list[set[int]]:
    """What is left after each snapshot came and all was pruned."""
    left: list[Snapshot] = []
    states = []
    for snapshot in history.snapshots:
        left.append(snapshot)
        stays = kept(History(tuple(left)), keep, NO_CAP, {})
        left = [s for s in left if s.guid in stays or not s.name.startswith("zr_")]
        states.append({s.guid for s in left if s.name.startswith("zr_")})
    return states


@settings(max_examples=300)
@given(HISTORY, TIMELESS)
def test_pruning_at_every_snapshot_is_pruning_once(history: History, keep: Keep) -> None:
    """The classic fault of grids: cells that move with the newest lose what they should keep.

    Whatever the labels are: also with clocks that go back and forth.
    """
    states = shrink_step_by_step(history, keep)
    for count, state in enumerate(states, 1):
        assert state == kept(History(history.snapshots[:count]), keep, NO_CAP, {})


@given(HISTORY, VOTING)
def test_with_a_rule_of_age_pruning_often_never_keeps_less(history: History, keep: Keep) -> None:
    ordered = sorted(history.snapshots, key=lambda s: s.created_at)
    steady = History(tuple(replace(s, createtxg=n) for n, s in enumerate(ordered)))
    states = shrink_step_by_step(steady, keep)
    for count, state in enumerate(states, 1):
        assert state >= kept(History(steady.snapshots[:count]), keep, NO_CAP, {})


@pytest.mark.long
def test_a_year_of_minutes_pruned_every_minute_is_a_year_pruned_once() -> None:
    """Every 17 minutes, over both changes of the clocks; then the same by plain counting."""
    keep = Keep(
        5,
        grid=(Rung(24, 3600), Rung(14, DAY)),
        calendar=(("hourly", 12), ("daily", 10), ("weekly", 5), ("monthly", 12), ("yearly", 2)),
        timezone="Europe/Berlin",
    )
    times = range(1_767_000_000, 1_767_000_000 + 366 * DAY, 17 * 60)
    everything = [Snapshot(n, n, own_name(n), at) for n, at in enumerate(times, 1)]
    left: list[Snapshot] = []
    for place, snapshot in enumerate(everything):
        left.append(snapshot)
        if place % 3 == 0 or place > len(everything) - 50:
            gone = {v.snapshot.guid for v in judge_doomed(History(tuple(left)), keep, NO_CAP, {})}
            left = [s for s in left if s.guid not in gone]
    assert {s.guid for s in left} == kept(History(tuple(everything)), keep, NO_CAP, {})
    zone = ZoneInfo("Europe/Berlin")
    last_of_day = {datetime.fromtimestamp(s.created_at, zone).date(): s.guid for s in everything}
    last_of_month = {(d.year, d.month): guid for d, guid in last_of_day.items()}
    wanted = {*list(last_of_day.values())[-10:], *list(last_of_month.values())[-12:]}
    assert wanted <= {s.guid for s in left}
    assert len(left) <= 5 + 24 + 14 + 12 + 10 + 5 + 12 + 2
