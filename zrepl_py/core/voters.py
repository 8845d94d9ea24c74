"""Who votes to keep a snapshot because a policy says so? One voter per rule.

A voter sees our own snapshots of one dataset, oldest first, and names the places (indexes) that it
wants kept, with its reason. It knows nothing of other voters, of the clock, or of anything but the
list: what it says is the same wherever and whenever it is asked. Invariants (property tests):
- A snapshot that a rule lets go is never wanted by it later, whatever comes after; so pruning every
  minute keeps the same as pruning once. (keep_within, after a silence, may keep more.)
- Times are labels of a clock that may have stepped. No step of any size empties a history.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate
from functools import lru_cache
from itertools import islice
from operator import attrgetter, le
from re import Pattern
from re import compile as compile_pattern
from typing import NamedTuple

from zrepl_py.core.cells import CellOf, calendar_cells, grid_cells
from zrepl_py.model.history import Snapshot
from zrepl_py.model.policy import Keep, Rung

_LABEL = attrgetter("created_at")


class Own:
    """Our snapshots of one dataset, oldest first (createtxg), and what every voter asks of them."""

    __slots__ = ("labels", "ordered", "snapshots")

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self.snapshots = snapshots
        self.labels: list[int] = list(map(_LABEL, snapshots))
        self.ordered = all(map(le, self.labels, islice(self.labels, 1, None)))
        """The labels never go back: no clock was ever set back meanwhile."""


class Ballot(NamedTuple):
    """A reason to keep, and whom it is for."""

    reason: str
    places: Iterable[int]


Voter = Callable[[Own], Iterable[Ballot]]


def vote_newest(own: Own) -> Iterable[Ballot]:
    """The newest one: without it there is no state to return to."""
    return (Ballot("the newest", (len(own.labels) - 1,)),) if own.labels else ()


def vote_everything(own: Own) -> Iterable[Ballot]:
    """All: no retention was ordered here."""
    return (Ballot("no retention rule: everything stays", range(len(own.labels))),)


def vote_last(count: int) -> Voter:
    """The newest `count`."""
    reason = f"keep_last = {count}"

    def vote(own: Own) -> Iterable[Ballot]:
        first = max(0, len(own.labels) - count)
        return (Ballot(reason, range(first, len(own.labels))),)

    return vote


def vote_within(seconds: int) -> Voter:
    """What is not older than `seconds`, seen from the newest snapshot (never from the clock).

    A clock that stepped must not make everything look old, so a snapshot is young if either of two
    ways to reckon says so. First, by its label: not more than `seconds` before the newest's label;
    a label after the newest's is young. Second, by adding up the gaps between neighbours in order
    of createtxg, where a step back adds nothing and no gap adds more than half the window: a step
    forward of ten years costs at most half of what is kept. The price: a long silence looks the
    same, so what was taken in the half window before it stays until as much was taken after it.
    """
    half = seconds / 2
    by_label = f"keep_within = {render_seconds(seconds)}"
    by_gaps = f"{by_label} (older only by a long gap, which may be a clock that stepped)"

    def vote(own: Own) -> Iterable[Ballot]:
        labels = own.labels
        if not labels:
            return ()
        oldest = labels[-1] - seconds
        young: Sequence[int]
        if own.ordered:
            young = range(bisect_left(labels, oldest), len(labels))
        else:
            young = [place for place, label in enumerate(labels) if label >= oldest]
        if len(young) == len(labels):
            return (Ballot(by_label, young),)
        return Ballot(by_label, young), Ballot(by_gaps, _near(labels, seconds, half, oldest))

    return vote


def _near(labels: list[int], seconds: int, half: float, oldest: int) -> list[int]:
    """Places that are young by the sum of gaps alone."""
    age, near = 0.0, []
    for place in range(len(labels) - 2, -1, -1):
        gap = labels[place + 1] - labels[place]
        if gap > 0:
            age += gap if gap < half else half
            if age > seconds:
                break
        if labels[place] < oldest:
            near.append(place)
    return near


def vote_cells(rule: str, count: int, cell_of: CellOf) -> Voter:
    """The last snapshot of each of the newest `count` cells in which any was taken.

    Cells without a snapshot do not count: a machine that was off, or a clock that jumped ahead ten
    years, costs nothing. What a clock that was set back labels a second time counts as a cell of
    its own, so that nothing displaces what was really taken at another time.
    """

    def vote(own: Own) -> Iterable[Ballot]:
        return (Ballot(rule, list(islice(last_of_cells(own, cell_of), count))),)

    return vote


def last_of_cells(own: Own, cell_of: CellOf) -> Iterator[int]:
    """The place of the last snapshot of each cell, the newest cell first."""
    labels, place = own.labels, len(own.labels) - 1
    while place >= 0:
        yield place
        start, end = cell_of(labels[place])
        if own.ordered:
            place = bisect_left(labels, start, 0, place) - 1
        else:
            while place >= 0 and start <= labels[place] < end:
                place -= 1


def vote_matching(patterns: Sequence[str]) -> Voter:
    """Those whose names (after the @) match any pattern, for ever."""
    matchers = [(f"keep_matching = {pattern!r}", _matcher(pattern)) for pattern in patterns]

    def vote(own: Own) -> Iterable[Ballot]:
        return [
            Ballot(reason, [n for n, s in enumerate(own.snapshots) if matcher.match(s.name)])
            for reason, matcher in matchers
        ]

    return vote


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> Pattern[str]:
    return compile_pattern(translate(pattern))


def voters_of(keep: Keep) -> tuple[Voter, ...]:
    """The voters that a policy's retention asks for; `at_least` is no vote (core/retention)."""
    return (*dense_voters_of(keep), *sparse_voters_of(keep))


def dense_voters_of(keep: Keep) -> tuple[Voter, ...]:
    """Those that want every snapshot of a time, or all of them for want of a rule."""
    voters: list[Voter] = []
    if keep.last is not None:
        voters.append(vote_last(keep.last))
    if keep.within_seconds is not None:
        voters.append(vote_within(keep.within_seconds))
    if not voters and not sparse_voters_of(keep) and keep.at_least is None:
        voters.append(vote_everything)
    return tuple(voters)


def sparse_voters_of(keep: Keep) -> tuple[Voter, ...]:
    """Those that want the last of each hour or day, and what has a name."""
    voters: list[Voter] = []
    for rung in keep.grid:
        voters.append(vote_cells(render_rung(rung), rung.count, grid_cells(rung.cell_seconds)))
    for name, count in keep.calendar:
        cells = calendar_cells(name, keep.timezone)
        voters.append(vote_cells(f"{name} = {count}", count, cells))
    if keep.matching:
        voters.append(vote_matching(keep.matching))
    return tuple(voters)


def places_of(voters: Iterable[Voter], own: Own) -> set[int]:
    """The places that any of them wants."""
    return {place for voter in voters for _, places in voter(own) for place in places}


@lru_cache(maxsize=256)
def render_losing(keep: Keep) -> tuple[str, ...]:
    """Why a snapshot goes that no rule of this retention votes for: what each rule says of it."""
    rules = []
    if keep.last is not None:
        rules.append(f"older than the newest {keep.last}")
    if keep.within_seconds is not None:
        rules.append(f"more than {render_seconds(keep.within_seconds)} before the newest")
    for rung in keep.grid:
        cell = render_seconds(rung.cell_seconds)
        rules.append(f"not the last of any of the newest {rung.count} cells of {cell}")
    for name, count in keep.calendar:
        rules.append(f"not the last of any of the newest {count} {UNITS[name]}")
    if keep.matching:
        rules.append("no pattern of keep_matching")
    return tuple(rules) or ("nobody votes for it",)


UNITS = {
    "hourly": "hours",
    "daily": "days",
    "weekly": "weeks",
    "monthly": "months",
    "yearly": "years",
}


def render_rung(rung: Rung) -> str:
    """A rung as reasons say it."""
    return f"grid = {rung.count} x {render_seconds(rung.cell_seconds)}"


def render_seconds(seconds: int) -> str:
    """172800 → `2d`: the largest unit of s, m, h, d that divides it."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
