"""The journal's files, read. Which question: which records do these segments prove?

Invariants: every line is checked against its hash and its predecessor; a segment that is missing
between two others, a line that does not fit, anything but a torn end of the last segment, is
Corrupt(journal-damaged) naming file and line. Nothing here writes.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from zrepl_py.adapters.files import translate_file_error
from zrepl_py.adapters.journal_lines import (
    FORMAT,
    MAX_LINE_BYTES,
    SEGMENT_KIND,
    DamagedLineError,
    Line,
    is_whole,
    parse_line,
)
from zrepl_py.errors import Corrupt, Refused

_NAME = re.compile(r"journal-(\d{1,12})\.jsonl\Z")


@dataclass(frozen=True, slots=True)
class Segment:
    """One file."""

    number: int
    path: str


@dataclass(slots=True)
class ReadState:
    """What reading has learnt so far; complete when the iteration ended."""

    prev: str | None = None
    """Hash of the last line, None before the first."""
    good_bytes: int = 0
    """Length of the last segment up to the end of its last whole line."""
    unterminated: bool = False
    """The last line is whole but for its newline."""
    dropped: bool = False
    """The segment last asked for is gone: retention dropped it while we were reading."""


def segment_path(directory: str, number: int) -> str:
    """`<directory>/journal-<n>.jsonl`."""
    return os.path.join(directory, f"journal-{number}.jsonl")


def list_segments(directory: str) -> list[Segment]:
    """Oldest first. Errors: Corrupt(journal-damaged) where one in the middle is missing."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise translate_file_error(error, directory) from error
    numbers = sorted(int(match[1]) for name in names if (match := _NAME.match(name)))
    for before, after in pairwise(numbers):
        if after != before + 1:
            raise damaged(segment_path(directory, before + 1), 1, "the segment is missing")
    return [Segment(n, segment_path(directory, n)) for n in numbers]


def read_segments(segments: list[Segment], state: ReadState) -> Iterator[Line]:
    """All records, oldest first, without the segments' headers."""
    for segment in segments:
        last = segment is segments[-1]
        for index, line in enumerate(_read_lines(segment, state, last=last)):
            if index == 0:
                _check_header(segment, line)
            else:
                yield line
        if state.good_bytes == 0 and not state.dropped:
            raise damaged(segment.path, 1, "it has no header")


def read_kind(segments: list[Segment], kind: str) -> Iterator[Line]:
    """The records of one kind, oldest first, each checked against its own hash: for the writer,
    who has checked all lines and their chain on opening. Other lines are not even parsed: in
    canonical form nothing but a key looks like one."""
    mark = b'"kind":' + json.dumps(kind).encode("ascii")
    for segment in segments:
        number = 0
        try:
            with open(segment.path, "rb") as file:
                for raw in file:
                    number += 1
                    if mark not in raw or not raw.endswith(b"\n"):  # it is being written
                        continue
                    line = parse_line(raw[:-1], None)
                    if line.kind == kind:
                        yield line
        except FileNotFoundError:
            continue  # dropped meanwhile
        except DamagedLineError as error:
            raise damaged(segment.path, number, str(error)) from error
        except OSError as error:
            raise translate_file_error(error, segment.path) from error


def _read_lines(segment: Segment, state: ReadState, *, last: bool) -> Iterator[Line]:
    state.good_bytes, state.unterminated, state.dropped = 0, False, False
    number = 0
    try:
        with open(segment.path, "rb") as file:
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise damaged(segment.path, number, "it is longer than any line of zr")
                whole = raw.endswith(b"\n")
                if not whole and not (last and number > 1):
                    raise damaged(segment.path, number, "it ends in the middle of a line")
                if not whole and not is_whole(raw):
                    return  # Torn by a crash: it was never acknowledged.
                try:
                    line = parse_line(raw.removesuffix(b"\n"), state.prev)
                except DamagedLineError as error:
                    raise damaged(segment.path, number, str(error)) from error
                state.prev, state.unterminated = line.hash, not whole
                state.good_bytes += len(raw)
                yield line
    except FileNotFoundError:
        state.prev, state.dropped = None, True
    except OSError as error:
        raise translate_file_error(error, segment.path) from error


def _check_header(segment: Segment, line: Line) -> None:
    written = line.fields.get("format")
    if line.kind != SEGMENT_KIND or type(written) is not int:
        raise damaged(segment.path, 1, "it is not a segment's header")
    if written > FORMAT:
        raise Refused(
            "newer-format",
            f"{segment.path} was written by a newer zr, in format {written}; this one knows "
            f"format {FORMAT}.",
            "Install the newer zr again.",
        )
    if line.fields.get("segment") != segment.number:
        raise damaged(segment.path, 1, "it is the header of another segment")


def damaged(path: str, line: int, how: str) -> Corrupt:
    """The one way to say that the journal is damaged."""
    return Corrupt(
        "journal-damaged",
        f"The journal is damaged: {path}, line {line}: {how}.",
        "Keep a copy of the directory as evidence, then restore it from a backup or move it away.",
    )
