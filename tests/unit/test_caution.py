"""What is asked before it is destroyed, and what is not."""

from zrepl_py.core.caution import digest_plan, plan_removal
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.policy import Keep, Limits, Rung

from .histories import own_name

HOUR, DAY = 3600, 86_400
YEARS = 10 * 365 * DAY
START = 1_790_000_000 // DAY * DAY
ASKING = Limits(max_remove_percent=50)
GRID = Keep(2, grid=(Rung(24, HOUR), Rung(14, DAY)))


def labelled(*times: int) -> History:
    return History(tuple(Snapshot(g, g, own_name(g), at) for g, at in enumerate(times, 1)))


def hours(count: int, first: int = START) -> list[int]:
    return [first + HOUR * n for n in range(count)]


def reason_of(history: History, keep: Keep, now: float | None = None, most: int = 50) -> str:
    removal = plan_removal(history, keep, Limits(max_remove_percent=most), {}, now=now)
    assert (removal.doubt is None) == (removal.withheld == ())
    return removal.doubt.reason if removal.doubt else ""


def test_a_policy_that_is_made_much_shorter_is_asked_about() -> None:
    week = labelled(*hours(7 * 24))
    assert reason_of(week, Keep(within_seconds=2 * DAY)) == "removes-much"
    assert reason_of(week, Keep(within_seconds=5 * DAY)) == ""
    assert reason_of(week, Keep(within_seconds=2 * DAY), most=100) == ""
    removal = plan_removal(week, Keep(within_seconds=2 * DAY), ASKING, {})
    assert removal.doomed == ()
    assert "more than max_remove_share = 50 %" in (removal.doubt.sentence if removal.doubt else "")


def test_a_cap_that_is_made_much_smaller_is_asked_about() -> None:
    removal = plan_removal(
        labelled(*hours(7 * 24)), Keep(), Limits(max_snapshots=30, max_remove_percent=50), {}
    )
    assert removal.doubt is not None
    assert removal.doubt.reason == "removes-much"


def test_much_of_today_goes_without_a_question() -> None:
    minutes = labelled(*range(START, START + 20 * HOUR, 60))
    assert reason_of(minutes, Keep(last=5)) == ""
    assert len(plan_removal(minutes, Keep(last=5), Limits(), {}).doomed) == 1195


def test_few_go_without_a_question() -> None:
    assert reason_of(labelled(*hours(4, START), *hours(30, START + 3 * DAY)), Keep(last=30)) == ""


def test_neither_a_long_silence_nor_a_jump_ahead_makes_all_old() -> None:
    before = hours(20)
    for gap in (7 * DAY, YEARS):
        history = labelled(*before, *hours(2, before[-1] + gap))
        assert reason_of(history, Keep(last=2)) == ""
        assert reason_of(history, GRID, now=history.snapshots[-1].created_at) == ""


def test_a_snapshot_of_the_future_stops_rules_that_count_hours() -> None:
    history = labelled(*range(START, START + 3 * HOUR, 600))
    newest = history.snapshots[-1].created_at
    assert reason_of(history, GRID, now=newest) == ""
    assert reason_of(history, GRID, now=newest - 60) == ""
    assert reason_of(history, GRID, now=newest - HOUR) == "clock"
    assert reason_of(history, GRID, now=None) == "", "a replica's times are not of this clock"
    assert reason_of(history, Keep(last=2), now=newest - HOUR) == "", "it counts no hours"
    assert reason_of(history, Keep(within_seconds=60), now=newest - HOUR) == "", "nor does this"


def test_a_clock_set_back_is_believed_again_after_18_hours() -> None:
    before = list(range(START, START + 3 * HOUR, 600))
    back = START + HOUR
    asked = labelled(*before, *range(back, back + 17 * HOUR, 600))
    removal = plan_removal(asked, GRID, Limits(), {})
    assert removal.doomed == ()
    assert removal.doubt is not None
    assert removal.doubt.sentence.startswith("The clock was set back 110m before zr_")
    assert reason_of(labelled(*before, *range(back, back + 19 * HOUR, 600)), GRID) == ""
    slight = labelled(*before, *range(before[-1] - 100, before[-1] + HOUR, 600))
    assert reason_of(slight, GRID) == "", "clocks are set right by seconds every day"


def test_under_a_clock_in_doubt_the_cap_still_counts() -> None:
    before = list(range(START, START + 3 * HOUR, 600))
    history = labelled(*before, *range(START, START + HOUR, 600))
    removal = plan_removal(history, GRID, Limits(max_snapshots=20), {})
    assert [v.snapshot.guid for v in removal.doomed] == [1, 2, 3, 4]
    assert "the clock is in doubt" in removal.doomed[0].reasons[0]


def test_a_history_that_is_shorter_than_the_last_tick_knew_is_asked_about() -> None:
    history = labelled(*hours(10))
    known = plan_removal(history, Keep(last=5), Limits(), {}, expected=[10])
    assert (known.doubt, len(known.doomed)) == (None, 5)
    gone = plan_removal(history, Keep(last=5), Limits(), {}, expected=[11])
    assert gone.doomed == ()
    assert gone.doubt is not None
    assert gone.doubt.reason == "history-short"
    assert gone.digest == known.digest, "the same snapshots, the same name"


def test_a_plan_is_named_by_what_goes_whatever_its_order() -> None:
    snapshots = labelled(*hours(3)).snapshots
    assert digest_plan(snapshots) == digest_plan(snapshots[::-1])
    assert len({digest_plan(snapshots[:n]) for n in range(4)}) == 4
