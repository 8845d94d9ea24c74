"""The loss report says what this node can prove, and the command is good for nothing else."""

from dataclasses import replace

from zrepl_py.core.promotion import (
    LastWord,
    LossReport,
    Pending,
    Statement,
    judge_statement,
    render_report,
    report_loss,
)
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import Epoch, TickName, render_tick
from zrepl_py.model.receipt import Holding, Receipt
from zrepl_py.model.site import Manifest

EPOCH = Epoch(1, "0" * 8)
NAMES = ("station", "beta", "alpha")
AT = 1_795_251_000


def snap(seq: int, guid: int) -> Snapshot:
    return Snapshot(guid, seq, render_tick(TickName(EPOCH, seq, AT + seq)), 0)


def tick(seq: int, **members: int) -> Manifest:
    return Manifest("station/tank", seq, str(EPOCH), AT + seq, dict(members))


def receipt(dataset: str, seq: int, guid: int) -> Receipt:
    held = Holding("lane", dataset, guid, snap(seq, guid).name)
    return Receipt(1, "a", "alpha", "b", "beta", str(EPOCH), AT, AT, {}, (held,))


TICKS = (tick(1, audio=11, db=21), tick(2, audio=12, db=21), tick(3, audio=13, db=23))
HAVE = {
    "audio": History((snap(1, 11), snap(2, 12), snap(3, 13))),
    "db": History((snap(1, 21),)),
}
LAST = LastWord(AT + 5, 31.2, (Pending("interview.wav", 700),), 1)
"""Tick 3 is here of audio only, so tick 2 is the newest whole one."""


def report() -> LossReport:
    return report_loss(NAMES, TICKS, HAVE, {"r1": receipt("audio", 2, 12)}, LAST)


def test_the_newest_tick_of_which_everything_is_here() -> None:
    found = report()
    assert found.tick == TICKS[1]
    assert found.since == "2026-11-21T08:50:02Z"
    assert found.bound_seconds == 35, "3 s by the primary's clock, 31.2 s by this node's"
    assert found.ahead == ("audio",)
    assert found.newer_ticks == 1
    assert found.uncovered == ()
    assert found.command == (
        "zr promote station --on beta --force --i-fenced alpha --accept-loss 2026-11-21T08:50:02Z"
    )


def test_the_report_says_everything() -> None:
    text = "\n".join(render_report(report()))
    for word in ("08:50:02Z", "at most 35 s, of which", "silent for 32 s)",
                 "1 file that was", "interview.wav (700 bytes)",
                 "audio has later", "Everything that has a receipt is here"):  # fmt: skip
        assert word in text


def test_of_many_pending_files_some_are_named_and_all_are_counted() -> None:
    many = tuple(Pending(f"f{n}", n) for n in range(50))
    found = report_loss(NAMES, TICKS, HAVE, {}, replace(LAST, pending=many, pending_count=4711))
    lines = list(render_report(found, most=3))
    assert [line for line in lines if line.startswith("  f")] == [
        "  f0 (0 bytes)", "  f1 (1 bytes)", "  f2 (2 bytes)",
    ]  # fmt: skip
    assert "  and 4708 more" in lines


def test_files_that_nobody_named_are_not_said_to_be_none() -> None:
    found = report_loss(NAMES, TICKS, HAVE, {}, replace(LAST, pending=(), pending_count=0))
    assert "Which files that concerns is not known here." in list(render_report(found))


def test_never_heard_of_the_primary() -> None:
    found = report_loss(NAMES, TICKS, HAVE, {}, None)
    assert found.bound_seconds is None
    assert found.command
    assert "has said nothing" in "\n".join(render_report(found))


def test_a_group_that_is_nowhere_whole_has_no_command() -> None:
    found = report_loss(NAMES, TICKS, {"audio": HAVE["audio"]}, {}, LAST)
    assert found.tick is None
    assert found.command == ""
    assert "cannot be promoted" in "\n".join(render_report(found))
    said = Statement("station", "beta", "alpha", "")
    refusal = judge_statement(said, found)
    assert refusal is not None
    assert refusal.reason == "nothing-whole"


def test_a_receipt_whose_snapshot_went_since_is_covered_by_a_later_one() -> None:
    found = report_loss(NAMES, TICKS, HAVE, {"old": receipt("audio", 1, 99)}, LAST)
    assert found.uncovered == ()
    found = report_loss(NAMES, TICKS, HAVE, {"new": receipt("audio", 3, 99)}, LAST)
    assert found.uncovered == ("new",)


def test_a_receipt_behind_the_bound_needs_a_statement_of_its_own() -> None:
    found = report_loss(NAMES, TICKS, HAVE, {"r": receipt("audio", 3, 13)}, LAST)
    assert found.uncovered == ("r",)
    assert found.command.endswith(" --receipts-into-rescue")
    said = Statement("station", "beta", "alpha", found.since)
    refusal = judge_statement(said, found)
    assert refusal is not None
    assert refusal.reason == "receipts-not-covered"
    assert judge_statement(replace(said, receipts_aside=True), found) is None


def test_the_command_is_good_for_this_node_peer_and_bound_only() -> None:
    found = report()
    said = Statement("station", "beta", "alpha", found.since)
    assert judge_statement(said, found) is None
    for change, reason in (
        (replace(said, on="alpha"), "wrong-node"),
        (replace(said, group="archive"), "wrong-node"),
        (replace(said, fenced="gamma"), "wrong-peer"),
        (replace(said, accepted="2026-11-20T08:50:02Z"), "loss-bound-stale"),
        (replace(said, accepted=""), "loss-bound-stale"),
    ):
        refusal = judge_statement(change, found)
        assert refusal is not None
        assert refusal.reason == reason


def test_reading_takes_time_and_the_command_stays_good_until_a_newer_tick_is_whole() -> None:
    found = report()
    said = Statement("station", "beta", "alpha", found.since)
    later = report_loss(NAMES, TICKS, HAVE, {}, replace(LAST, silent_seconds=900))
    assert judge_statement(said, later) is None
    whole = {**HAVE, "db": History((snap(1, 21), snap(3, 23)))}
    newer = report_loss(NAMES, TICKS, whole, {}, LAST)
    assert newer.since != found.since
    refusal = judge_statement(said, newer)
    assert refusal is not None
    assert refusal.reason == "loss-bound-stale"
