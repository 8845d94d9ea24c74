"""Thousands of snapshots are listed once; later ZFS is asked only for what is not known."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from zrepl_py.adapters.host import snapshotlist
from zrepl_py.adapters.host.catalogcache import CatalogCache, Listed, Shown
from zrepl_py.adapters.host.snapdir import observe_shown
from zrepl_py.adapters.host.snapshotlist import MOST_ASKED, Catalog, observe_catalog
from zrepl_py.adapters.zfs.forks import Ended

DATASET = "tank/a"
CURSOR = "zr_cursor_9f3a21cc_000000000000000b"


class FakeZfs:
    """What `zfs list` says of one dataset, and what it was asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.listed: dict[str, Listed] = {}
        self.asked: list[str] = []
        root.mkdir()

    def take(self, name: str, guid: int) -> None:
        """A snapshot; its directory's number is that of a new directory."""
        (self.root / name).mkdir()
        self.listed[name] = Listed(name, guid, 100 + len(self.asked) + len(self.listed))

    def destroy(self, name: str) -> None:
        (self.root / name).rmdir()
        del self.listed[name]

    def list_lines(self, argv: Sequence[str], name: str) -> str:
        assert name == DATASET
        kinds = argv[argv.index("-t") + 1]
        self.asked.append(kinds)
        lines = [f"{DATASET}#{CURSOR}\t11\t5\n"]
        if "snapshot" in kinds:
            lines += [self._line(snapshot) for snapshot in self.listed]
        return "".join(lines)

    def run(self, argv: Sequence[str]) -> Ended:
        names = [word.partition("@")[2] for word in argv[argv.index("--") + 1 :]]
        self.asked.append(" ".join(names))
        if any(name not in self.listed for name in names):
            return Ended(1, "", "dataset does not exist")
        return Ended(0, "".join(map(self._line, names)), "")

    def _line(self, name: str) -> str:
        snapshot = self.listed[name]
        return f"{DATASET}@{name}\t{snapshot.guid}\t{snapshot.createtxg}\n"


@pytest.fixture
def zfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeZfs:
    fake = FakeZfs(tmp_path / "snapshot")
    monkeypatch.setattr(snapshotlist, "list_lines", fake.list_lines)
    monkeypatch.setattr(snapshotlist, "run", fake.run)
    for seq in range(1, 6):
        fake.take(tick(seq), seq)
    return fake


def tick(seq: int) -> str:
    return f"zr_1-9f3a21cc_{seq}_20261120T0815{seq % 60:02d}Z"


def look(zfs: FakeZfs, memory: CatalogCache) -> Catalog:
    catalog = observe_catalog(DATASET, str(zfs.root), memory)
    assert list(catalog.snapshots) == sorted(zfs.listed.values(), key=lambda s: s.createtxg)
    assert catalog.cursors == (("9f3a21cc", 11),)
    return catalog


@pytest.fixture
def memory(tmp_path: Path) -> CatalogCache:
    return CatalogCache(str(tmp_path / "versions"))


def test_what_is_known_is_not_listed_again(zfs: FakeZfs, memory: CatalogCache) -> None:
    look(zfs, memory)
    look(zfs, memory)
    zfs.take(tick(6), 6)
    zfs.destroy(tick(2))
    look(zfs, memory)
    assert zfs.asked == ["snapshot,bookmark", "bookmark", "bookmark", tick(6)]


def test_without_a_directory_or_a_place_all_is_listed(zfs: FakeZfs, memory: CatalogCache) -> None:
    for _ in range(2):
        look(zfs, CatalogCache(None))
        assert observe_catalog(DATASET, None, memory).snapshots
    assert set(zfs.asked) == {"snapshot,bookmark"}


def test_another_object_of_the_same_name_is_asked_for(zfs: FakeZfs, memory: CatalogCache) -> None:
    look(zfs, memory)
    shown = observe_shown(str(zfs.root))
    assert shown is not None
    zfs.listed[tick(3)] = Listed(tick(3), 99, 103)
    numbers = {**shown.numbers, tick(3): -1}
    assert tick(3) not in {s.name for s in memory.load(DATASET, Shown(shown.filesystem, numbers))}
    other = Shown(shown.filesystem + 1, shown.numbers)
    assert memory.load(DATASET, other) == memory.load("tank/b", shown) == []


def test_of_names_that_may_be_given_again_nothing_is_believed(
    zfs: FakeZfs, memory: CatalogCache
) -> None:
    zfs.take("latest", 7)
    look(zfs, memory)
    zfs.listed["latest"] = Listed("latest", 8, 200)
    assert look(zfs, memory).snapshots[-1] == Listed("latest", 8, 200)


def test_what_is_gone_while_it_is_asked_for_leads_to_a_new_list(
    zfs: FakeZfs, memory: CatalogCache
) -> None:
    look(zfs, memory)
    (zfs.root / tick(9)).mkdir()
    look(zfs, memory)
    assert zfs.asked[-1] == "snapshot,bookmark"


def test_many_new_ones_are_listed_and_some_are_remembered(
    zfs: FakeZfs, memory: CatalogCache
) -> None:
    look(zfs, memory)
    for seq in range(10, 40):
        zfs.take(tick(seq), seq)
    look(zfs, memory)
    look(zfs, memory)
    assert zfs.asked[-1] == "bookmark"
    for seq in range(100, 101 + MOST_ASKED):
        zfs.take(tick(seq), seq)
    look(zfs, memory)
    assert zfs.asked[-1] == "snapshot,bookmark"


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"format":1}', "[[1]]"])
def test_a_list_that_makes_no_sense_is_none(
    zfs: FakeZfs, memory: CatalogCache, tmp_path: Path, content: str
) -> None:
    look(zfs, memory)
    (file,) = (tmp_path / "versions").iterdir()
    file.write_text(content)
    look(zfs, memory)
    assert zfs.asked == ["snapshot,bookmark"] * 2
