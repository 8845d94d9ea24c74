"""The journal on disk: JournalPort over files `journal-<n>.jsonl` in one directory.

Which question it answers: what has this node promised, so that a power loss cannot undo it?
Invariants: one writer (a lock in the directory); `append` returns after the fsync; a record is
never changed; damage other than a torn end is never repaired, only reported.
"""

import os
import threading
from collections.abc import Iterator, Mapping

from zrepl_py.adapters.files import (
    Lock,
    ensure_directory,
    sync_directory,
    translate_file_error,
    write_all,
    write_atomically,
)
from zrepl_py.adapters.journal_lines import FORMAT, NO_HASH, SEGMENT_KIND, render_line
from zrepl_py.adapters.journal_segments import (
    ReadState,
    list_segments,
    read_kind,
    read_segments,
    segment_path,
)
from zrepl_py.errors import Bug, Corrupt, ZrError
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.journal import Json

SEGMENT_BYTES = 16 * 1024 * 1024
KEEP_SEGMENTS = 64


class FileJournal:
    """JournalPort. Open it once per node; safe from any thread."""

    def __init__(
        self,
        directory: str,
        clock: ClockPort,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        keep_segments: int = KEEP_SEGMENTS,
    ) -> None:
        """Lock the directory, check every line, drop a torn end.

        Errors: Refused(already-running), Refused(newer-format), Corrupt(journal-damaged), and
        those of files.py.
        """
        self._directory = directory
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._keep_segments = max(1, keep_segments)
        self._mutex = threading.Lock()
        self._fd = -1
        self._broken = False
        self._prev = NO_HASH
        self._number = 0
        self._size = 0
        self._records_in_segment = False
        ensure_directory(directory)
        self._lock = Lock(os.path.join(directory, "lock"), f"The journal in {directory}")
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def append(self, kind: str, fields: Mapping[str, Json]) -> str:
        """Append a record durably; returns its hash. Errors: Passing(no-space), Corrupt(io-error).

        After an io-error nothing is known of the record; the journal must be opened again.
        """
        with self._mutex:
            self._check_usable()
            line, digest = render_line(kind, self._clock.now(), self._prev, fields)
            if self._size + len(line) > self._segment_bytes and self._records_in_segment:
                self._begin_segment(self._number + 1)
                line, digest = render_line(kind, self._clock.now(), self._prev, fields)
            self._write(line)
            self._prev = digest
            self._size += len(line)
            self._records_in_segment = True
            return digest

    def records(self, kind: str | None = None) -> Iterator[Mapping[str, Json]]:
        """All records kept now, oldest first; those appended meanwhile may be missing."""
        with self._mutex:
            segments = list_segments(self._directory)
        found = read_segments(segments, ReadState()) if kind is None else read_kind(segments, kind)
        for line in found:
            yield line.record()

    def close(self) -> None:
        """Let another process open it."""
        with self._mutex:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            self._lock.close()

    def _check_usable(self) -> None:
        if self._broken:
            raise Corrupt(
                "io-error",
                f"An earlier write to the journal in {self._directory} failed.",
                "Check the disk below it, then restart zr.",
            )
        if self._fd < 0:
            raise Bug("journal-closed", "A record was appended to a closed journal.")

    def _open(self) -> None:
        segments = list_segments(self._directory)
        state = ReadState()
        count = sum(1 for _ in read_segments(segments, state))
        self._prev = state.prev or NO_HASH
        if not segments:
            self._begin_segment(1)
            return
        self._number, self._size = segments[-1].number, state.good_bytes
        self._records_in_segment = count > 0
        path = segments[-1].path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)
        except OSError as error:
            raise translate_file_error(error, path) from error
        if state.unterminated:
            self._write(b"\n")
            self._size += 1
        self._drop_old_segments()

    def _begin_segment(self, number: int) -> None:
        """A segment appears whole, with its header, or not at all."""
        path = segment_path(self._directory, number)
        fields: dict[str, Json] = {"format": FORMAT, "segment": number}
        line, digest = render_line(SEGMENT_KIND, self._clock.now(), self._prev, fields)
        try:
            write_atomically(path, line)
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            self._broken = True
            raise translate_file_error(error, path) from error
        except ZrError:
            # Once the new segment is there, another line in the old one would break the chain.
            self._broken = os.path.exists(path)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._number, self._size, self._prev = fd, number, len(line), digest
        self._records_in_segment = False
        self._drop_old_segments()

    def _drop_old_segments(self) -> None:
        for segment in list_segments(self._directory)[: -self._keep_segments]:
            try:
                os.unlink(segment.path)
                sync_directory(self._directory)
            except OSError as error:
                raise translate_file_error(error, segment.path) from error

    def _write(self, line: bytes) -> None:
        path = segment_path(self._directory, self._number)
        try:
            write_all(self._fd, line)
            os.fsync(self._fd)
        except OSError as error:
            failure = translate_file_error(error, path)
            # After a failed fsync the kernel forgets what it could not write: only a full disk,
            # with the part that was written taken back, leaves a journal that can go on.
            self._broken = True
            if not isinstance(failure, Corrupt):
                self._take_back(path)
                self._broken = False
            raise failure from error

    def _take_back(self, path: str) -> None:
        try:
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)
        except OSError as error:
            raise translate_file_error(error, path) from error


def read_journal(directory: str, kind: str | None = None) -> Iterator[Mapping[str, Json]]:
    """The records without the lock, for programs that only look; a torn end is left out."""
    for line in read_segments(list_segments(directory), ReadState()):
        if kind is None or line.kind == kind:
            yield line.record()
