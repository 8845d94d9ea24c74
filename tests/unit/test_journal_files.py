"""The journal on disk and in memory: segments, locks, full disks. The kit: tests/conformance."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.journal import FileJournal, read_journal
from zrepl_py.adapters.journal_lines import render_line
from zrepl_py.errors import Bug, Corrupt, Passing, Refused
from zrepl_py.testing.model_journal import ModelJournal, PowerLostError

CLOCK = MachineClock()


def names(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir() if p.name != "lock")


def test_segments_roll_over_and_the_oldest_go(tmp_path: Path) -> None:
    with_segments = {"segment_bytes": 1000, "keep_segments": 3}
    journal = FileJournal(str(tmp_path), CLOCK, **with_segments)
    for n in range(60):
        journal.append("note", {"n": n})
    kept = [r["n"] for r in journal.records()]
    assert kept == list(range(60))[-len(kept) :]
    assert len(names(tmp_path)) == 3
    assert all((tmp_path / name).stat().st_size <= 1000 for name in names(tmp_path))
    journal.close()
    journal = FileJournal(str(tmp_path), CLOCK, **with_segments)
    journal.append("note", {"n": 60})
    assert [r["n"] for r in journal.records()][-2:] == [59, 60]
    assert [r["n"] for r in read_journal(str(tmp_path), "note")][-1] == 60
    journal.close()


def test_a_reader_survives_that_its_segment_is_dropped(tmp_path: Path) -> None:
    journal = FileJournal(str(tmp_path), CLOCK, segment_bytes=600, keep_segments=3)
    for n in range(8):
        journal.append("note", {"n": n})
    reader = journal.records()
    first = next(reader)["n"]
    for n in range(8, 40):
        journal.append("note", {"n": n})
    rest = [r["n"] for r in reader]
    assert isinstance(first, int)
    assert all(isinstance(n, int) and n > first for n in rest)
    journal.close()


def test_a_record_larger_than_a_segment_has_one_of_its_own(tmp_path: Path) -> None:
    journal = FileJournal(str(tmp_path), CLOCK, segment_bytes=500)
    for n in range(3):
        journal.append("note", {"n": n, "long": "x" * 2000})
    assert [r["n"] for r in journal.records()] == [0, 1, 2]
    assert len(names(tmp_path)) == 3
    with pytest.raises(Bug):
        journal.append("note", {"long": "x" * (8 * 1024 * 1024)})
    journal.close()
    with pytest.raises(Bug):
        journal.append("note", {})


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    journal = FileJournal(str(tmp_path), CLOCK)
    code = (
        "import sys; from zrepl_py.adapters.journal import *; "
        "from zrepl_py.adapters.clock import *; FileJournal(sys.argv[1], MachineClock())"
    )
    other = subprocess.run(
        (sys.executable, "-c", code, str(tmp_path)), capture_output=True, text=True
    )
    assert "Refused" in other.stderr
    assert f"pid {os.getpid()}" in other.stderr
    with pytest.raises(Refused) as caught:
        FileJournal(str(tmp_path), CLOCK)
    assert caught.value.reason == "already-running"
    journal.close()
    FileJournal(str(tmp_path), CLOCK).close()


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    line, _ = render_line("segment", 1.0, "0" * 64, {"format": 2, "segment": 1})
    (tmp_path / "journal-1.jsonl").write_bytes(line)
    with pytest.raises(Refused) as caught:
        FileJournal(str(tmp_path), CLOCK)
    assert caught.value.reason == "newer-format"
    assert (tmp_path / "journal-1.jsonl").read_bytes() == line


def fill(directory: Path, count: int = 12) -> None:
    journal = FileJournal(str(directory), CLOCK, segment_bytes=700)
    for n in range(count):
        journal.append("note", {"n": n})
    journal.close()


def damage_reported(directory: Path) -> str:
    with pytest.raises(Corrupt) as caught:
        FileJournal(str(directory), CLOCK)
    assert caught.value.reason == "journal-damaged"
    return caught.value.message


def test_damage_names_file_and_line(tmp_path: Path) -> None:
    fill(tmp_path)
    segment = tmp_path / "journal-2.jsonl"
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join([lines[0], lines[2], lines[1], *lines[3:]]))
    assert f"{segment}, line 2" in damage_reported(tmp_path)
    segment.write_bytes(b"".join([lines[0], lines[1].replace(b'"n":', b'"m":'), *lines[2:]]))
    assert "hash does not fit" in damage_reported(tmp_path)
    segment.write_bytes(b"")
    assert f"{segment}, line 1: it has no header" in damage_reported(tmp_path)
    segment.write_bytes(b"".join(lines)[:-5])
    assert "in the middle of a line" in damage_reported(tmp_path)
    segment.unlink()
    assert "the segment is missing" in damage_reported(tmp_path)


def test_a_segment_of_another_journal_does_not_fit(tmp_path: Path) -> None:
    for name in ("a", "b"):
        fill(tmp_path / name)
    (tmp_path / "b" / "journal-2.jsonl").replace(tmp_path / "a" / "journal-2.jsonl")
    assert "does not follow" in damage_reported(tmp_path / "a")


def test_records_are_json_lines_with_a_chain(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    lines = [json.loads(x) for x in (tmp_path / "journal-1.jsonl").read_text().splitlines()]
    assert (lines[0]["kind"], lines[0]["format"], lines[0]["segment"]) == ("segment", 1, 1)
    assert [line["prev"] for line in lines] == ["0" * 64] + [line["hash"] for line in lines[:-1]]


def test_a_full_disk_passes_and_leaves_the_journal_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = FileJournal(str(tmp_path), CLOCK)
    journal.append("note", {"n": 1})
    real_write = os.write

    def full(fd: int, content: bytes) -> int:
        real_write(fd, bytes(content)[:20])
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Passing) as caught:
        journal.append("note", {"n": 2})
    assert caught.value.reason == "no-space"
    monkeypatch.undo()
    journal.append("note", {"n": 3})
    journal.close()
    journal = FileJournal(str(tmp_path), CLOCK)
    assert [r["n"] for r in journal.records()] == [1, 3]
    journal.close()


def test_after_a_failed_fsync_nothing_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = FileJournal(str(tmp_path), CLOCK)

    def fails(_fd: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", fails)
    for _ in range(2):
        with pytest.raises(Corrupt) as caught:
            journal.append("note", {"n": 1})
        assert caught.value.reason == "io-error"
        monkeypatch.undo()
    journal.close()


def test_the_model_loses_what_was_not_synced() -> None:
    for kept in (0, 1):
        journal = ModelJournal(CLOCK)
        journal.append("note", {"n": 1})
        journal.lose_power_after(1)
        journal.append("note", {"n": 2})
        with pytest.raises(PowerLostError):
            journal.append("note", {"n": 3})
        journal.crash(keep_unsynced=kept)
        journal.append("note", {"n": 4})
        assert [r["n"] for r in journal.records()] == [*[1, 2, 3][: 2 + kept], 4]
    lying = ModelJournal(CLOCK, syncs=False)
    lying.append("note", {"n": 1})
    lying.crash()
    assert list(lying.records()) == []


def test_records_of_one_kind_are_those_and_each_is_checked(tmp_path: Path) -> None:
    journal = FileJournal(str(tmp_path), CLOCK)
    journal.append("tick", {"n": 1, "why": '"kind":"tick"', "of": {"kind": "note"}})
    journal.append("note", {"n": 2, "of": {"kind": "tick"}, "why": '"kind":"tick"'})
    journal.append("tick", {"n": 3})
    assert [r["n"] for r in journal.records("tick")] == [1, 3]
    assert [r["n"] for r in journal.records("note")] == [2]
    path = tmp_path / names(tmp_path)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[3].replace(b'"n":3', b'"n":4')]))
    assert [r["n"] for r in journal.records("note")] == [2]
    with pytest.raises(Corrupt, match="line 4"):
        list(journal.records("tick"))
    journal.close()
