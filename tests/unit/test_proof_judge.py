"""What is due, what the last proofs say together, what can be mended, what the CLI calls it."""

import pytest

from zrepl_py.cli.proving import raise_outcome, render_difference, render_outcome
from zrepl_py.cli.status import render_proof
from zrepl_py.core.codec import encode
from zrepl_py.core.proof_judge import (
    Due,
    choose_due,
    explain_proof,
    is_night,
    judge_known,
    last_proofs,
)
from zrepl_py.daemon.proof_jobs import describe_known
from zrepl_py.errors import Corrupt, Passing, Standing
from zrepl_py.model.config import ProofLimits
from zrepl_py.model.proof import (
    Difference,
    LastProofs,
    Proof,
    Side,
    Subject,
    Verdict,
    Way,
    Wrong,
)

DAY = 86_400
NOW = 1_795_000_000
LIMITS = ProofLimits()
DARK = Difference("a%20b", Wrong.UNREADABLE, Side.TARGET, "EIO", 4194304)


def proof(
    lane: str = "l1",
    way: Way = Way.VERIFY,
    verdict: Verdict = Verdict.EQUAL,
    age: int = 0,
    *differences: Difference,
    raw: bool = False,
) -> Proof:
    subject = Subject(lane, "tank/a", "beta", "zr_1", 7, raw=raw)
    drill = way is Way.DRILL
    return Proof(
        1, way, verdict, subject, NOW - age - 5, NOW - age, 10, 1 << 20,
        restore_seconds=61.5 if drill else None, wrong=len(differences), differences=differences,
    )  # fmt: skip


def due(last: dict[str, LastProofs], hour: int = 12, begun: str | None = None) -> Due | None:
    return choose_due(["l1", "l2"], last, begun, NOW, hour, LIMITS)


def test_what_was_never_proven_comes_first_then_the_oldest() -> None:
    assert due({}) == Due("l1", Way.VERIFY)
    assert due(last_proofs([proof("l1")])) == Due("l2", Way.VERIFY)
    both = [proof("l1", age=8 * DAY), proof("l2", age=9 * DAY)]
    assert due(last_proofs(both)) == Due("l2", Way.VERIFY)
    fresh = [proof("l1", age=6 * DAY), proof("l2", age=3 * DAY)]
    assert due(last_proofs(fresh)) is None


def test_what_was_damaged_is_looked_at_again_after_a_day() -> None:
    bad = proof("l1", Way.VERIFY, Verdict.DAMAGED, DAY + 1, DARK)
    assert due(last_proofs([bad, proof("l2", age=6 * DAY)])) == Due("l1", Way.VERIFY)
    assert due(last_proofs([proof("l1", age=DAY + 1), proof("l2", age=6 * DAY)])) is None


def test_drills_begin_at_night() -> None:
    fresh = last_proofs([proof("l1"), proof("l2")])
    assert due(fresh) is None
    assert due(fresh, hour=1) == Due("l1", Way.DRILL)
    drilled = [proof("l1", Way.DRILL), proof("l1"), proof("l2")]
    assert due(last_proofs(drilled), hour=4) == Due("l2", Way.DRILL)
    assert [h for h in range(24) if is_night(h, LIMITS)] == [1, 2, 3, 4]
    over = ProofLimits(begin_hour=22, end_hour=2)
    assert [h for h in range(24) if is_night(h, over)] == [0, 1, 22, 23]


def test_what_was_interrupted_goes_on_first() -> None:
    assert due({}, begun="l2") == Due("l2", Way.VERIFY)


def test_never_means_never() -> None:
    never = ProofLimits(verify_seconds=None, drill_seconds=None)
    assert choose_due(["l1"], {}, "l1", NOW, 2, never) is None


def test_a_proof_from_a_wrong_clocks_future_is_none() -> None:
    assert due(last_proofs([proof("l1", age=-2 * DAY), proof("l2")])) == Due("l1", Way.VERIFY)


def test_what_the_last_proofs_say_together() -> None:
    assert judge_known(LastProofs()) is None
    assert describe_known(LastProofs(), NOW) is None
    last = last_proofs([proof(way=Way.DRILL, age=3 * DAY), proof(age=DAY)])["l1"]
    known = describe_known(last, NOW)
    assert known == {
        "verdict": "equal",
        "compared_seconds": DAY,
        "restored_seconds": 3 * DAY,
        "restore_took_seconds": 61.5,
        "why": None,
    }
    assert render_proof(known) == "restored 3 d ago, compared 1 d ago"
    last = last_proofs([proof(age=3 * DAY), proof(way=Way.DRILL, age=DAY)])["l1"]
    assert render_proof(describe_known(last, NOW)) == "restored 1 d ago"


def test_damage_is_said_until_something_newer_is_equal() -> None:
    bad = proof("l1", Way.VERIFY, Verdict.DAMAGED, DAY, DARK)
    last = last_proofs([proof(way=Way.DRILL, age=3 * DAY), bad])["l1"]
    assert render_proof(describe_known(last, NOW)) == "DAMAGED"
    again = last_proofs([bad, proof(way=Way.DRILL)])["l1"]
    assert render_proof(describe_known(again, NOW)) == "restored 0 s ago"


def test_what_cannot_be_compared_is_never_proven() -> None:
    closed = proof("l1", Way.VERIFY, Verdict.UNCOMPARABLE, 0, raw=True)
    known = describe_known(last_proofs([closed])["l1"], NOW)
    assert render_proof(known) == "unproven: encrypted"
    assert render_proof(None) == "unproven"
    assert "cannot be compared by content" in explain_proof(closed)


def test_what_is_said_of_one_copy() -> None:
    bad = encode(proof("l1", Way.DRILL, Verdict.DAMAGED, 0, DARK))
    assert (
        render_outcome(bad) == "restored in 1 min 2 s, DAMAGED: 1 path (10 entries, 1.0 MiB read)"
    )
    said = render_difference(bad["differences"][0], "beta")
    assert said == "a b cannot be read on beta: EIO from byte 4,194,304 on"
    assert render_outcome(encode(proof())) == "equal (10 entries, 1.0 MiB, zr_1)"


def test_the_exit_code_is_that_of_the_worst() -> None:
    good = {"proof": encode(proof()), "error": None}
    closed = {
        "proof": encode(proof("l1", Way.VERIFY, Verdict.UNCOMPARABLE, 0)),
        "error": None,
    }
    failed = {
        "proof": None,
        "error": {"kind": "Passing", "reason": "peer-silent", "message": "m", "remedy": ""},
    }
    bad = {"proof": encode(proof("l1", Way.VERIFY, Verdict.DIFFERENT, 0, DARK)), "error": None}
    raise_outcome([good])
    for seen, kind in (
        ([good, closed], Standing),
        ([good, closed, failed], Passing),
        ([good, closed, failed, bad], Corrupt),
    ):
        with pytest.raises(kind):
            raise_outcome(seen)
