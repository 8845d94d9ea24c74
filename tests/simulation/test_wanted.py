"""The simulation's own reckoning of retention beside production's: neither asks the other."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.wanted import Label, is_in_doubt, wish_of
from zrepl_py.core.caution import find_clock_doubt
from zrepl_py.core.retention import judge
from zrepl_py.core.voters import Own
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import Epoch, TickName, render_tick
from zrepl_py.model.policy import CALENDAR, Keep, Limits, Rung

STARTS = 1_792_870_000  # the night in which Berlin's clocks go back
EPOCH = Epoch(1, "9f3a21cc")
steps = st.one_of(
    st.integers(1, 4000), st.integers(-90_000, 90_000), st.sampled_from((315_360_000, -315_360_000))
)
histories = st.lists(steps, max_size=40)
keeps = st.builds(
    Keep,
    last=st.none() | st.integers(1, 8),
    within_seconds=st.none() | st.sampled_from((600, 7200, 172_800)),
    grid=st.lists(
        st.builds(Rung, st.integers(1, 6), st.sampled_from((900, 3600, 7200, 604_800))), max_size=2
    ).map(tuple),
    calendar=st.lists(
        st.tuples(st.sampled_from(CALENDAR), st.integers(1, 5)),
        max_size=3,
        unique_by=lambda r: r[0],
    ).map(tuple),
    at_least=st.none() | st.integers(1, 10),
    matching=st.sampled_from(((), ("*T0*",), ("*_*5_*", "*00Z"))),
    timezone=st.just("Europe/Berlin"),
)


def history_of(gaps: list[int]) -> list[Snapshot]:
    at, snapshots = STARTS, []
    for number, gap in enumerate(gaps):
        at = max(at + gap, 1)
        name = render_tick(TickName(EPOCH, number, at))
        snapshots.append(Snapshot(number + 1, number + 1, name, at))
    return snapshots


def labels_of(snapshots: list[Snapshot]) -> list[Label]:
    return [Label(s.created_at, s.name) for s in snapshots]


@settings(max_examples=300, deadline=None)
@given(histories, keeps)
def test_what_stays_is_what_is_wanted(gaps: list[int], keep: Keep) -> None:
    snapshots = history_of(gaps)
    verdicts = judge(History(tuple(snapshots)), keep, Limits(), {})
    kept = {place for place, verdict in enumerate(verdicts) if verdict.keep}
    wish = wish_of(labels_of(snapshots), keep)
    assert wish.surely <= kept <= wish.perhaps
    if keep.within_seconds is None and keep.at_least is None:
        assert wish.surely == wish.perhaps


@settings(max_examples=300, deadline=None)
@given(histories, st.integers(-3600, 3600))
def test_a_clock_is_in_doubt_in_both(gaps: list[int], ahead: int) -> None:
    snapshots = history_of(gaps)
    now = float(snapshots[-1].created_at + ahead) if snapshots else 0.0
    doubt = find_clock_doubt(Own(snapshots), now)
    assert is_in_doubt(labels_of(snapshots), now) == (doubt is not None)
