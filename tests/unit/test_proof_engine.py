"""Comparing and drilling: what is found, what is called proven, what is journalled, what goes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from zrepl_py.adapters.proof.position import PositionFile
from zrepl_py.core.proof_compare import compare_records
from zrepl_py.engine.commands import Engine, run
from zrepl_py.engine.proof import Pace, drill_copy, sweep_scratch, verify_copy
from zrepl_py.errors import Passing
from zrepl_py.model.proof import (
    Difference,
    Proof,
    Reading,
    ScratchOrder,
    Side,
    Subject,
    Verdict,
    Way,
    Wrong,
)
from zrepl_py.testing.model_clock import ModelClock
from zrepl_py.testing.model_journal import ModelJournal

from .proof_support import GUID, Copies, make_tree

MINE, THEIRS, SCRATCH = "tank/a@s", "lane", "tank/zr-restore-drills/zr-restore-1"
SUBJECT = Subject("lane", "tank/a", "beta", "s", GUID)
SLOW = Pace(1 << 20)
ORDER = ScratchOrder(SCRATCH, "m1", "s", GUID, False, False)


class Bench:
    """A source and a target, and what is journalled."""

    def __init__(self, tree: list[str]) -> None:
        self.copies = Copies()
        self.copies.trees = {MINE: list(tree), THEIRS: list(tree), f"{SCRATCH}@s": list(tree)}
        self.clock = ModelClock()
        self.journal = ModelJournal(self.clock)
        self.notes: list[Reading] = []
        self.ports = {
            "ProofPort": self.copies,
            "FarPort": self.copies,
            "ClockPort": self.clock,
            "JournalPort": self.journal,
        }

    def verify(
        self, reading: Reading | None = None, note: Callable[[Reading], None] | None = None
    ) -> Proof:
        start = reading or Reading(SUBJECT, Way.VERIFY, 5)
        return run(verify_copy(start, SLOW, note or self.notes.append), self.ports)

    def change(self, where: str, old: str, *new: str) -> None:
        lines = self.copies.trees[where]
        found = next(n for n, line in enumerate(lines) if line.startswith(old))
        lines[found : found + 1] = new

    def kinds(self) -> list[str]:
        return [str(record["kind"]) for record in self.journal.records()]


@pytest.fixture
def bench() -> Bench:
    return Bench(make_tree(150, 2))


def test_equal_copies_are_proven_by_digests_alone(bench: Bench) -> None:
    proof = bench.verify()
    assert (proof.verdict, proof.wrong, proof.entries) == (Verdict.EQUAL, 0, 151)
    assert proof.digest == bench.notes[-1].at.chain
    assert bench.copies.pages == 2 * len(bench.notes)
    assert bench.kinds() == ["proof"]


def test_the_pace_is_kept(bench: Bench) -> None:
    began = bench.clock.monotonic()
    proof = bench.verify()
    assert bench.clock.monotonic() - began >= proof.size_bytes / SLOW.rate_bytes


def test_what_is_wrong_is_named_by_path_and_the_rest_is_compared(bench: Bench) -> None:
    bench.change(THEIRS, "c f0003 4194304", "x f0003 4194304 EIO")
    bench.change(THEIRS, "c f0070 0", f"c f0070 0 409600 {'cd' * 32}")
    bench.change(THEIRS, "e f0090", "e f0090 file 0600 0 7 1 98 9 1 1 1 - - - -")
    for start in ("e f0100", "c f0100", "c f0100"):
        bench.change(THEIRS, start)
    bench.change(MINE, "e f0140", "x f0140 -1 EIO")
    proof = bench.verify()
    assert proof.differences == (
        Difference("f0003", Wrong.UNREADABLE, Side.TARGET, "EIO", 4194304),
        Difference("f0070", Wrong.DIFFERS, None, "content", 0),
        Difference("f0090", Wrong.DIFFERS, None, "mode, group"),
        Difference("f0100", Wrong.MISSING, Side.TARGET),
        Difference("f0140", Wrong.UNREADABLE, Side.SOURCE, "EIO"),
    )
    assert (proof.verdict, proof.wrong, proof.digest) == (Verdict.DAMAGED, 5, "")
    assert proof.why.startswith("tank/a is damaged on beta and this node: f0003, f0070, f0090 and")


def test_what_only_the_target_has_is_found(bench: Bench) -> None:
    bench.copies.trees[THEIRS].append("e zz file 0644 0 0 1 9 0 1 1 1 - - - -")
    proof = bench.verify()
    assert proof.differences == (Difference("zz", Wrong.MISSING, Side.SOURCE),)
    assert proof.verdict is Verdict.DIFFERENT


def test_damage_on_both_sides_is_not_equality(bench: Bench) -> None:
    for side in (MINE, THEIRS):
        bench.change(side, "c f0003 0", "x f0003 0 EIO")
    assert bench.verify().verdict is Verdict.DAMAGED


def test_below_a_dark_directory_nothing_is_called_missing() -> None:
    mine = ["e . d", "e a d", "e a/b d", "e a/b/c d"]
    theirs = ["e . d", "e a d", "x a 0 EIO"]
    assert compare_records(mine, theirs, None) == [
        Difference("a", Wrong.UNREADABLE, Side.TARGET, "EIO", 0)
    ]


def test_a_dark_directory_larger_than_a_page_is_one_difference(bench: Bench) -> None:
    mine = [
        "e . directory 0755 0 0 2 - - 1 1 1 - - - -",
        "e d directory 0755 0 0 2 8 - 1 1 1 - - - -",
    ]
    mine += [f"e d/f{n:05} file 0644 0 0 1 {n + 9} 0 1 1 1 - - - -" for n in range(2000)]
    mine.append("e z file 0644 0 0 1 3000 0 1 1 1 - - - -")
    bench.copies.trees[MINE] = mine
    bench.copies.trees[THEIRS] = [*mine[:2], "x d 0 names:EIO", mine[-1]]
    proof = bench.verify()
    assert proof.differences == (Difference("d", Wrong.UNREADABLE, Side.TARGET, "names:EIO", 0),)


def test_a_missing_key_is_never_proven(bench: Bench) -> None:
    bench.copies.keyless.add(THEIRS)
    proof = bench.verify()
    assert (proof.verdict, proof.digest) == (Verdict.UNCOMPARABLE, "")
    assert "a key of beta's own, which is not loaded" in proof.why


def test_what_was_sent_encrypted_is_compared_and_drilled_without_a_key(bench: Bench) -> None:
    bench.copies.keyless = {MINE, THEIRS, f"{SCRATCH}@s"}
    sealed = replace(SUBJECT, raw=True)
    assert bench.verify(Reading(sealed, Way.VERIFY, 5)).verdict is Verdict.EQUAL
    proof = drill(bench, bring(bench), sealed)
    assert (proof.verdict, proof.restore_seconds) == (Verdict.EQUAL, 42)
    bench.change(THEIRS, "c f0070 0", "x f0070 0 EIO")
    assert bench.verify(Reading(sealed, Way.VERIFY, 5)).verdict is Verdict.DAMAGED


def test_lists_that_one_side_does_not_show_are_left_out(bench: Bench) -> None:
    bench.copies.without_acls.add(THEIRS)
    proof = bench.verify()
    assert (proof.verdict, proof.left_out) == (Verdict.EQUAL, ("acls",))


def test_interrupted_anywhere_it_comes_to_the_same(bench: Bench, tmp_path: Path) -> None:
    bench.change(THEIRS, "c f0070 0", f"c f0070 0 409600 {'cd' * 32}")
    whole = bench.verify()
    file = PositionFile(str(tmp_path / "position.json"))
    pages = len(bench.notes)
    for stop in range(1, pages):
        heard: list[int] = []

        def note(reading: Reading, stop: int = stop, heard: list[int] = heard) -> None:
            heard.append(1)
            if len(heard) == stop:
                file.store(reading)
                raise Passing("proof-stopped", "Enough.")

        with pytest.raises(Passing):
            bench.verify(note=note)
        again = bench.verify(file.load())
        assert again.differences == whole.differences
        assert (again.size_bytes, again.entries) == (whole.size_bytes, whole.entries)


def test_a_position_that_makes_no_sense_is_none(tmp_path: Path) -> None:
    path = tmp_path / "position.json"
    file = PositionFile(str(path))
    assert file.load() is None
    for text in ("", "{", "[]", '{"format": 2}', '{"format": 1, "reading": 7}'):
        path.write_text(text)
        assert file.load() is None


def bring(bench: Bench) -> Callable[[ScratchOrder], Engine[int]]:
    def fetch(order: ScratchOrder) -> Engine[int]:
        assert bench.kinds()[-1] == "scratch", "its mark is journalled before it is made"
        bench.copies.scratch[order.dataset] = order.mark
        bench.clock.advance(42)
        yield from ()
        return 1000

    return fetch


def drill(
    bench: Bench, fetch: Callable[[ScratchOrder], Engine[int]], subject: Subject = SUBJECT
) -> Proof:
    reading = Reading(subject, Way.DRILL, 5)
    return run(drill_copy(reading, ORDER, fetch, SLOW, bench.notes.append), bench.ports)


def test_a_drill_restores_compares_measures_and_cleans_up(bench: Bench) -> None:
    proof = drill(bench, bring(bench))
    assert (proof.verdict, proof.restore_seconds, proof.stream_bytes) == (Verdict.EQUAL, 42, 1000)
    assert bench.copies.scratch == {}
    assert bench.kinds() == ["scratch", "proof", "scratch-gone"]


def test_a_drill_finds_what_came_back_wrong(bench: Bench) -> None:
    bench.change(f"{SCRATCH}@s", "e f0002", "e f0002 link 0644 0 0 1 10 9 1 1 1 - - - -")
    proof = drill(bench, bring(bench))
    assert proof.differences == (Difference("f0002", Wrong.DIFFERS, None, "type"),)
    assert bench.copies.scratch == {}


def test_a_drill_that_fails_cleans_up_too(bench: Bench) -> None:
    def fetch(order: ScratchOrder) -> Engine[int]:
        bench.copies.scratch[order.dataset] = order.mark
        yield from ()
        raise Passing("peer-silent", "Gone.")

    with pytest.raises(Passing):
        drill(bench, fetch)
    assert bench.copies.scratch == {}


def test_only_what_has_the_journals_name_and_mark_is_swept(bench: Bench) -> None:
    there = {"tank/x": "m1", SCRATCH: "other", "tank/y": ""}
    bench.copies.scratch = dict(there)
    run(sweep_scratch("tank", {SCRATCH: "m1", "tank/y": "", "tank/gone": "m3"}), bench.ports)
    assert bench.copies.scratch == there
    run(sweep_scratch("tank", {"tank/x": "m1"}), bench.ports)
    assert bench.copies.scratch.keys() == {SCRATCH, "tank/y"}
