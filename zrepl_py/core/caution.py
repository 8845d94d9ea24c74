"""May a plan to destroy be performed without asking a person? Pure.

Verdicts follow rules; here it is asked whether the rules see what they think they see. Invariants:
- A doubt only ever keeps more: it can forbid a plan, never add to one.
- Working as usual raises none: small histories, one snapshot a minute, a machine that was off,
  many snapshots of today at once.
- What is asked is named by a digest of what would go, so a person allows that and nothing else.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from zrepl_py.core.caps import NO_CAPS, Caps
from zrepl_py.core.retention import Verdict, Votes, judge_doomed, own_of
from zrepl_py.core.voters import Ballot, Own, Voter, render_seconds
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.policy import Keep, Limits

STEP_SECONDS = 120
"""Clocks are set right by less than this every day; it is not worth a question."""
STEADY_SECONDS = 64_800
"""A clock that was set back, and was in order for so long since, is believed again: before what was
kept meanwhile is of yesterday, so that no second question follows."""
SEASONED_SECONDS = 86_400
GAP_SECONDS = 21_600
"""A gap makes what is before it older by no more than this: it may be a clock that stepped."""
FEW = 5
"""Fewer of yesterday and before are removed without asking."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a person is asked first."""

    reason: str
    """`clock`, `history-short` or `removes-much`."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Removal:
    """What would go of one dataset, and whether it may without asking."""

    doomed: tuple[Verdict, ...]
    doubt: Doubt | None = None
    withheld: tuple[Verdict, ...] = ()
    """What goes only when a person allows it: all that the doubt keeps."""

    @property
    def digest(self) -> str:
        """Names the plan that a person is asked about."""
        return digest_plan(v.snapshot for v in (*self.doomed, *self.withheld))


def plan_removal(
    history: History,
    keep: Keep,
    limits: Limits,
    pins: Votes,
    *,
    now: float | None = None,
    expected: Collection[int] = (),
    caps: Caps = NO_CAPS,
) -> Removal:
    """What goes, by the rules and by caution.

    `now`: the clock of the node that gave the snapshots their times; None where it is not known.
    `expected`: guids that were all there is at the last tick, as the journal has it.
    `caps`: who waits for what, and what gives way for want of room.
    """
    clock = vote_in_doubt(now)
    voters = (clock,) if goes_by_cells(keep) else ()
    doomed = judge_doomed(history, keep, limits, pins, voters=voters, caps=caps)
    missing = [guid for guid in expected if history.snapshot(guid) is None]
    own = own_of(history) if voters or len(doomed) >= FEW or missing else []
    if missing and doomed:
        return Removal((), _short(len(missing)), doomed)
    if doubt := find_large_share(own, doomed, limits):
        return Removal((), doubt, doomed)
    if voters and (doubt := find_clock_doubt(Own(own), now)):
        going = {v.snapshot.guid for v in doomed}
        believed = judge_doomed(history, keep, limits, pins, caps=caps)
        withheld = tuple(v for v in believed if v.snapshot.guid not in going)
        return Removal(doomed, doubt if withheld else None, withheld)
    return Removal(doomed)


def goes_by_cells(keep: Keep) -> bool:
    """Does a rule of this retention need clocks that are right? keep_within reckons by itself."""
    return bool(keep.grid or keep.calendar)


def find_clock_doubt(own: Own, now: float | None = None) -> Doubt | None:
    """The newest is of the future, or within the last 18 hours it was set back."""
    labels = own.labels
    if labels and now is not None and labels[-1] > now + STEP_SECONDS:
        ahead = render_seconds(int(labels[-1] - now))
        return Doubt("clock", f"The newest snapshot is {ahead} in the future of the clock.")
    if own.ordered:
        return None
    for place in range(len(labels) - 1, 0, -1):
        if labels[-1] - labels[place] >= STEADY_SECONDS:
            return None
        back = labels[place - 1] - labels[place]
        if back > STEP_SECONDS:
            name = own.snapshots[place].name
            return Doubt("clock", f"The clock was set back {render_seconds(back)} before {name}.")
    return None


def vote_in_doubt(now: float | None = None) -> Voter:
    """All, while the clock is in doubt: rules that count hours and days might be wrong."""

    def vote(own: Own) -> Iterable[Ballot]:
        doubt = find_clock_doubt(own, now)
        if doubt is None:
            return ()
        reason = f"the clock is in doubt: {doubt.sentence.rstrip('.')}"
        return (Ballot(reason, range(len(own.labels))),)

    return vote


def find_large_share(
    own: Sequence[Snapshot], doomed: Sequence[Verdict], limits: Limits
) -> Doubt | None:
    """More than the configured share of what is older than a day would go at once."""
    if len(doomed) < FEW or limits.max_remove_percent >= 100:
        return None
    seasoned = find_seasoned(own)
    going = sum(v.snapshot.guid in seasoned for v in doomed)
    if going < FEW or going * 100 <= limits.max_remove_percent * len(seasoned):
        return None
    return Doubt(
        "removes-much",
        f"{going} of the {len(seasoned)} snapshots of yesterday and before would go at once, more "
        f"than max_remove_share = {limits.max_remove_percent} %.",
    )


def find_seasoned(own: Sequence[Snapshot]) -> frozenset[int]:
    """guids of snapshots after which more than a day was snapshotted, whatever the labels say."""
    age = 0
    for place in range(len(own) - 2, -1, -1):
        gap = own[place + 1].created_at - own[place].created_at
        age += min(max(gap, 0), GAP_SECONDS)
        if age > SEASONED_SECONDS:
            return frozenset(s.guid for s in own[: place + 1])
    return frozenset()


def digest_plan(snapshots: Iterable[Snapshot]) -> str:
    """12 hex digits that name a set of snapshots, whatever their order."""
    text = ",".join(str(guid) for guid in sorted(s.guid for s in snapshots))
    return sha256(text.encode()).hexdigest()[:12]


def _short(missing: int) -> Doubt:
    return Doubt(
        "history-short",
        f"What the last tick knew to be there is gone ({missing} missing): it was rolled back, or "
        "somebody else destroyed it.",
    )
