"""The journal kit: on the model, and on files (with segments of the usual size, and tiny ones)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.journal import FileJournal
from zrepl_py.testing.kits.journal import JOURNAL_CHECKS, JournalCase
from zrepl_py.testing.model_journal import ModelJournal

CLOCK = MachineClock()


class OnDisk:
    """JournalCase over a directory. A crash is simulated by forgetting the open file."""

    def __init__(self, directory: Path, segment_bytes: int) -> None:
        self._directory, self._segment_bytes = str(directory / "journal"), segment_bytes
        self.journal = FileJournal(self._directory, CLOCK, segment_bytes=segment_bytes)

    def crash_and_reopen(self) -> None:
        self.journal.close()
        self.journal = FileJournal(self._directory, CLOCK, segment_bytes=self._segment_bytes)


class InMemory:
    """JournalCase over the model."""

    def __init__(self) -> None:
        self.journal = ModelJournal(CLOCK)

    def crash_and_reopen(self) -> None:
        self.journal.crash()


@pytest.fixture(params=["disk", "disk-small-segments", "model"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JournalCase]:
    if request.param == "model":
        yield InMemory()
        return
    on_disk = OnDisk(tmp_path, 300 if "small" in request.param else 2**20)
    yield on_disk
    on_disk.journal.close()


@pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: str(check.__name__))
def test_conforms(check: Callable[[JournalCase], None], case: JournalCase) -> None:
    check(case)
