"""Taking a name: never instead of another, or in exchange; also where renameat2 has no flags."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from zrepl_py.adapters.host import renaming
from zrepl_py.adapters.host.renaming import rename_without_replacing, replace_and_keep
from zrepl_py.errors import Refused

AT = 1_700_000_000
KEPT = "a.before-restore-20231114T221320Z"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture(params=["flags", "no flags"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "no flags":
        monkeypatch.setattr(renaming, "_renameat2", lambda *_: errno.EINVAL)
    return str(request.param)


def contents(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.iterdir()}


def test_never_instead_of_another(tmp_path: Path, folder: int, kind: str) -> None:
    (tmp_path / "new").write_text("new")
    rename_without_replacing(folder, "new", folder, "a")
    (tmp_path / "new").write_text("newer")
    with pytest.raises(FileExistsError):
        rename_without_replacing(folder, "new", folder, "a")
    assert contents(tmp_path) == {"a": "new", "new": "newer"}


def test_in_exchange(tmp_path: Path, folder: int, kind: str) -> None:
    for turn in range(3):
        (tmp_path / "staged").write_text(f"restored {turn}")
        (tmp_path / "a").write_text(f"old {turn}")
        kept = replace_and_keep(folder, "staged", folder, "a", AT)
        assert kept == KEPT + ("" if not turn else f"-{turn + 1}")
        assert (tmp_path / "a").read_text() == f"restored {turn}"
    assert contents(tmp_path) == {
        "a": "restored 2", KEPT: "old 0", f"{KEPT}-2": "old 1", f"{KEPT}-3": "old 2",
    }  # fmt: skip


def test_in_exchange_for_nothing(tmp_path: Path, folder: int) -> None:
    (tmp_path / "staged").write_text("restored")
    assert replace_and_keep(folder, "staged", folder, "a", AT) == ""
    assert contents(tmp_path) == {"a": "restored"}


def test_where_the_second_step_fails_the_first_is_taken_back(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(renaming, "_renameat2", lambda *_: errno.EINVAL)
    with pytest.raises(FileNotFoundError):
        replace_and_keep(folder, "not there", folder, "a", AT)
    assert contents(tmp_path) == {"a": "old"}


def test_a_mount_point_is_not_exchanged(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renaming, "_renameat2", lambda *_: errno.EBUSY)
    with pytest.raises(Refused) as caught:
        replace_and_keep(folder, "staged", folder, "a", AT)
    assert caught.value.reason == "mounted-there"
