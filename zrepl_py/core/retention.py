"""Which snapshots stay, and why? Retention is a vote to keep; what nobody votes for goes.

Invariants, each with a property test:
- Snapshots that zr did not make are never judged, so never destroyed.
- The newest of ours stays, and so does every pinned one, whatever the cap says.
- One more voter never makes a snapshot go that stayed before; under the cap, it never makes fewer
  stay (a fixed number of places can be filled differently).
- The order is createtxg. Times are labels of a clock that may have stepped, and no step of any
  size empties a pool (vote_within says how).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import parse_tick
from zrepl_py.model.plan import Skipped
from zrepl_py.model.policy import Keep, Limits

Votes = Mapping[int, tuple[str, ...]]
"""guid → reasons to keep it. Pins have this shape too."""
Voter = Callable[[Sequence[Snapshot]], Votes]
"""Own snapshots, oldest first → votes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Stays or goes, and every reason for it."""

    snapshot: Snapshot
    keep: bool
    reasons: tuple[str, ...]


def judge(
    history: History,
    keep: Keep,
    limits: Limits,
    pins: Votes,
    *,
    voters: Sequence[Voter] = (),
) -> tuple[Verdict, ...]:
    """A verdict for each of our snapshots in `history`, oldest first; foreign ones get none.

    `pins`: guid → why replication, a hold or a person needs it. They do not count for the cap.
    `voters` vote beside those that `keep` asks for.
    """
    own = [s for s in history.snapshots if parse_tick(s.name) is not None]
    return _judge_own(own, keep, limits, pins, voters)


def join_pins(*sources: Votes) -> dict[int, tuple[str, ...]]:
    """All reasons of all sources together."""
    joined: dict[int, tuple[str, ...]] = {}
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
    present = [s for s in replica.snapshots if parse_tick(s.name) is not None]
    cap = limits or Limits(max_snapshots=len(present) + len(arriving) + 1)
    doomed = {
        v.snapshot.guid: "; ".join(v.reasons)
        for v in _judge_own([*present, *arriving], keep, cap, {}, ())
        if not v.keep
    }
    newest = pending[-1].guid if pending else None
    return tuple(
        Skipped(s, f"the target's retention would drop it at once: {doomed[s.guid]}")
        for s in arriving
        if s.guid in doomed and s.guid != newest
    )


def vote_last(count: int) -> Voter:
    """The newest `count`."""

    def vote(own: Sequence[Snapshot]) -> Votes:
        first = max(0, len(own) - count)
        return {s.guid: (f"keep_last = {count}",) for s in own[first:]}

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
    rule = f"keep_within = {render_seconds(seconds)}"
    by_label = (rule,)
    by_gaps = (f"{rule} (older only by a long gap, which may be a clock that stepped)",)

    def vote(own: Sequence[Snapshot]) -> Votes:
        votes: dict[int, tuple[str, ...]] = {}
        age = 0.0
        for place in range(len(own) - 1, -1, -1):
            snapshot = own[place]
            if place + 1 < len(own):
                gap = own[place + 1].created_at - snapshot.created_at
                age += min(max(gap, 0), half)
            if own[-1].created_at - snapshot.created_at <= seconds:
                votes[snapshot.guid] = by_label
            elif age <= seconds:
                votes[snapshot.guid] = by_gaps
        return votes

    return vote


def vote_newest(own: Sequence[Snapshot]) -> Votes:
    """The newest one: without it there is no state to return to."""
    return {own[-1].guid: ("the newest",)} if own else {}


def vote_everything(own: Sequence[Snapshot]) -> Votes:
    """All: no retention was ordered here."""
    return dict.fromkeys((s.guid for s in own), ("no retention rule: everything stays",))


def voters_of(keep: Keep) -> tuple[Voter, ...]:
    """The voters that a policy's retention asks for."""
    voters: list[Voter] = []
    if keep.last is not None:
        voters.append(vote_last(keep.last))
    if keep.within_seconds is not None:
        voters.append(vote_within(keep.within_seconds))
    return tuple(voters) or (vote_everything,)


def render_seconds(seconds: int) -> str:
    """172800 → `2d`: the largest unit of s, m, h, d that divides it."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _judge_own(
    own: Sequence[Snapshot], keep: Keep, limits: Limits, pins: Votes, voters: Sequence[Voter]
) -> tuple[Verdict, ...]:
    ballots = [vote(own) for vote in (vote_newest, *voters_of(keep), *voters)]
    ballots.append({guid: reasons or ("pinned",) for guid, reasons in pins.items()})
    votes: dict[int, tuple[str, ...]] = dict.fromkeys((s.guid for s in own), ())
    for ballot in ballots:
        for guid, reasons in ballot.items():
            if guid in votes:
                votes[guid] += tuple(reasons)
    thinned = _thin(own, votes, limits.max_snapshots, pins)
    return tuple(_verdict(s, votes[s.guid], s.guid in thinned, limits, keep) for s in own)


def _thin(own: Sequence[Snapshot], votes: Votes, places: int, pins: Votes) -> frozenset[int]:
    """guids that the cap takes away: the oldest of the unpinned that have votes."""
    if len(own) <= places:
        return frozenset()
    unpinned = [s.guid for s in own if votes[s.guid] and s.guid not in pins]
    excess = max(0, len(unpinned) - places)
    return frozenset(g for g in unpinned[:excess] if g != own[-1].guid)


def _verdict(
    snapshot: Snapshot, votes: tuple[str, ...], thinned: bool, limits: Limits, keep: Keep
) -> Verdict:
    if thinned:
        over = f"over max_snapshots = {limits.max_snapshots} (else kept: {', '.join(votes)})"
        return Verdict(snapshot, False, (over,))
    if votes:
        return Verdict(snapshot, True, votes)
    rules = []
    if keep.last is not None:
        rules.append(f"older than the newest {keep.last}")
    if keep.within_seconds is not None:
        rules.append(f"more than {render_seconds(keep.within_seconds)} before the newest")
    return Verdict(snapshot, False, tuple(rules) or ("nobody votes for it",))
