"""The journal kit: on the model, and on files (with segments of the usual size, and tiny ones)."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.journal import FileJournal
from zrepl_py.testing.kits.journal import (
    JOURNAL_CHECKS,
    JournalCase,
    check_acknowledged_survives,
)
from zrepl_py.testing.model_journal import ModelJournal

CLOCK = MachineClock()


class Disk:
    """What a machine's fsync has made sure of: files up to a length, and their names."""

    def __init__(self, fsync: Callable[[int], None]) -> None:
        self._fsync = fsync
        self.lengths: dict[int, int] = {}
        """By inode: a file may be renamed afterwards."""
        self.names: dict[str, set[str]] = {}

    def fsync(self, fd: int) -> None:
        self._fsync(fd)
        path = os.readlink(f"/proc/self/fd/{fd}")
        if os.path.isdir(path):
            self.names[path] = set(os.listdir(path))
        else:
            status = os.fstat(fd)
            self.lengths[status.st_ino] = status.st_size

    def lose_power(self, folder: str) -> None:
        """Nothing is left of what was not synced."""
        for name in os.listdir(folder):
            path = f"{folder}/{name}"
            if name in self.names.get(folder, ()):
                os.truncate(path, self.lengths.get(os.stat(path).st_ino, 0))
            else:
                os.unlink(path)


class OnDisk:
    """JournalCase over a directory."""

    def __init__(self, disk: Disk, directory: Path, segment_bytes: int) -> None:
        self._disk = disk
        self._directory, self._segment_bytes = str(directory / "journal"), segment_bytes
        self.journal = FileJournal(self._directory, CLOCK, segment_bytes=segment_bytes)

    def crash_and_reopen(self) -> None:
        self.journal.close()  # it syncs nothing
        self._disk.lose_power(self._directory)
        self.journal = FileJournal(self._directory, CLOCK, segment_bytes=self._segment_bytes)


class InMemory:
    """JournalCase over the model."""

    def __init__(self, as_values: bool) -> None:
        self.journal = ModelJournal(CLOCK, as_values=as_values)

    def crash_and_reopen(self) -> None:
        self.journal.crash()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(os.fsync)
    monkeypatch.setattr("os.fsync", made.fsync)
    return made


@pytest.fixture(params=["disk", "disk-small-segments", "model", "model-as-values"])
def case(request: pytest.FixtureRequest, tmp_path: Path, disk: Disk) -> Iterator[JournalCase]:
    if request.param.startswith("model"):
        yield InMemory(as_values="values" in request.param)
        return
    on_disk = OnDisk(disk, tmp_path, 300 if "small" in request.param else 2**20)
    yield on_disk
    on_disk.journal.close()


@pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: str(check.__name__))
def test_conforms(check: Callable[[JournalCase], None], case: JournalCase) -> None:
    check(case)


def test_a_journal_that_does_not_sync_is_noticed(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk = OnDisk(disk, tmp_path, 2**20)
    monkeypatch.setattr("os.fsync", lambda fd: None)
    with pytest.raises(AssertionError):
        check_acknowledged_survives(on_disk)
    on_disk.journal.close()
