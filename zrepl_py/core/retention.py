"""Which snapshots stay, and why? Retention is a vote to keep; what nobody votes for goes.

Invariants, each with a property test:
- Snapshots that zr did not make are never judged, so never destroyed.
- The newest of ours stays, and so does every pinned one, whatever the cap says.
- What waits for a target that is away has a vote; when a pool runs short, things give way in a
  stated order (core/caps.py). That comes after the cap, so more room never keeps less.
- One more voter never makes a snapshot go that stayed before; under the cap, it never makes fewer
  stay (a fixed number of places can be filled differently). Their order changes no fate.
- The order is createtxg. Times are labels of a clock that may have stepped, and no step of any
  size empties a pool (core/voters.py says how).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from zrepl_py.core.caps import NO_CAPS, Caps, find_first, find_yielding, voters_waiting
from zrepl_py.core.voters import Own, Voter, render_losing, vote_newest, voters_of
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import parse_tick
from zrepl_py.model.plan import Skipped
from zrepl_py.model.policy import Keep, Limits

Votes = Mapping[int, tuple[str, ...]]
"""guid → reasons to keep it: pins, made by core/pins.py and by those who run lanes."""
Reasons = tuple[str, ...]
SHORT = "the pool is short of room"


class Verdict(NamedTuple):
    """Stays or goes, and every reason for it."""

    snapshot: Snapshot
    keep: bool
    reasons: Reasons


def judge(
    history: History,
    keep: Keep,
    limits: Limits,
    pins: Votes,
    *,
    voters: Sequence[Voter] = (),
    caps: Caps = NO_CAPS,
) -> tuple[Verdict, ...]:
    """A verdict for each of our snapshots in `history`, oldest first; foreign ones get none.

    `pins`: guid → why replication, a hold or a person needs it. They do not count for the cap.
    `voters` vote beside those that `keep` asks for. `caps`: who waits, and what gives way.
    """
    return _judge_own(own_of(history), keep, limits, pins, voters, caps)


def judge_doomed(
    history: History,
    keep: Keep,
    limits: Limits,
    pins: Votes,
    *,
    voters: Sequence[Voter] = (),
    caps: Caps = NO_CAPS,
) -> tuple[Verdict, ...]:
    """The verdicts of `judge` on those that go, and no others: made after every receive."""
    return _judge_doomed(own_of(history), keep, limits, pins, voters, caps)


def own_of(history: History) -> list[Snapshot]:
    """The snapshots that zr made, oldest first."""
    return [s for s in history.snapshots if parse_tick(s.name) is not None]


def join_pins(*sources: Votes) -> dict[int, Reasons]:
    """All reasons of all sources together."""
    joined: dict[int, Reasons] = {}
    for source in sources:
        for guid, reasons in source.items():
            joined[guid] = joined.get(guid, ()) + reasons
    return joined


def would_drop_on_target(
    pending: Sequence[Snapshot], replica: History, keep: Keep, limits: Limits | None = None
) -> tuple[Skipped, ...]:
    """Which of `pending` need not be sent: if all of them were delivered, the target's retention
    (`keep`) would drop them at once. The newest is always sent.

    `pending`: snapshots of the source that the target has not, oldest first, all newer than the
    replica's. createtxg is each pool's own, so it is not compared across. Without `limits` the
    target's cap is not applied.
    """
    if len(pending) < 2:
        return ()  # nothing, or the newest alone
    there = {s.guid for s in replica.snapshots}
    arriving = [s for s in pending if parse_tick(s.name) is not None and s.guid not in there]
    present = own_of(replica)
    cap = limits or Limits(max_snapshots=len(present) + len(arriving) + 1)
    doomed = {
        v.snapshot.guid: "; ".join(v.reasons)
        for v in _judge_doomed([*present, *arriving], keep, cap, {}, (), NO_CAPS)
    }
    newest = pending[-1].guid if pending else None
    return tuple(
        Skipped(s, f"the target's retention would drop it at once: {doomed[s.guid]}")
        for s in arriving
        if s.guid in doomed and s.guid != newest
    )


class _Fates(NamedTuple):
    """By place, oldest first."""

    votes: list[Reasons]
    taken: Mapping[int, str]
    """Places that have votes and go all the same → what takes them."""

    def goes(self, place: int) -> bool:
        return not self.votes[place] or place in self.taken


def _judge_doomed(
    snapshots: Sequence[Snapshot],
    keep: Keep,
    limits: Limits,
    pins: Votes,
    voters: Sequence[Voter],
    caps: Caps,
) -> tuple[Verdict, ...]:
    fates = _count_votes(snapshots, keep, limits, pins, voters, caps)
    if () not in fates.votes and not fates.taken:
        return ()
    return tuple(
        [
            _tell_loss(snapshot, fates.votes[place], keep, fates.taken.get(place))
            for place, snapshot in enumerate(snapshots)
            if fates.goes(place)
        ]
    )


def _judge_own(
    snapshots: Sequence[Snapshot],
    keep: Keep,
    limits: Limits,
    pins: Votes,
    voters: Sequence[Voter],
    caps: Caps,
) -> tuple[Verdict, ...]:
    votes, taken = fates = _count_votes(snapshots, keep, limits, pins, voters, caps)
    if not taken:
        losing = render_losing(keep)
        return tuple(
            [Verdict(s, bool(why), why or losing) for s, why in zip(snapshots, votes, strict=True)]
        )
    return tuple(
        [
            _tell_loss(snapshot, votes[place], keep, taken.get(place))
            if fates.goes(place)
            else Verdict(snapshot, True, votes[place])
            for place, snapshot in enumerate(snapshots)
        ]
    )


def _count_votes(
    snapshots: Sequence[Snapshot],
    keep: Keep,
    limits: Limits,
    pins: Votes,
    voters: Sequence[Voter],
    caps: Caps,
) -> _Fates:
    own = Own(snapshots)
    votes: list[Reasons] = [()] * len(snapshots)
    for voter in (vote_newest, *voters_of(keep), *voters, *voters_waiting(caps, limits)):
        for reason, places in voter(own):
            one = (reason,)
            for place in places:
                votes[place] += one
    pinned = _add_pins(snapshots, votes, pins)
    spared = _add_spared(votes, keep.at_least)
    yielding = find_yielding(own, keep, caps, caps.gives_way, voters)
    taken = {n: SHORT for n in yielding if votes[n] and n not in pinned and n not in spared}
    over = f"over max_snapshots = {limits.max_snapshots}"
    first = lambda: find_first(own, keep, caps, voters)  # noqa: E731 - seldom needed
    taken |= dict.fromkeys(_thin(votes, limits.max_snapshots, pinned, spared, first), over)
    return _Fates(votes, taken)


def _tell_loss(snapshot: Snapshot, votes: Reasons, keep: Keep, taken: str | None) -> Verdict:
    """The verdict on one that goes: nobody votes for it, or something takes it all the same."""
    if not votes or taken is None:
        return Verdict(snapshot, False, render_losing(keep))
    return Verdict(snapshot, False, (f"{taken} (else kept: {', '.join(votes)})",))


def _add_pins(snapshots: Sequence[Snapshot], votes: list[Reasons], pins: Votes) -> Collection[int]:
    """Their places, after their reasons were added."""
    if not pins:
        return ()
    pinned = {place for place, snapshot in enumerate(snapshots) if snapshot.guid in pins}
    for place in pinned:
        votes[place] += tuple(pins[snapshots[place].guid]) or ("pinned",)
    return pinned


def _add_spared(votes: list[Reasons], at_least: int | None) -> Collection[int]:
    """The places that the minimum count keeps: the newest that have votes, then the newest others,
    until there are so many. It adds its reason to those that nobody else votes for."""
    if at_least is None:
        return ()
    newest_first = range(len(votes) - 1, -1, -1)
    voted = [place for place in newest_first if votes[place]]
    others = [place for place in newest_first if not votes[place]]
    spared = (voted + others)[:at_least]
    for place in spared[len(voted) :]:
        votes[place] = (f"keep_at_least = {at_least}",)
    return frozenset(spared)


def _thin(
    votes: list[Reasons],
    places: int,
    pinned: Collection[int],
    spared: Collection[int],
    find_soft: Callable[[], Collection[int]],
) -> Collection[int]:
    """The places that the cap takes away, of the unpinned that have votes: what `find_soft` finds,
    then the others, the oldest first."""
    if len(votes) <= places:
        return ()
    unpinned = [place for place, reasons in enumerate(votes) if reasons and place not in pinned]
    excess = len(unpinned) - places
    if excess <= 0:
        return ()
    soft = find_soft()
    order = sorted(unpinned, key=lambda place: place not in soft) if soft else unpinned
    safe = {len(votes) - 1, *spared}
    return frozenset(place for place in order[:excess] if place not in safe)
