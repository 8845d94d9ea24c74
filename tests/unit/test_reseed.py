"""`zr reseed`: which replica is meant, and does it need one at all?"""

from pathlib import Path

import pytest

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.journal import FileJournal
from zrepl_py.cli.reseed_find import choose_replica, judge_health, read_told
from zrepl_py.core.codec import encode
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.site import Manifest

PARENT, PEERS = "back/zr", ("alpha", "gamma")
SEEN = {
    "back/zr": "",
    "back/zr/alpha": "",
    "back/zr/alpha/tank": "lane-0",
    "back/zr/alpha/tank/audio": "lane-1",
    "back/zr/gamma/tank": "lane-2",
    "back/zr/rescue/alpha/tank_20261121T113612Z": "lane-0",
}


def choose(dataset: str, known: dict[str, str] | None = None) -> str:
    seen = {n: lane for n, lane in SEEN.items() if "rescue" not in n}
    return choose_replica(PARENT, PEERS, dataset, seen, known or {})


def test_by_path_by_name_and_by_lane() -> None:
    audio = "back/zr/alpha/tank/audio"
    assert choose("tank/audio") == choose(audio) == choose("lane-1") == audio
    with pytest.raises(Refused, match="There are several: back/zr/alpha/tank, back/zr/gamma/tank"):
        choose("tank")
    for nothing in ("tank/nothing", "back/zr", ""):
        with pytest.raises(Standing, match="No replica of"):
            choose(nothing)


def test_a_dataset_that_was_renamed_on_its_source() -> None:
    """As `zr status` shows it now; its old name is nobody's, and where it went is said."""
    known = {"back/zr/alpha/tank/audio": "tank/sound"}
    assert choose("tank/sound", known) == "back/zr/alpha/tank/audio"
    with pytest.raises(Standing) as caught:
        choose("tank/audio", known)
    assert "What was called so is tank/sound now (back/zr/alpha/tank/audio)" in caught.value.message
    assert choose("back/zr/alpha/tank/audio", known) == "back/zr/alpha/tank/audio"


def test_the_old_name_is_given_to_another_dataset() -> None:
    known = {"back/zr/alpha/tank/audio": "tank/sound", "back/zr/gamma/tank": "tank/audio"}
    assert choose("tank/audio", known) == "back/zr/gamma/tank"


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """Two sources; the last manifest of each group counts."""
    written = FileJournal(str(tmp_path / "journal"), MachineClock())
    for source, seq, guid in (("uuid-a", 1, 11), ("uuid-a", 2, 12), ("uuid-old", 9, 99)):
        manifest = Manifest("station/tank", seq, "1-00000000", 7, {"tank/audio": guid})
        written.append("manifest", {"source": source, "manifest": encode(manifest)})
    written.close()
    return str(tmp_path / "journal")


def test_what_the_source_told_last(journal: str) -> None:
    assert read_told(journal, "uuid-a") == {12}
    assert read_told(journal, "uuid-new") == frozenset()
    assert read_told(f"{journal}/nothing", "uuid-a") == frozenset()


@pytest.mark.parametrize(
    ("written", "guids", "healthy"),
    [
        (0, [11, 12], True),
        (0, [11], False),  # behind
        (0, [12, 77], False),  # somebody took a snapshot of it
        (4096, [11, 12], False),  # somebody wrote to it
        (0, [], False),
    ],
)
def test_healthy_is_what_has_the_newest_and_nothing_else(
    journal: str, written: int, guids: list[int], healthy: bool
) -> None:
    told = read_told(journal, "uuid-a")
    assert bool(judge_health("back/zr/alpha/x", "alpha", written, guids, told)) is healthy
