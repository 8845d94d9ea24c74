"""What waits for a target that is away, and what gives way when a pool runs short? Pure.

The order in which things give way, the first one first (ADR 0023):
1. Below `thin_free`: what waits for a target and no rule of this node wants, down to the ladder.
2. Below one point above `min_free`: also what only keep_last, keep_within or the lack of any rule
   wants, down to the ladder, whether it waits or not.
3. Below `min_free`: no new snapshots are taken, and an event says so. That is the last step.

The ladder: the newest 60, the last of each of 96 quarter-hours, of 168 hours, and of every day.

Never gives way: files; snapshots that zr did not make; the newest; the last common version with
any target; what is held, cloned, read or on its way; what keep_at_least, keep_matching, a grid or a
calendar wants, here or on a target that it waits for. Invariants (property tests):
- More free space never removes more.
- Thinning at every snapshot is thinning once: what was let go is never wanted later.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import IntEnum
from operator import attrgetter
from typing import NamedTuple

from zrepl_py.core.cells import grid_cells
from zrepl_py.core.voters import (
    Ballot,
    Own,
    Voter,
    dense_voters_of,
    places_of,
    sparse_voters_of,
    vote_cells,
    vote_last,
    vote_newest,
)
from zrepl_py.model.history import History
from zrepl_py.model.names import parse_cursor, parse_tick
from zrepl_py.model.observation import PoolView
from zrepl_py.model.policy import Keep, Limits

NEWEST = 60
"""Of what waits, so many never give way."""
LADDER: tuple[Voter, ...] = (
    vote_last(NEWEST),
    vote_cells("ladder", 96, grid_cells(900)),
    vote_cells("ladder", 168, grid_cells(3600)),
    vote_cells("ladder", 1_000_000, grid_cells(86_400)),
)
"""Each rung by itself; cells in which nothing was taken do not count."""
_createtxg = attrgetter("createtxg")


class GivesWay(IntEnum):
    """How much of the order above counts now."""

    NOTHING = 0
    WAITING = 1
    DENSE = 2


class Awaited(NamedTuple):
    """A target that has a dataset up to some version, and not what came after it."""

    target: str
    base_createtxg: int
    """Of the last common version, by the source's pool."""
    keep: Keep
    """The target's retention: what it would drop at once waits for nobody."""


class Caps(NamedTuple):
    """What retention has to know of targets and of room."""

    awaited: tuple[Awaited, ...] = ()
    gives_way: GivesWay = GivesWay.NOTHING


NO_CAPS = Caps()


def judge_room(room: PoolView, limits: Limits) -> GivesWay:
    """What gives way in a pool with so much room."""
    if limits.thin_percent and is_below(room, limits.min_free_percent + 1):
        return GivesWay.DENSE
    return GivesWay.WAITING if is_below(room, limits.thin_percent) else GivesWay.NOTHING


def is_below(room: PoolView, percent: int) -> bool:
    """Is less than this share of the pool free?"""
    return room.free_bytes * 100 < room.size_bytes * percent


def find_awaited(
    history: History,
    targets: Collection[str],
    keep: Mapping[str, Keep],
    peers: Mapping[str, str],
    arrived: Mapping[str, int] | None = None,
) -> tuple[Awaited, ...]:
    """The targets that have an older version of this dataset, or its newest.

    `targets`: where its copies go now, which after a switchover is the policy's source. `keep`:
    node → its retention. `peers`: first 8 hex digits of a node's uuid → its name. `arrived`: target
    → guid of the newest that it said it has, which counts before the cursor. A cursor of a node
    that is not known counts where one of the targets is not known either: unknown is unsafe. So
    does the older of two cursors, as power that went between making one and destroying the other
    leaves them: the target may have the older alone, where it was sent everything anew. A target
    without any common version is none of them: the source's own rules decide what its first copy
    begins with.
    """
    known = {name for name in targets if name in peers.values()}
    bases: dict[str, int] = {}
    for bookmark in history.bookmarks:
        cursor = parse_cursor(bookmark.name)
        if cursor is None or cursor[1] != bookmark.guid:
            continue
        name = peers.get(cursor[0])
        if name is None and len(known) < len(targets):
            name = f"the node {cursor[0]}…"
        elif name not in targets:
            continue
        bases[str(name)] = min(bookmark.createtxg, bases.get(str(name), bookmark.createtxg))
    for name, guid in (arrived or {}).items():
        base = history.snapshot(guid)
        if base is not None and name in targets:
            bases[name] = base.createtxg
    return tuple(Awaited(n, txg, keep.get(n, Keep())) for n, txg in sorted(bases.items()))


def vote_waiting(awaited: Awaited, count: int) -> Voter:
    """What the target has not yet and would keep: the newest `count`, and the ladder before them.
    What a grid, a calendar or a name wants there is kept whole: it is thin already."""
    reason = f"waits for {awaited.target}"

    def vote(own: Own) -> Iterable[Ballot]:
        first, late = _later(own, awaited)
        if not late.snapshots:
            return ()
        dense = places_of(_dense_of(awaited.keep), late)
        thin = places_of((vote_last(count), *LADDER), late)
        wanted = places_of(sparse_voters_of(awaited.keep), late) | (dense & thin)
        return (Ballot(reason, sorted(first + place for place in wanted)),)

    return vote


def voters_waiting(caps: Caps, limits: Limits) -> list[Voter]:
    """One per target, unless nothing shall wait."""
    if not limits.keep_waiting:
        return []
    return [vote_waiting(awaited, limits.keep_waiting) for awaited in caps.awaited]


def find_yielding(
    own: Own, keep: Keep, caps: Caps, gives_way: GivesWay, more: Sequence[Voter] = ()
) -> frozenset[int]:
    """The places that give way where so much does, as far as votes decide: pins are not known here.

    `more`: voters besides the policy's, which never give way.
    """
    if gives_way is GivesWay.NOTHING:
        return frozenset()
    staying = [vote_newest, *LADDER, *sparse_voters_of(keep), *more]
    if gives_way is GivesWay.WAITING:
        staying += dense_voters_of(keep)
    stays = places_of(staying, own)
    for awaited in caps.awaited:
        first, late = _later(own, awaited)
        stays |= {first + place for place in places_of(sparse_voters_of(awaited.keep), late)}
    return frozenset(range(len(own.snapshots))) - stays


def find_first(own: Own, keep: Keep, caps: Caps, more: Sequence[Voter] = ()) -> frozenset[int]:
    """The places that go first where max_snapshots is exceeded: of what waits, what the ladder
    drops. A history that waits is made thinner, where the oldest of it would have gone whole."""
    if not caps.awaited:
        return frozenset()
    begins = min(_later(own, awaited)[0] for awaited in caps.awaited)
    yielding = find_yielding(own, keep, caps, GivesWay.DENSE, more)
    return frozenset(place for place in yielding if place >= begins)


def find_waiting(history: History, awaited: Awaited) -> Sequence[int]:
    """When each of our snapshots was taken that waits for the target, oldest first."""
    _, late = _later(Own([s for s in history.snapshots if parse_tick(s.name)]), awaited)
    return late.labels


def _later(own: Own, awaited: Awaited) -> tuple[int, Own]:
    """What came after the last common version, and the place of its first."""
    first = bisect_right(own.snapshots, awaited.base_createtxg, key=_createtxg)
    return first, Own(own.snapshots[first:])


def _dense_of(keep: Keep) -> tuple[Voter, ...]:
    """With the minimum count, which is a rule of its own (core/retention.py)."""
    least = () if keep.at_least is None else (vote_last(keep.at_least),)
    return (*dense_voters_of(keep), *least)
