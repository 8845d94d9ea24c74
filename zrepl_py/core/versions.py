"""Which snapshot shows the state at the time that was asked for?

The rule: by the time in its name (what the clock said at the tick), the newest one taken at or
before the wanted instant. That is what a person means by a time, and it stays right when the clock
was wrong for an hour in between: whoever asks for Tuesday gets what was labelled Tuesday. Of
several with the same time the last one taken counts (createtxg where it is known, else epoch and
tick number of the name).

Where the clock stepped back, the order in which snapshots were taken contradicts their times: one
taken later may carry an earlier time (the clock was set right, or wrong), or be the state of times
before its own (it was taken while the clock was ahead). Chosen.doubt then names the last that may
be meant. A clock that was wrong by less than the time for which it was, either way, contradicts the
order only near the moment of its step back; elsewhere it is not noticed.

`@latest` goes by the order alone, never by the clock. Snapshots that zr did not make carry no time
that can be trusted; they are only ever chosen by their name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from zrepl_py.core.times import Instant, Named, Wanted, render_instant
from zrepl_py.errors import Refused
from zrepl_py.model.names import TickName, parse_tick

_Order = tuple[int, int, int, str]
_ONE_BY_ONE = 16


@dataclass(frozen=True, slots=True)
class Chosen:
    """The snapshot to take the file from."""

    name: str
    at: int | None
    """When it was taken, by the clock of then; None for a snapshot that zr did not make."""
    doubt: str = ""
    """Name of a snapshot that was taken after this one and perhaps at or before the instant too, or
    empty."""


@dataclass(frozen=True, slots=True)
class _Own:
    name: str
    tick: TickName
    order: _Order


def choose_snapshot(
    names: Iterable[str],
    wanted: Wanted,
    zone: ZoneInfo,
    createtxg: Mapping[str, int] | None = None,
) -> Chosen:
    """`names`: all snapshots of one dataset, foreign ones too; `createtxg`: name → txg, if known.

    Raises Refused(no-snapshot), which names the oldest and the newest that exist.
    """
    everything = frozenset(names)
    own = _own(everything, createtxg or {})
    if isinstance(wanted, Named):
        if wanted.snapshot not in everything:
            raise Refused(
                "no-snapshot", f"There is no snapshot {wanted.snapshot}.", _existing(own, zone)
            )
        tick = parse_tick(wanted.snapshot)
        return Chosen(wanted.snapshot, tick.at if tick else None)
    if not own:
        raise Refused(
            "no-snapshot",
            "This dataset has no snapshot made by zr.",
            "Check with `zr status` that a policy covers it; older states are on the peer.",
        )
    if not isinstance(wanted, Instant):
        last = max(own, key=lambda s: s.order)
        return Chosen(last.name, last.tick.at)
    before = [s for s in own if s.tick.at <= wanted.at]
    if not before:
        raise Refused(
            "no-snapshot",
            f"There is no snapshot from {render_instant(wanted.at, zone)} or before.",
            _existing(own, zone),
        )
    best = max(before, key=lambda s: (s.tick.at, s.order))
    return Chosen(best.name, best.tick.at, _doubt(own, best, wanted.at))


def choose_companion(
    names: Iterable[str],
    wanted: Wanted,
    lead: Chosen,
    zone: ZoneInfo,
    createtxg: Mapping[str, int] | None = None,
) -> Chosen | None:
    """The snapshot of another dataset that belongs to `lead`, or None where there is none.

    A dataset in which nothing was written is not snapshotted, so the newest one from then or before
    is how it was. Where `lead` was asked for by the name of a tick, its number decides.
    """
    everything = frozenset(names)
    if not isinstance(wanted, Named):
        try:
            return choose_snapshot(everything, wanted, zone, createtxg)
        except Refused:
            return None
    tick = parse_tick(wanted.snapshot)
    if wanted.snapshot in everything:
        return Chosen(wanted.snapshot, tick.at if tick else None)
    if tick is None:
        return None
    last = (tick.epoch.n, tick.seq)
    ticks = [(t, n) for n in everything if (t := parse_tick(n)) is not None]
    before = [((t.epoch.n, t.seq), t.at, n) for t, n in ticks if (t.epoch.n, t.seq) <= last]
    if not before:
        return None
    _, at, name = max(before)
    return Chosen(name, at)


def find_last_having(
    names: Iterable[str],
    has: Callable[[str], bool],
    createtxg: Mapping[str, int] | None = None,
) -> Chosen | None:
    """The newest snapshot of zr for which `has(name)` holds, or None where none was found.

    The newest ones are asked one by one. Of many older ones a few: what was there for a while, and
    then no more, is found exactly; what was there only between two that are asked is not found.
    """
    ordered = sorted(_own(names, createtxg or {}), key=lambda s: s.order, reverse=True)
    absent, step = -1, 1
    while absent + step < len(ordered):
        place = absent + step
        if has(ordered[place].name):
            break
        absent, step = place, step if place < _ONE_BY_ONE else step * 2
    else:
        place = len(ordered) - 1
        if place <= absent or not has(ordered[place].name):
            return None
    while place - absent > 1:
        middle = (place + absent) // 2
        place, absent = (middle, absent) if has(ordered[middle].name) else (place, middle)
    return Chosen(ordered[place].name, ordered[place].tick.at)


def _doubt(own: list[_Own], best: _Own, wanted: int) -> str:
    """The last one that may be from then or before. `wanted`: seconds since 1970."""
    later = sorted((s for s in own if s.order > best.order), key=lambda s: s.order)
    early = [s for s in later if s.tick.at <= wanted]
    if not early and later:
        low = min(s.tick.at for s in later)
        last_low = max(s.order for s in later if s.tick.at == low)
        # Taken before, with a later time: the clock was ahead then (or behind at the lowest), by no
        # more than from the one chosen to the first of them.
        ahead = [s for s in later if s.order < last_low and s.tick.at > low]
        early = [s for s in ahead if s.tick.at - ahead[0].tick.at <= wanted - best.tick.at]
    return early[-1].name if early else ""


def _own(names: Iterable[str], createtxg: Mapping[str, int]) -> list[_Own]:
    ticks = {n: tick for n in names if (tick := parse_tick(n)) is not None}
    if ticks.keys() <= createtxg.keys():
        return [_Own(n, tick, (createtxg[n], 0, 0, "")) for n, tick in ticks.items()]
    return [_Own(n, tick, _order(tick)) for n, tick in ticks.items()]


def _order(tick: TickName) -> _Order:
    return (tick.epoch.n, tick.seq, tick.at, tick.epoch.fork)


def _existing(own: list[_Own], zone: ZoneInfo) -> str:
    if not own:
        return "There is none made by zr here."
    by_time = sorted(own, key=lambda s: (s.tick.at, s.order))
    oldest, newest = by_time[0], by_time[-1]
    return (
        f"The oldest is {oldest.name} ({render_instant(oldest.tick.at, zone)}), "
        f"the newest {newest.name} ({render_instant(newest.tick.at, zone)})."
    )
