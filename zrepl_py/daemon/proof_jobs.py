"""What is known of one proof that was asked for: what it is of, how far it is, what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from zrepl_py.core.codec import encode
from zrepl_py.core.proof_judge import judge_known
from zrepl_py.errors import ZrError
from zrepl_py.model.proof import LastProofs, Proof, Reading, Way


@dataclass
class Job:
    """One copy to be proven, and how far that is."""

    known_as: str
    lane: str
    dataset: str
    target: str
    way: Way
    snapshot: str | None
    asked: bool
    """By a person."""
    state: str = "waiting"
    """`waiting`, `running`, `ended`, `failed`."""
    reading: Reading | None = None
    total_bytes: int = 0
    restored_bytes: int = 0
    proof: Proof | None = None
    error: ZrError | None = None
    stopped: bool = False


def names_of(job: Job) -> dict[str, str]:
    """What its events say of it."""
    return {"dataset": job.dataset, "target": job.target, "way": str(job.way)}


def readers_of(jobs: Iterable[Job]) -> dict[int, str]:
    """guid → which of the jobs needs this node's own snapshot of it now, also while it does not
    read it: a drill receives for hours before it compares."""
    words = {Way.VERIFY: "a comparison with", Way.DRILL: "a drill of the copy on"}
    return {
        job.reading.subject.guid: f"{words[job.way]} {job.target}"
        for job in jobs
        if job.state == "running" and job.reading is not None
    }


def describe_job(job: Job) -> dict[str, Any]:
    """What `proof_look` answers of it."""
    tally = job.reading.tally if job.reading else None
    error = job.error
    return {
        "id": job.known_as,
        "dataset": job.dataset,
        "target": job.target,
        "way": str(job.way),
        "state": job.state,
        "snapshot": job.reading.subject.snapshot if job.reading else job.snapshot,
        "entries": tally.entries if tally else 0,
        "size_bytes": tally.size_bytes if tally else 0,
        "total_bytes": job.total_bytes,
        "restored_bytes": job.restored_bytes,
        "wrong": tally.wrong if tally else 0,
        "proof": encode(job.proof) if job.proof else None,
        "error": {
            "kind": type(error).__name__,
            "reason": error.reason,
            "message": error.message,
            "remedy": error.remedy,
        }
        if error
        else None,
    }


def describe_known(last: LastProofs, now: float) -> dict[str, Any] | None:
    """What `zr status` says of a copy's proofs; docs/reference/status.md."""
    known = judge_known(last)
    if known is None:
        return None

    def age(at: int | None) -> int | None:
        return None if at is None else max(0, round(now - at))

    return {
        "verdict": str(known.verdict),
        "compared_seconds": age(known.compared_at),
        "restored_seconds": age(known.restored_at),
        "restore_took_seconds": known.restore_seconds,
        "why": known.why or None,
    }
