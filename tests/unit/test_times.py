"""The time grammar, one row per form; the zone is Berlin, now is 2026-11-21 10:00 there."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from zrepl_py.core.times import (
    Instant,
    Latest,
    Named,
    parse_time,
    render_instant,
    split_target,
)
from zrepl_py.errors import Refused

BERLIN = ZoneInfo("Europe/Berlin")
NAME = "zr_1-9f3a21cc_42_20261121T081500Z"


def at(text: str) -> int:
    """ISO with offset → seconds."""
    return int(datetime.fromisoformat(text).timestamp())


NOW = at("2026-11-21T10:00:00+01:00")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("09:15", "2026-11-21T09:15:00+01:00"),
        ("9:15", "2026-11-21T09:15:00+01:00"),
        ("09:15:30", "2026-11-21T09:15:30+01:00"),
        ("10:00", "2026-11-21T10:00:00+01:00"),
        ("10:01", "2026-11-20T10:01:00+01:00"),
        ("yesterday 09:15", "2026-11-20T09:15:00+01:00"),
        ("Yesterday  23:59:59", "2026-11-20T23:59:59+01:00"),
        ("today 09:15", "2026-11-21T09:15:00+01:00"),
        ("2026-11-20T09:15", "2026-11-20T09:15:00+01:00"),
        ("2026-11-20 09:15:30", "2026-11-20T09:15:30+01:00"),
        ("2026-07-20T09:15", "2026-07-20T09:15:00+02:00"),
        ("2026-11-20T09:15Z", "2026-11-20T09:15:00+00:00"),
        ("2026-11-20t09:15z", "2026-11-20T09:15:00+00:00"),
        ("2026-11-20T09:15-03:30", "2026-11-20T09:15:00-03:30"),
        ("10 min ago", "2026-11-21T09:50:00+01:00"),
        ("10min ago", "2026-11-21T09:50:00+01:00"),
        ("1 minute ago", "2026-11-21T09:59:00+01:00"),
        ("3 h ago", "2026-11-21T07:00:00+01:00"),
        ("2 days ago", "2026-11-19T10:00:00+01:00"),
        ("1 week ago", "2026-11-14T10:00:00+01:00"),
        ("0 s ago", "2026-11-21T10:00:00+01:00"),
    ],
)
def test_instants(text: str, meant: str) -> None:
    assert parse_time(text, NOW, BERLIN) == Instant(at(meant))


def test_what_is_no_instant() -> None:
    assert parse_time("latest", NOW, BERLIN) == Latest()
    assert parse_time(NAME, NOW, BERLIN) == Named(NAME)
    assert parse_time("before-upgrade", NOW, BERLIN, {"before-upgrade"}) == Named("before-upgrade")
    assert parse_time("latest", NOW, BERLIN, {"latest"}) == Latest(), "the grammar goes first"


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        ("noon", "bad-time", "'noon' is not a time that zr understands."),
        ("25:00", "bad-time", "There is no time of day 25:00."),
        ("9", "bad-time", "not a time"),
        ("tomorrow 09:00", "bad-time", "not a time"),
        ("2026-02-30T09:15", "bad-time", "There is no day 2026-02-30."),
        ("2026-11-20", "bad-time", "not a time"),
        ("0001-01-01T00:00", "bad-time", "no snapshots of before 1971"),
        ("9999-01-01T00:00", "bad-time", "far in the future"),
        ("2026-11-20T09:15+25:00", "bad-time", "not an offset"),
        ("99999 weeks ago", "bad-time", "before 1970"),
        ("10 fortnights ago", "bad-time", "not a time"),
        ("-5 min ago", "bad-time", "not a time"),
        (
            "2026-11-21T10:01",
            "future-time",
            "is in the future: it is now 2026-11-21T10:00:00+01:00",
        ),
        ("today 10:01", "future-time", "2026-11-21T10:01:00+01:00 is in the future"),
        (NAME + "x", "bad-time", "not a time"),
    ],
)
def test_refused(text: str, reason: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_time(text, NOW, BERLIN)
    assert caught.value.reason == reason
    assert said in caught.value.message
    assert caught.value.remedy


def test_a_time_that_existed_twice_names_both_choices() -> None:
    for text, now in [
        ("2026-10-25T02:30", NOW),
        ("02:30", at("2026-10-25T12:00:00+01:00")),
        ("yesterday 02:30", at("2026-10-26T12:00:00+01:00")),
    ]:
        with pytest.raises(Refused) as caught:
            parse_time(text, now, BERLIN)
        assert caught.value.reason == "ambiguous-time"
        assert "2026-10-25 02:30:00 happened twice in Europe/Berlin" in caught.value.message
        assert "@2026-10-25T02:30:00+02:00 for the first" in caught.value.remedy
        assert "@2026-10-25T02:30:00+01:00 for the second" in caught.value.remedy


def test_a_time_that_existed_once_so_far_is_not_ambiguous() -> None:
    between = at("2026-10-25T02:40:00+02:00")
    first = Instant(at("2026-10-25T02:30:00+02:00"))
    assert parse_time("02:30", between, BERLIN) == first
    assert parse_time("02:30:00", between, BERLIN) == first


def test_a_time_that_never_existed_names_both_choices() -> None:
    with pytest.raises(Refused) as caught:
        parse_time("2026-03-29T02:30", NOW, BERLIN)
    assert caught.value.reason == "missing-time"
    assert "never happened in Europe/Berlin" in caught.value.message
    assert "@2026-03-29T01:30:00+01:00 or @2026-03-29T03:30:00+02:00" in caught.value.remedy


def test_a_whole_day_that_never_existed() -> None:
    apia = ZoneInfo("Pacific/Apia")
    with pytest.raises(Refused) as caught:
        parse_time("yesterday 09:15", at("2011-12-31T12:00:00+14:00"), apia)
    assert caught.value.reason == "missing-time"


def test_instants_are_shown_with_their_offset() -> None:
    assert render_instant(NOW, BERLIN) == "2026-11-21T10:00:00+01:00"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("interview.wav@09:15", ("interview.wav", "09:15")),
        ("dir/in@side.wav@09:15", ("dir/in@side.wav", "09:15")),
        ("a b@10 min ago", ("a b", "10 min ago")),
    ],
)
def test_the_last_at_sign_splits(text: str, parts: tuple[str, str]) -> None:
    assert split_target(text) == parts


@pytest.mark.parametrize("text", ["interview.wav", "interview.wav@", "@09:15", "a@ ", ""])
def test_what_cannot_be_split(text: str) -> None:
    with pytest.raises(Refused) as caught:
        split_target(text)
    assert caught.value.reason == "bad-time"
