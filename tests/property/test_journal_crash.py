"""Whatever a crash leaves of the tail, acknowledged records are there; damage is never silent."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zrepl_py.adapters.journal import FileJournal
from zrepl_py.adapters.journal_lines import is_whole, parse_line, render_line
from zrepl_py.errors import Corrupt
from zrepl_py.ports.journal import Json


class StandingClock:
    """Always the same moment, so that a journal has the same bytes in every run."""

    def now(self) -> float:
        return 1_800_000_000.25

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a journal does not wait")


CLOCK = StandingClock()
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""These tests sync thousands of times, and need no disk for what they show."""
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.text(max_size=8).filter(lambda k: k not in ("kind", "at", "hash", "prev")), JSON, max_size=4
)


@pytest.fixture
def in_memory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


def written(directory: Path, fields: list[dict[str, Json]], segment_bytes: int) -> list[str]:
    journal = FileJournal(str(directory), CLOCK, segment_bytes=segment_bytes)
    hashes = [journal.append("note", f) for f in fields]
    journal.close()
    return hashes


def reopened(directory: Path) -> list[Mapping[str, Json]]:
    journal = FileJournal(str(directory), CLOCK)
    records = list(journal.records())
    journal.append("after", {})
    assert [r["hash"] for r in journal.records()][:-1] == [r["hash"] for r in records]
    journal.close()
    again = FileJournal(str(directory), CLOCK)
    assert len(list(again.records())) == len(records) + 1
    again.close()
    return records


def last_segment(directory: Path) -> Path:
    return max(directory.glob("journal-*.jsonl"), key=lambda p: int(p.stem.split("-")[1]))


@given(FIELDS, st.text(max_size=10), st.floats(0, 1e11))
def test_a_line_reads_back(fields: dict[str, Json], kind: str, at: float) -> None:
    line, digest = render_line(kind, at, "0" * 64, fields)
    read = parse_line(line[:-1], "0" * 64)
    assert (read.kind, read.at, read.hash, read.fields) == (kind, at, digest, fields)
    assert is_whole(line[:-1])
    assert not any(is_whole(line[:n]) for n in range(len(line) - 1))


@pytest.mark.parametrize("segment_bytes", [pytest.param(2**20, marks=pytest.mark.long), 1200])
def test_cut_at_every_byte_of_the_tail(in_memory: Path, segment_bytes: int) -> None:
    fields: list[dict[str, Json]] = [{"n": n, "text": 'a"\\{}é\n'} for n in range(7)]
    origin = in_memory / "origin"
    hashes = written(origin, fields, segment_bytes)
    segment = last_segment(origin)
    content = segment.read_bytes()
    header = content.index(b"\n") + 1
    before = len(hashes) - (content.count(b"\n") - 1)
    for cut in range(header, len(content) + 1):
        copy = in_memory / "copy"
        shutil.copytree(origin, copy)
        last_segment(copy).write_bytes(content[:cut])
        # A record of which only the newline is missing is whole, and kept.
        expected = before + (content[:cut] + b"\n").replace(b"\n\n", b"\n").count(b"\n") - 1
        torn = not content[:cut].endswith(b"\n") and content[cut : cut + 1] != b"\n"
        records = reopened(copy)
        assert [r["hash"] for r in records] == hashes[: expected - torn]
        shutil.rmtree(copy)


def test_cut_in_a_header_is_damage(in_memory: Path) -> None:
    written(in_memory, [{"n": 1}], 2**20)
    content = last_segment(in_memory).read_bytes()
    for cut in range(content.index(b"\n")):
        last_segment(in_memory).write_bytes(content[:cut])
        with pytest.raises(Corrupt):
            FileJournal(str(in_memory), CLOCK)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_bit_is_found_wherever_it_is(draw: st.DataObject) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        directory = Path(name)
        written(directory, [{"n": n, "x": "y" * 30} for n in range(6)], 900)
        segments = sorted(directory.glob("journal-*.jsonl"))
        assert len(segments) > 1
        segment = draw.draw(st.sampled_from(segments))
        content = bytearray(segment.read_bytes())
        position = draw.draw(st.integers(0, len(content) - 1))
        content[position] ^= 1 << draw.draw(st.integers(0, 7))
        segment.write_bytes(content)
        with pytest.raises(Corrupt) as caught:
            FileJournal(str(directory), CLOCK)
        assert caught.value.reason == "journal-damaged"
        assert str(directory) in caught.value.message
        assert segment.read_bytes() == bytes(content)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(0, 40))
def test_zeros_at_the_end_are_a_torn_tail(count: int, kept: int) -> None:
    """A file system may have made the file longer before it wrote what belongs there."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        directory = Path(name)
        hashes = written(directory, [{"n": n} for n in range(3)], 2**20)
        segment = last_segment(directory)
        content = segment.read_bytes()
        torn = render_line("note", 1.0, "0" * 64, {"n": 3})[0][:kept]
        segment.write_bytes(content + torn + b"\0" * count)
        assert [r["hash"] for r in reopened(directory)] == hashes
