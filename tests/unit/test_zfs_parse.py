"""Parsers, on what OpenZFS 2.3.9 printed in the lab."""

import pytest

from zrepl_py.adapters.zfs.parse import (
    parse_carried,
    parse_datasets,
    parse_destroy_outcome,
    parse_errno,
    parse_history,
    parse_holds,
    parse_program_json,
    parse_snapshot_outcome,
    parse_snapshot_words,
    parse_versions,
)
from zrepl_py.errors import Standing
from zrepl_py.model.history import Bookmark, Snapshot
from zrepl_py.model.observation import DestroyOutcome, Kind, Taken, Unchanged

LISTED = (
    "back\t1211404548911146223\tfilesystem\toff\ton\tyes\n"
    "back/e\t14743398091924338636\tfilesystem\taes-256-gcm\toff\tno\n"
    "back/a b:c\t12211907627840045056\tvolume\toff\tzstd\t-\n"
)


def test_datasets_are_sorted_and_only_own_properties_count() -> None:
    local = "back/e\tzr:lane\tx\ty\nback/e\tcompression\toff\nback\tother:tool\t1\n\nodd"
    seen = parse_datasets(LISTED, local)
    assert [d.name for d in seen] == ["back", "back/a b:c", "back/e"]
    assert [d.kind for d in seen] == [Kind.FILESYSTEM, Kind.VOLUME, Kind.FILESYSTEM]
    assert [d.encrypted for d in seen] == [False, False, True]
    assert [d.compressed for d in seen] == [True, True, False]
    assert [d.mounted for d in seen] == [True, False, False]
    assert [d.user_properties for d in seen] == [{}, {}, {"zr:lane": "x\ty"}]


def test_history() -> None:
    text = (
        "back/t@b: 1\t15819469286108837777\t665\t1795250985\n"
        "back/t@a\t12675902263068051747\t664\t1795250985\n"
        "back/t/child@a\t5\t664\t1795250985\n"
        "back/t#a\t12675902263068051747\t664\t1795250985\n"
    )
    history = parse_history("back/t", text)
    assert history.snapshots == (
        Snapshot(12675902263068051747, 664, "a", 1795250985),
        Snapshot(15819469286108837777, 665, "b: 1", 1795250985),
    )
    assert history.bookmarks == (Bookmark(12675902263068051747, 664, "a", 1795250985),)


@pytest.mark.parametrize("text", ["back/t@a\t1\t2", "back/t@a\t1\t2\tx", "no datasets available"])
def test_what_is_not_understood_is_an_error(text: str) -> None:
    with pytest.raises(Standing) as caught:
        parse_history("back/t", text)
    assert caught.value.reason == "zfs-failed"


def test_versions() -> None:
    text = "zfs-2.3.9-0+deb13u1\nzfs-kmod-2.3.9-0+deb13u1\n"
    assert parse_versions(text) == ("2.3.9-0+deb13u1", "2.3.9-0+deb13u1")
    assert parse_versions("") == ("", "")


def test_holds() -> None:
    text = "back/t@a\tk\t1795250986\nback/t@a\twith space: 1\t1795250987\n"
    assert parse_holds(text) == {"back/t@a": frozenset({"k", "with space: 1"})}


def test_carried_properties() -> None:
    assert parse_carried("keylocation\tprompt\nquota\t5\nmountpoint\t/a\tb\n") == {
        "quota": "5",
        "mountpoint": "/a\tb",
    }


def test_program_answers() -> None:
    text = '{"return": {"tank/a": "taken 18446744073709551615 5 6", "tank/b c": "unchanged"}}'
    answer = parse_program_json(text)
    assert parse_snapshot_outcome(answer["tank/a"]) == Taken(2**64 - 1, 5, 6)
    assert parse_snapshot_outcome(answer["tank/b c"]) == Unchanged()
    assert parse_snapshot_outcome("error 28") == 28
    assert parse_snapshot_words("s", "snapshot 1 2 3") == Snapshot(1, 2, "s", 3)
    assert parse_snapshot_words("s", "none") is None
    assert parse_destroy_outcome("a@zr_", "destroyed") == DestroyOutcome("a@zr_", True)
    assert parse_destroy_outcome("a@zr_", "held") == DestroyOutcome("a@zr_", False, "held")
    for odd in ("", "error", "error x", "taken 1 2"):
        with pytest.raises(Standing):
            parse_errno(odd)
    with pytest.raises(Standing):
        parse_program_json("Channel program execution failed")
