"""What do the last proofs say of a copy, in words; and which copy is to be proven next? Pure.

"Proven" is said only where a copy was read, or restored, and found equal. What cannot be compared
is never proven, however well it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zrepl_py.core.proof_digest import name_object
from zrepl_py.model.config import ProofLimits
from zrepl_py.model.proof import ROOT, LastProofs, Proof, Side, Verdict, Way, Wrong

LISTED = 3
AGAIN_SECONDS = 86_400
"""A copy that did not stand a comparison is compared again after so long: it may be mended."""
_BAD = (Verdict.DAMAGED, Verdict.DIFFERENT)
STEPPED_SECONDS = 86_400
"""A proof from so far in the future is one of a clock that was wrong: as good as none."""


def explain_proof(proof: Proof) -> str:
    """A sentence, where a copy is not equal; else empty."""
    subject = proof.subject
    if proof.verdict is Verdict.EQUAL:
        return ""
    if proof.verdict is Verdict.UNCOMPARABLE:
        whose = "this node" if proof.way is Way.DRILL else subject.target
        return (
            f"The copy of {subject.dataset} is encrypted with a key of {whose}'s own, which is not "
            "loaded there: it cannot be compared by content. Known is that the stream arrived "
            "whole, by ZFS's checksums; whether it can be read today is what a scrub on "
            f"{subject.target} tells."
        )
    root = "its content" if subject.volume else "its root"
    shown = [root if d.path == ROOT else d.path for d in proof.differences[:LISTED]]
    if subject.raw:
        shown = [name_object(path) for path in shown]
    named = ", ".join(shown)
    more = proof.wrong - min(LISTED, len(proof.differences))
    rest = f" and {more} more" if more > 0 else ""
    if proof.verdict is Verdict.DAMAGED:
        sides = {d.side for d in proof.differences if d.wrong is Wrong.UNREADABLE}
        here = "this node" if Side.SOURCE in sides else ""
        there = subject.target if Side.TARGET in sides else ""
        where = " and ".join(side for side in (there, here) if side)
        return f"{subject.dataset} is damaged on {where}: {named}{rest}."
    return f"{subject.dataset} is not the same on {subject.target}: {named}{rest}."


@dataclass(frozen=True, slots=True)
class Known:
    """What the last proofs of a copy say together."""

    verdict: Verdict
    """Of the newest one."""
    compared_at: int | None
    """When it was last read and found equal, whichever way."""
    restored_at: int | None
    """When a drill last restored it and found it equal."""
    restore_seconds: float | None
    """How long that took."""
    why: str
    """A sentence, where the newest one is not equal."""


def judge_known(last: LastProofs) -> Known | None:
    """None: it was never proven, nor tried."""
    made = [proof for proof in (last.verified, last.drilled) if proof is not None]
    if not made:
        return None
    newest = max(made, key=lambda proof: proof.ended_at)
    equal = [proof.ended_at for proof in made if proof.verdict is Verdict.EQUAL]
    drilled = last.drilled
    whole = drilled is not None and drilled.verdict is Verdict.EQUAL
    return Known(
        newest.verdict,
        max(equal, default=None),
        drilled.ended_at if drilled and whole else None,
        drilled.restore_seconds if drilled and whole else None,
        newest.why,
    )


def last_proofs(proofs: Iterable[Proof]) -> dict[str, LastProofs]:
    """Lane → its newest proofs. `proofs`: oldest first."""
    last: dict[str, LastProofs] = {}
    for proof in proofs:
        add_proof(last, proof)
    return last


def add_proof(last: dict[str, LastProofs], proof: Proof) -> None:
    """A newer one, into what last_proofs made."""
    lane = proof.subject.lane
    known = last.get(lane, LastProofs())
    if proof.way is Way.VERIFY:
        last[lane] = LastProofs(proof, known.drilled)
    else:
        last[lane] = LastProofs(known.verified, proof)


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done next."""

    lane: str
    way: Way


def choose_due(
    lanes: Iterable[str],
    last: Mapping[str, LastProofs],
    begun: str | None,
    now: float,
    hour: int,
    limits: ProofLimits,
) -> Due | None:
    """The copy that was not proven for longest, of those that are due; None: none is.

    `lanes`: those that have a copy, in their order. `begun`: one whose comparison was interrupted;
    it goes first. `hour`: of the day, at the site: drills begin only at night.
    """
    due: list[tuple[float, int, Due]] = []
    for number, lane in enumerate(lanes):
        known = last.get(lane, LastProofs())
        verified = _age(known.verified, now)
        drilled = _age(known.drilled, now)
        if limits.drill_seconds is not None and is_night(hour, limits):
            due.append((drilled - limits.drill_seconds, -number, Due(lane, Way.DRILL)))
        if limits.verify_seconds is not None:
            if known.verified is not None and known.verified.verdict in _BAD:
                verified += max(0, limits.verify_seconds - AGAIN_SECONDS)
            # A drill reads more than a verification does, but the target's copy only once.
            due.append((verified - limits.verify_seconds, -number, Due(lane, Way.VERIFY)))
        if lane == begun and limits.verify_seconds is not None:
            return Due(lane, Way.VERIFY)
    late = [item for item in due if item[0] >= 0]
    return max(late, key=lambda item: item[:2])[2] if late else None


def is_night(hour: int, limits: ProofLimits) -> bool:
    """Whether drills may begin in this hour."""
    begin, end = limits.begin_hour, limits.end_hour
    return begin <= hour < end if begin < end else hour >= begin or hour < end


def _age(proof: Proof | None, now: float) -> float:
    if proof is None or proof.ended_at > now + STEPPED_SECONDS:
        return float("inf")
    return now - proof.ended_at
