"""What waits for a target that is away, and what gives way for want of room."""

from zrepl_py.core.caps import (
    Awaited,
    Caps,
    GivesWay,
    find_awaited,
    find_waiting,
    judge_room,
)
from zrepl_py.core.retention import Verdict, judge
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.observation import PoolView
from zrepl_py.model.policy import Keep, Limits, Rung

from .histories import TARGET, own_name, parse_history

MINUTE, HOUR, DAY = 60, 3600, 86_400
START = 1_790_000_000 // DAY * DAY
WEEKS = History(
    tuple(Snapshot(n, n, own_name(n), START + MINUTE * n) for n in range(1, 21 * 24 * 60 + 1))
)
"""Three weeks of minutes; beta has the first."""
AWAY = (Awaited("beta", 1, Keep()),)


def verdicts_of(
    keep: Keep,
    limits: Limits | None = None,
    gives_way: GivesWay = GivesWay.NOTHING,
    awaited: tuple[Awaited, ...] = AWAY,
    history: History = WEEKS,
) -> tuple[Verdict, ...]:
    caps = Caps(awaited, gives_way)
    return judge(history, keep, limits or Limits(100_000), {1: ("base",)}, caps=caps)


def kept(*args: object, **more: object) -> list[int]:
    return [v.snapshot.guid for v in verdicts_of(*args, **more) if v.keep]  # type: ignore[arg-type]


def ages(guids: list[int]) -> list[int]:
    """Minutes before the newest, the newest first."""
    return [21 * 24 * 60 - guid for guid in guids[::-1]]


def test_what_waits_stays_beyond_the_sources_own_rules() -> None:
    stays = kept(Keep(last=60))
    assert stays[0] == 1, "the base"
    assert stays[-2880:] == list(range(21 * 24 * 60 - 2879, 21 * 24 * 60 + 1))
    older = ages(stays[1:-2880])
    hours = [HOUR // MINUTE * n + 1 for n in range(48, 167)]  # the newest is an hour by itself
    days = [DAY // MINUTE * n + 1 for n in range(7, 21)]
    assert older == hours + days
    (reason,) = verdicts_of(Keep(last=60))[-1000].reasons
    assert reason == "waits for beta"


def test_what_the_target_would_drop_at_once_waits_for_nobody() -> None:
    for there, count in (
        (Keep(last=100), 100),
        (Keep(at_least=90), 90),
        (Keep(grid=(Rung(70, HOUR),)), 70),
    ):
        stays = kept(Keep(last=5), awaited=(Awaited("beta", 1, there),))
        assert count <= len(stays) <= count + 6


def test_nothing_waits_where_the_policy_says_so_or_nobody_is_away() -> None:
    off = Limits(100_000, keep_waiting=0)
    assert kept(Keep(last=5), off) == [1, *range(30236, 30241)]
    assert kept(Keep(last=5), awaited=()) == [1, *range(30236, 30241)]
    assert kept(Keep(last=5), awaited=(Awaited("beta", 30240, Keep()),)) == [
        1,
        *range(30236, 30241),
    ]


def test_first_gives_way_what_only_waits() -> None:
    stays = kept(Keep(last=100), gives_way=GivesWay.WAITING)
    assert ages(stays)[:100] == list(range(100)), "what a rule of this node wants stays"
    assert ages(stays)[100:104] == [15 * n + 1 for n in range(7, 11)], "then quarter-hours"
    assert len(stays) < 100 + 96 + 168 + 21
    assert stays[0] == 1
    loser = verdicts_of(Keep(last=100), gives_way=GivesWay.WAITING)[-110]
    assert loser.reasons == ("the pool is short of room (else kept: waits for beta)",)


def test_then_what_rules_keep_that_keep_everything() -> None:
    keep = Keep(within_seconds=10 * DAY, grid=(Rung(90, HOUR // 2),), at_least=70)
    before = kept(keep, gives_way=GivesWay.WAITING)
    stays = kept(keep, gives_way=GivesWay.DENSE)
    assert len(before) > 10 * 24 * 60
    assert ages(stays)[:70] == list(range(70)), "the minimum count"
    assert [a for a in ages(stays) if a % 30 == 1][:89] == [30 * n + 1 for n in range(89)]
    assert len(stays) < 70 + 90 + 96 + 168 + 21
    assert kept(Keep(), gives_way=GivesWay.DENSE)[0] == 1


def test_what_waits_for_the_targets_days_never_gives_way() -> None:
    """Days of Berlin are not those of the ladder."""
    days = Keep(calendar=(("daily", 20),), timezone="Europe/Berlin")
    awaited = (Awaited("beta", 1, days),)
    assert len(kept(Keep(last=2), awaited=awaited)) == 1 + 20 + 1
    assert len(kept(Keep(last=2), None, GivesWay.DENSE, awaited)) == 1 + 20 + 1


def test_the_cap_makes_thinner_what_waits_where_the_oldest_would_have_gone() -> None:
    stays = kept(Keep(), Limits(1000))
    assert len(stays) == 1001, "and the base, which takes no place"
    assert [a for a in ages(stays) if a > 7 * 24 * 60] == [
        *(DAY // MINUTE * n + 1 for n in range(7, 21)),
        21 * 24 * 60 - 1,
    ]
    assert ages(kept(Keep(), Limits(1000), awaited=())) == [*range(1000), 21 * 24 * 60 - 1]


def test_marks_of_room() -> None:
    def judged(free: int, **limits: int) -> GivesWay:
        return judge_room(PoolView("tank", 1, "ONLINE", 1000, free), Limits(**limits))

    assert [judged(free) for free in (150, 149, 110, 109, 0)] == [
        GivesWay.NOTHING,
        *[GivesWay.WAITING] * 2,
        *[GivesWay.DENSE] * 2,
    ]
    assert judged(249, min_free_percent=20) is GivesWay.WAITING
    assert judged(399, thin_free_percent=40) is GivesWay.WAITING
    assert judged(0, thin_free_percent=0) is GivesWay.NOTHING
    suspended = PoolView("tank", 1, "SUSPENDED", 0, 0)
    assert judge_room(suspended, Limits()) is GivesWay.NOTHING


KEEP = {"beta": Keep(last=7)}


def test_who_is_awaited_is_said_by_the_cursor_and_by_the_target_itself() -> None:
    history = parse_history("1 2@# 3 f4 5")
    peers = {TARGET: "beta"}
    assert find_awaited(history, ["beta"], KEEP, peers) == (Awaited("beta", 20, Keep(last=7)),)
    (known,) = find_awaited(history, ["beta"], KEEP, peers, {"beta": 3})
    assert known.base_createtxg == 30
    assert len(find_waiting(history, known)) == 1, "the foreign one does not wait"
    assert find_awaited(parse_history("1 2 3"), ["beta"], KEEP, peers) == ()
    assert find_awaited(history, ["gamma"], KEEP, {TARGET: "beta", "0000": "gamma"}) == ()


def test_of_two_cursors_the_older_counts() -> None:
    awaited = find_awaited(parse_history("1 2# 3 4@# 5"), ["beta"], KEEP, {TARGET: "beta"})
    assert awaited == (Awaited("beta", 20, Keep(last=7)),)


def test_a_cursor_of_a_node_that_is_not_known_counts_while_a_target_is_not_known() -> None:
    history = parse_history("1 2@# 3")
    assert len(find_awaited(history, ["beta"], KEEP, {})) == 1
    assert find_awaited(history, ["gamma"], KEEP, {"00000000": "gamma"}) == ()
