"""Which snapshot shows a time: also where the clock stepped."""

from zoneinfo import ZoneInfo

import pytest

from zrepl_py.core.times import Instant, Latest, Named
from zrepl_py.core.versions import Chosen, choose_snapshot
from zrepl_py.errors import Refused
from zrepl_py.model.names import Epoch, TickName, render_tick

UTC = ZoneInfo("UTC")


def name(seq: int, at: int, epoch: int = 1) -> str:
    return render_tick(TickName(Epoch(epoch, "9f3a21cc"), seq, at))


NAMES = [name(1, 100), name(2, 160), name(3, 220), "before-upgrade"]


@pytest.mark.parametrize(
    ("at", "seq"), [(100, 1), (159, 1), (160, 2), (219, 2), (220, 3), (9999, 3)]
)
def test_the_newest_at_or_before_the_instant(at: int, seq: int) -> None:
    expected = Chosen(name(seq, 40 + 60 * seq), 40 + 60 * seq)
    assert choose_snapshot(reversed(NAMES), Instant(at), UTC) == expected


def test_by_name_foreign_ones_too() -> None:
    assert choose_snapshot(NAMES, Named("before-upgrade"), UTC) == Chosen("before-upgrade", None)
    assert choose_snapshot(NAMES, Named(NAMES[0]), UTC) == Chosen(NAMES[0], 100)


def test_the_latest_is_by_order_not_by_clock() -> None:
    stepped = [name(8, 1_000_000), name(9, 500)]
    assert choose_snapshot(stepped, Latest(), UTC).name == stepped[1]
    promoted = [name(9, 600), name(1, 500, epoch=2)]
    assert choose_snapshot(promoted, Latest(), UTC).name == promoted[1]
    by_txg = {promoted[0]: 7, promoted[1]: 5}
    assert choose_snapshot(promoted, Latest(), UTC, by_txg).name == promoted[0]


def test_an_hour_with_a_wrong_clock_does_not_hide_the_time_asked_for() -> None:
    names = [name(1, 100), name(2, 160), name(3, 110), name(4, 280)]
    chosen = choose_snapshot(names, Instant(170), UTC)
    assert chosen == Chosen(names[1], 160, doubt=names[2])
    assert choose_snapshot(names, Instant(300), UTC).doubt == ""


def test_what_was_taken_while_the_clock_was_ahead_may_be_the_state_of_then() -> None:
    names = [name(1, 100), name(2, 86_520), name(3, 86_580), name(4, 280), name(5, 340)]
    assert choose_snapshot(names, Instant(99 + 120), UTC) == Chosen(names[0], 100, doubt=names[2])
    assert choose_snapshot(names, Instant(280), UTC) == Chosen(names[3], 280)
    twice_in_a_second = [name(1, 100), name(2, 160), name(3, 160)]
    assert choose_snapshot(twice_in_a_second, Instant(130), UTC).doubt == ""


def test_of_equal_times_the_last_taken_counts() -> None:
    names = [name(1, 100), name(5, 100)]
    assert choose_snapshot(names, Instant(100), UTC) == Chosen(names[1], 100)


@pytest.mark.parametrize("wanted", [Instant(99), Named("nothing"), Named(name(7, 100))])
def test_none_names_the_oldest_and_the_newest(wanted: Instant | Named) -> None:
    with pytest.raises(Refused) as caught:
        choose_snapshot(NAMES, wanted, UTC)
    assert caught.value.reason == "no-snapshot"
    assert f"oldest is {NAMES[0]} (1970-01-01T00:01:40+00:00)" in caught.value.remedy
    assert f"newest {NAMES[2]}" in caught.value.remedy


@pytest.mark.parametrize("wanted", [Instant(99), Latest()])
def test_no_snapshot_of_ours_at_all(wanted: Instant | Latest) -> None:
    with pytest.raises(Refused, match="no snapshot made by zr"):
        choose_snapshot(["before-upgrade"], wanted, UTC)
