"""Retention: every reason is said, and no clock empties a pool."""

from zrepl_py.core.retention import join_pins, judge, would_drop_on_target
from zrepl_py.core.voters import vote_last
from zrepl_py.model.history import EMPTY, History, Snapshot
from zrepl_py.model.policy import Keep, Limits

from .histories import own_name, parse_history

NO_PINS: dict[int, tuple[str, ...]] = {}
DAY = 86_400
YEARS = 10 * 365 * DAY


def kept(history: History, keep: Keep, cap: int = 10_000, pins: dict[int, tuple[str, ...]] = NO_PINS
         ) -> list[int]:  # fmt: skip
    verdicts = judge(history, keep, Limits(max_snapshots=cap), pins)
    return [v.snapshot.guid for v in verdicts if v.keep]


def labelled(*times: int) -> History:
    """Snapshots 1, 2, … in this order, whose labels are these seconds."""
    return History(tuple(Snapshot(g, g, own_name(g), at) for g, at in enumerate(times, 1)))


def test_keep_last_counts_only_ours() -> None:
    assert kept(parse_history("1 2 3 f4 5 f6"), Keep(last=2)) == [3, 5]


def test_foreign_snapshots_are_not_judged() -> None:
    verdicts = judge(parse_history("f1 2 f3"), Keep(last=1), Limits(), {})
    assert [v.snapshot.guid for v in verdicts] == [2]


def test_keep_within_counts_from_the_newest_snapshot() -> None:
    assert kept(parse_history("1 2 3 4 5"), Keep(within_seconds=120)) == [3, 4, 5]


def test_rules_are_votes_and_all_reasons_are_said() -> None:
    history = parse_history("1 2 3 4 5 6 7")
    verdicts = judge(history, Keep(last=2, within_seconds=240), Limits(), {1: ("held",)})
    assert [(v.keep, v.reasons) for v in verdicts] == [
        (True, ("held",)),
        (False, ("older than the newest 2", "more than 4m before the newest")),
        *[(True, ("keep_within = 4m",))] * 3,
        (True, ("keep_last = 2", "keep_within = 4m")),
        (True, ("the newest", "keep_last = 2", "keep_within = 4m")),
    ]


def test_without_a_rule_everything_stays_and_the_cap_counts() -> None:
    assert kept(parse_history("1 2 3"), Keep()) == [1, 2, 3]
    assert kept(parse_history("1 2 3 4 5"), Keep(), cap=2) == [4, 5]
    verdicts = judge(parse_history("1 2"), Keep(), Limits(max_snapshots=1), {})
    assert verdicts[0].reasons == (
        "over max_snapshots = 1 (else kept: no retention rule: everything stays)",
    )


def test_pins_stay_beyond_the_cap_and_take_no_place() -> None:
    assert kept(parse_history("1 2 3 4 5"), Keep(), cap=2, pins={1: ("base",)}) == [1, 4, 5]
    assert kept(parse_history("1 2 3"), Keep(last=1), pins={2: ()}) == [2, 3]


def test_the_newest_stays_whatever_the_rules_say() -> None:
    assert kept(parse_history("1 f2"), Keep(last=1), cap=1) == [1]


def test_a_clock_set_back_makes_nothing_old() -> None:
    before = [1000 + 60 * n for n in range(5)]
    history = labelled(*before, 10, 70)
    assert kept(history, Keep(within_seconds=600)) == [1, 2, 3, 4, 5, 6, 7]


def test_a_clock_that_jumps_ahead_costs_at_most_half_the_window() -> None:
    normal = [60 * n for n in range(100)]
    for jump in (3600, YEARS):
        newest = normal[-1] + jump
        history = labelled(*normal, newest)
        assert kept(history, Keep(within_seconds=1800)) == list(range(85, 102))
        back = labelled(*normal, newest, normal[-1] + 120)
        assert kept(back, Keep(within_seconds=1800)) == list(range(72, 103))


def test_a_lone_wrong_label_is_no_reason_to_go() -> None:
    assert kept(labelled(1000, 1060, 5, 1180, 1240), Keep(within_seconds=600)) == [1, 2, 3, 4, 5]


def test_after_a_silence_what_stays_says_why() -> None:
    verdicts = judge(labelled(0, 60, 100 * DAY), Keep(within_seconds=DAY), Limits(), {})
    assert verdicts[0].keep
    assert "which may be a clock that stepped" in verdicts[0].reasons[0]


def test_further_voters_are_heard() -> None:
    verdicts = judge(
        parse_history("1 2 3"), Keep(last=1), Limits(), {}, voters=[vote_last(2)]
    )  # fmt: skip
    assert [v.keep for v in verdicts] == [False, True, True]


def test_pins_are_joined() -> None:
    assert join_pins({1: ("a",)}, {1: ("b",), 2: ("c",)}) == {1: ("a", "b"), 2: ("c",)}


def test_a_backlog_skips_what_would_go_at_once() -> None:
    pending = parse_history("3 4 f5 6 7").snapshots
    skipped = would_drop_on_target(pending, parse_history("1 2 3", 1000), Keep(last=2))
    assert [s.snapshot.guid for s in skipped] == [4]
    assert skipped[0].why == (
        "the target's retention would drop it at once: older than the newest 2"
    )


def test_a_backlog_never_skips_the_newest() -> None:
    pending = parse_history("1 2 f3").snapshots
    assert [s.snapshot.guid for s in would_drop_on_target(pending, EMPTY, Keep(last=1))] == [1]
    one_cap = Limits(max_snapshots=1)
    assert [s.snapshot.guid for s in would_drop_on_target(pending, EMPTY, Keep(), one_cap)] == [1]
    assert would_drop_on_target((), EMPTY, Keep(last=1)) == ()


def test_a_hundred_thousand_are_judged() -> None:
    history = labelled(*range(0, 60 * 100_000, 60))
    verdicts = judge(history, Keep(60, 2 * DAY), Limits(), {5: ("held",)})
    assert sum(v.keep for v in verdicts) == 2882
