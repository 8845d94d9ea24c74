"""Looks that are remembered, snapshots that are listed, who is known to have what."""

import os
import stat
from pathlib import Path

import pytest

from zrepl_py.adapters.host.catalogcache import Listed
from zrepl_py.adapters.host.sightcache import SightCache
from zrepl_py.adapters.host.snapdir import Origin
from zrepl_py.adapters.host.snapshotlist import Catalog, parse_catalog
from zrepl_py.adapters.host.statx import observe_facts
from zrepl_py.adapters.host.timeline import Looker, Store
from zrepl_py.core.sights import Absent, Hidden, Stand, Version, fold_versions, plan_looks
from zrepl_py.core.treediff import Change, Entry, find_differences
from zrepl_py.core.whereabouts import Holder, Known, find_safe
from zrepl_py.errors import Standing

STAND = Stand(5, 7, 3, 11, 12, stat.S_IFREG | 0o644)
NAME = "zr_1-9f3a21cc_41_20261120T081500Z"


def test_statx_tells_what_stat_tells_and_the_birth(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    folder = os.open(tmp_path, os.O_PATH)
    try:
        facts, known = observe_facts("a", folder), os.stat(tmp_path / "a")
        assert (facts.inode, facts.size_bytes, facts.mode) == (known.st_ino, 3, known.st_mode)
        assert (facts.modified_ns, facts.changed_ns) == (known.st_mtime_ns, known.st_ctime_ns)
        assert 0 < facts.born_ns <= facts.changed_ns
        assert os.makedev(*facts.device) == known.st_dev
        with pytest.raises(FileNotFoundError):
            observe_facts("b", folder)
    finally:
        os.close(folder)


def test_what_was_seen_is_remembered_by_guid(tmp_path: Path) -> None:
    cache = SightCache(str(tmp_path / "versions"))
    odd = ("b\udcff", "c")
    hidden = Hidden("no-rights", "no", (0, 1, 2, 3))
    cache.save("tank/a", odd, {1: STAND, 2: Absent((0, 1, 2, 3)), 3: hidden, 0: STAND, 4: None})
    assert cache.load("tank/a", odd) == {1: STAND, 2: Absent((0, 1, 2, 3))}
    assert cache.load("tank/b", odd) == {}
    assert SightCache(None).load("tank/a", odd) == {}
    SightCache(None).save("tank/a", odd, {1: STAND})


@pytest.mark.parametrize(
    "content",
    ["", "nonsense", "[]", '{"format": 2}', '{"format":1,"dataset":"tank/a","path":["b"]}'],
)
def test_a_cache_that_makes_no_sense_is_none(tmp_path: Path, content: str) -> None:
    cache = SightCache(str(tmp_path / "versions"))
    cache.save("tank/a", ["b"], {1: STAND})
    (file,) = (tmp_path / "versions").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text(content)
    assert cache.load("tank/a", ["b"]) == {}


def test_a_cache_that_others_can_write_is_none(tmp_path: Path) -> None:
    cache = SightCache(str(tmp_path / "versions"))
    cache.save("tank/a", ["b"], {1: STAND})
    (tmp_path / "versions").chmod(0o777)
    assert cache.load("tank/a", ["b"]) == {}
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    SightCache(str(tmp_path / "link")).save("tank/a", ["b"], {1: STAND})
    assert list((tmp_path / "real").iterdir()) == []


def test_a_catalog_has_snapshots_and_cursors() -> None:
    text = (
        f"tank/a@by hand\t12\t6\ntank/a@{NAME}\t11\t5\n"
        "tank/a#zr_cursor_9f3a21cc_000000000000000b\t11\t5\ntank/a#mine\t12\t6\n"
    )
    catalog = parse_catalog("tank/a", text)
    assert catalog.snapshots == (Listed(NAME, 11, 5), Listed("by hand", 12, 6))
    assert [s.at for s in catalog.snapshots] == [1795162500, None]
    assert catalog.cursors == (("9f3a21cc", 11),)


def test_safe_is_said_only_of_what_is_known() -> None:
    versions = [Version(STAND, ((0, 1), (4, 4))), Version(STAND, ((2, 3),))]
    guids = [10, 11, 12, 13, 14]
    here = Holder("alpha", Known.HERE, "tank/a", frozenset(guids))
    asked = Holder("beta", Known.ASKED, "tank/a", frozenset((14, 99)))
    silent = Holder("gamma", Known.SILENT, "tank/a", frozenset(), "no")
    cursor = Holder("delta", Known.ACKNOWLEDGED, "tank/a", frozenset((13,)))
    safe = find_safe(versions, guids, [here, asked, silent, cursor])
    assert safe == [("alpha", "beta"), ("alpha", "delta")]
    assert find_safe(versions[:1], [0] * 5, [asked]) == [()]


def test_damaged_snapshots_at_the_ends_do_not_stop_the_looks() -> None:
    broken = Hidden("io-error", "damaged")
    assert plan_looks([broken, None, None, broken]) == [1, 2]
    assert plan_looks([broken, broken]) == []
    assert [v.runs for v in fold_versions([STAND, broken, STAND])] == [((0, 0), (2, 2))]


def entry(inode: int, *, at: int = 1, size: int = 3, folder: bool = False) -> Entry:
    mode = (stat.S_IFDIR | 0o755) if folder else (stat.S_IFREG | 0o644)
    return Entry(inode, 1, size, at, at, mode, (0, 0))


def test_what_moved_along_with_its_directory_is_not_told_again() -> None:
    removed = {("a",): entry(1, folder=True), ("a", "x"): entry(2), ("a", "y"): entry(3)}
    added = {
        ("b",): entry(1, folder=True),
        ("b", "x"): entry(2),
        ("b", "y"): entry(3, at=2, size=4),
        ("b", "z"): entry(4),
    }
    found = [(d.change, d.path, d.old_path) for d in find_differences([], removed, added)]
    assert found == [
        (Change.RENAMED, ("b",), ("a",)),
        (Change.MODIFIED, ("b", "y"), ("a", "y")),
        (Change.ADDED, ("b", "z"), ("b", "z")),
    ]


def test_an_inode_that_was_used_again_is_no_rename() -> None:
    later = Entry(1, 99, 3, 99, 99, stat.S_IFREG | 0o644, (0, 0))
    found = find_differences([], {("a",): entry(1)}, {("b",): later})
    assert {d.change for d in found} == {Change.ADDED, Change.REMOVED}


class Locked:
    """A snapshot that nobody may open."""

    snapshot = "s"

    def open(self) -> int:
        raise Standing("no-rights", "No.")


class LockedStore(Store):
    def origin(self, snapshot: str) -> Origin:
        return Locked()


def test_a_dataset_that_is_closed_is_not_tried_again_and_again() -> None:
    catalog = Catalog(tuple(Listed(f"s{i}", i + 1) for i in range(1000)))
    looker = Looker(SightCache(None), 1000)
    seen = looker.observe(LockedStore("tank/a", None), catalog, ("a",))
    assert {s.reason for s in seen.sights if isinstance(s, Hidden)} == {"no-rights"}
    assert (seen.looked, seen.unknown) == (2, 0)
