"""Retention's promises, over histories whose labels go anywhere."""

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.histories import own_name
from zrepl_py.core.retention import judge, vote_last, vote_within, would_drop_on_target
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.policy import Keep, Limits

LABELS = st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=25)
KEEP = st.builds(
    Keep,
    st.none() | st.integers(1, 30),
    st.none() | st.integers(1, 4000),
)
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
NO_CAP = Limits(max_snapshots=1_000)


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
    assert len(stays - pins.keys()) <= limits.max_snapshots


@given(HISTORY, KEEP, LIMITS, PINS, PINS, st.integers(1, 20))
def test_more_voters_never_keep_less(
    history: History,
    keep: Keep,
    limits: Limits,
    pins: dict[int, tuple[str, ...]],
    more: dict[int, tuple[str, ...]],
    voter: int,
) -> None:
    assert kept(history, keep, NO_CAP, pins) <= kept(history, keep, NO_CAP, pins, voter)
    assert kept(history, keep, limits, pins) <= kept(history, keep, limits, {**pins, **more})
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
