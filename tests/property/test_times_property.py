"""Times across zones and their changes of the clock."""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from zrepl_py.core.times import Instant, Wanted, parse_time, render_instant, split_target
from zrepl_py.core.versions import choose_snapshot
from zrepl_py.errors import Refused
from zrepl_py.model.names import Epoch, TickName, parse_tick, render_tick

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Antarctica/Troll",
]
ZONE = st.sampled_from([ZoneInfo(key) for key in ZONES])
YEAR = 366 * 86_400
AT = st.integers(2 * YEAR, 80 * YEAR)
NOW = st.integers(YEAR * 3, YEAR * 80)


def offset(at: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset()


@cache
def changes(zone: ZoneInfo) -> list[int]:
    """Instants from 2005 to 2027 at which the zone's clocks were changed."""
    found = []
    for day in range(35 * YEAR, 57 * YEAR, 86_400):
        low, high = day, day + 86_400
        if offset(low, zone) != offset(high, zone):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (
                    (low, middle) if offset(low, zone) != offset(middle, zone) else (middle, high)
                )
            found.append(high)
    return found


@st.composite
def near_a_change(draw: st.DrawFn) -> tuple[int, ZoneInfo]:
    """An instant, most often within three hours of a change of its zone's clocks."""
    zone = draw(ZONE)
    if not changes(zone) or draw(st.integers(0, 4)) == 0:
        return draw(AT), zone
    return draw(st.sampled_from(changes(zone))) + 900 * draw(st.integers(-12, 12)), zone


def attempt(text: str, now: int, zone: ZoneInfo) -> Wanted | Refused:
    try:
        return parse_time(text, now, zone)
    except Refused as error:
        return error


def readings(local: datetime, zone: ZoneInfo) -> set[int]:
    """All instants that are shown as this local time: the slow and obvious way."""
    around = int(local.replace(tzinfo=UTC).timestamp())
    return {
        around + minutes * 60
        for minutes in range(-26 * 60, 26 * 60 + 1, 15)
        if datetime.fromtimestamp(around + minutes * 60, zone).replace(tzinfo=None) == local
    }


@given(near_a_change())
def test_what_is_shown_can_be_typed(near: tuple[int, ZoneInfo]) -> None:
    at, zone = near
    assert parse_time(render_instant(at, zone), at + 1, zone) == Instant(at)


@given(near_a_change(), st.integers(0, 24 * 4 - 1), st.booleans())
def test_a_clock_time_is_the_last_one_that_has_come(
    near: tuple[int, ZoneInfo], quarter: int, yesterday: bool
) -> None:
    now, zone = near
    clock = f"{quarter // 4:02}:{quarter % 4 * 15:02}"
    today = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
    found = attempt(f"yesterday {clock}" if yesterday else clock, now, zone)
    if isinstance(found, Refused):
        assert found.reason in ("ambiguous-time", "missing-time")
        return
    assert isinstance(found, Instant)
    shown = datetime.fromtimestamp(found.at, UTC).astimezone(zone)
    assert shown.strftime("%H:%M:%S") == clock + ":00"
    assert found.at <= now
    assert shown.date() in (today - timedelta(days=1), *([] if yesterday else [today]))
    assert {a for a in readings(shown.replace(tzinfo=None), zone) if a <= now} == {found.at}


@given(near_a_change())
def test_a_local_time_is_refused_exactly_where_it_is_not_one_instant(
    near: tuple[int, ZoneInfo],
) -> None:
    at, zone = near
    at -= at % 900
    shown = datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None)
    # What a clock shows exists; an hour beside it, over the edge of a change, it need not.
    for local in (shown, shown + timedelta(minutes=30), shown - timedelta(minutes=60)):
        known = readings(local, zone)
        found = attempt(local.isoformat(), at + YEAR, zone)
        if not isinstance(found, Refused):
            assert known == {found.at if isinstance(found, Instant) else None}
            continue
        assert found.reason == ("ambiguous-time" if known else "missing-time")
        assert len(known) != 1
        choices = [w.strip("@.") for w in found.remedy.split() if w.startswith("@")]
        typed = {parse_time(choice, at + YEAR, zone) for choice in choices}
        assert len(typed) == 2
        assert not known or typed == {Instant(a) for a in known}


@given(st.text(), NOW, ZONE)
def test_any_text_is_a_wanted_time_or_refused(text: str, now: int, zone: ZoneInfo) -> None:
    found = attempt(text, now, zone)
    if isinstance(found, Refused):
        assert found.remedy
    else:
        assert not isinstance(found, Instant) or 0 <= found.at <= now


@given(st.text(min_size=1), st.text(min_size=1).filter(lambda t: "@" not in t and t.strip()))
def test_splitting_undoes_joining(path: str, moment: str) -> None:
    assert split_target(f"{path}@{moment}") == (path, moment)


TICKS = st.lists(
    st.builds(
        TickName,
        st.builds(Epoch, st.integers(1, 3), st.just("9f3a21cc")),
        st.integers(0, 50),
        st.integers(0, 5000),
    ),
    min_size=1,
    max_size=20,
)


@given(TICKS, st.integers(0, 5000), ZONE)
def test_the_choice_is_never_after_and_nothing_nearer_exists(
    ticks: list[TickName], at: int, zone: ZoneInfo
) -> None:
    times = [t.at for t in ticks if t.at <= at]
    try:
        chosen = choose_snapshot([render_tick(t) for t in ticks], Instant(at), zone)
    except Refused:
        assert not times
        return
    assert chosen.at == max(times)
    tick = parse_tick(chosen.name)
    assert tick in ticks
    doubt = parse_tick(chosen.doubt)
    if tick is not None and doubt is not None:
        assert (doubt.epoch.n, doubt.seq) >= (tick.epoch.n, tick.seq)


@given(st.data(), st.lists(st.integers(1, 500), min_size=3, max_size=20))
def test_where_the_clock_was_ahead_for_a_while_the_state_is_given_or_a_doubt_told(
    data: st.DataObject, gaps: list[int]
) -> None:
    taken = list(accumulate(gaps))
    end = data.draw(st.integers(2, len(taken) - 1), label="first tick with the right clock again")
    begin = data.draw(st.integers(1, end - 1), label="first tick with the clock ahead")
    ahead = data.draw(st.integers(taken[end] - taken[begin] + 1, 10_000), label="seconds ahead")
    labels = [at + ahead if begin <= i < end else at for i, at in enumerate(taken)]
    epoch = Epoch(1, "9f3a21cc")
    names = [render_tick(TickName(epoch, i, at)) for i, at in enumerate(labels)]
    at = data.draw(st.integers(taken[0], taken[-1] + 100), label="asked for")
    chosen = choose_snapshot(names, Instant(at), ZoneInfo("UTC"))
    last = names.index(chosen.doubt or chosen.name)
    assert names.index(chosen.name) <= bisect_right(taken, at) - 1 <= last


@given(st.lists(st.integers(0, 500), min_size=1, max_size=20), st.integers(0, 5000))
def test_where_times_never_fall_there_is_no_doubt(gaps: list[int], at: int) -> None:
    epoch = Epoch(1, "9f3a21cc")
    names = [render_tick(TickName(epoch, i, label)) for i, label in enumerate(accumulate(gaps))]
    chosen = choose_snapshot(names, Instant(max(at, gaps[0])), ZoneInfo("UTC"))
    assert chosen.doubt == ""
