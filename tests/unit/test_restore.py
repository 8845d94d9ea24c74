"""Restoring one file, on a directory that looks like `.zfs/snapshot`; the real one: in the lab."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from zrepl_py.adapters.host.destination import find_destination
from zrepl_py.adapters.host.newfile import NewFile
from zrepl_py.adapters.host.renaming import rename_without_replacing
from zrepl_py.adapters.host.restore import Order, Restored, perform_output, perform_restore
from zrepl_py.adapters.host.snapdir import (
    SnapshotDirectory,
    observe_snapshot_names,
    open_old_file,
)
from zrepl_py.errors import Corrupt, Refused, Standing, ZrError

SNAPSHOT = "zr_1-9f3a21cc_42_20261121T081500Z"
CONTENT = b"interview" * 100_000


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset's mount point with one snapshot, in which audio/2026/a.wav was."""
    old = tmp_path / "tank" / ".zfs" / "snapshot" / SNAPSHOT / "audio" / "2026"
    old.mkdir(parents=True)
    (old / "a.wav").write_bytes(CONTENT)
    (tmp_path / "tank" / "audio" / "2026").mkdir(parents=True)
    return tmp_path / "tank"


def old_file(dataset: Path) -> Path:
    return dataset / ".zfs" / "snapshot" / SNAPSHOT / "audio" / "2026" / "a.wav"


def order(dataset: Path, to: str | None = None, *, in_place: bool = False) -> Order:
    inside = "audio/2026/a.wav"
    destination = find_destination(str(dataset / inside), to, in_place=in_place)
    return Order(origin(dataset), tuple(inside.split("/")), destination, at=1_700_000_000)


def origin(dataset: Path) -> SnapshotDirectory:
    return SnapshotDirectory(str(dataset / ".zfs" / "snapshot"), SNAPSHOT, mounted=False)


def restore(dataset: Path, to: str | None = None) -> Restored:
    return perform_restore(order(dataset, to), lambda _: None)


def everything(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if ".zfs" not in p.parts}


def refused(work: Callable[[], object], kind: type[ZrError], reason: str) -> ZrError:
    with pytest.raises(kind) as caught:
        work()
    assert caught.value.reason == reason
    assert caught.value.message
    return caught.value


def test_it_comes_back_equal_in_its_old_place(dataset: Path) -> None:
    old = old_file(dataset)
    old.chmod(0o640)
    os.utime(old, ns=(1_000_000_007, 2_000_000_011))
    counted: list[int] = []
    done = perform_restore(order(dataset), counted.append)
    new = dataset / "audio" / "2026" / "a.wav"
    assert new.read_bytes() == CONTENT
    assert done == Restored(str(new), len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert sum(counted) == 2 * len(CONTENT)
    assert new.stat().st_mode & 0o7777 == 0o640
    assert new.stat().st_mtime_ns == 2_000_000_011
    assert everything(dataset) == {"audio", "audio/2026", "audio/2026/a.wav"}


def test_directories_that_went_too_are_made_again(dataset: Path) -> None:
    (dataset / "audio" / "2026").rmdir()
    (dataset / "audio").rmdir()
    old_file(dataset).parent.chmod(0o2750)
    restore(dataset)
    again = dataset / "audio" / "2026"
    assert (again / "a.wav").read_bytes() == CONTENT
    assert again.stat().st_mode & 0o7777 == 0o2750


def test_a_look_changes_nothing(dataset: Path) -> None:
    before = everything(dataset)
    wanted = order(dataset)
    with open_old_file(wanted.origin, wanted.inside) as old:
        assert old.stat.st_size == len(CONTENT)
    assert everything(dataset) == before


def test_in_place_what_was_there_is_kept(dataset: Path) -> None:
    new = dataset / "audio" / "2026" / "a.wav"
    new.write_text("newer")
    done = perform_restore(order(dataset, in_place=True), lambda _: None)
    assert new.read_bytes() == CONTENT
    kept = new.with_name("a.wav.before-restore-20231114T221320Z")
    assert done.kept == str(kept)
    assert kept.read_text() == "newer"
    again = perform_restore(order(dataset, in_place=True), lambda _: None)
    assert again.kept == f"{kept}-2"
    assert kept.read_text() == "newer"
    assert len(everything(dataset)) == 5


def test_in_place_where_nothing_is(dataset: Path) -> None:
    done = perform_restore(order(dataset, in_place=True), lambda _: None)
    assert done.kept == ""
    assert everything(dataset) == {"audio", "audio/2026", "audio/2026/a.wav"}


def test_in_place_for_a_whole_directory_that_has_the_name(dataset: Path) -> None:
    new = dataset / "audio" / "2026" / "a.wav"
    (new / "deep").mkdir(parents=True)
    done = perform_restore(order(dataset, in_place=True), lambda _: None)
    assert new.read_bytes() == CONTENT
    assert (Path(done.kept) / "deep").is_dir()


def test_to_a_pipe(dataset: Path, tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as file:
        wanted = order(dataset)
        done = perform_output(wanted.origin, wanted.inside, file.fileno(), lambda _: None)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert done.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_to_another_place(dataset: Path, tmp_path: Path) -> None:
    assert restore(dataset, str(tmp_path)).path == str(tmp_path / "a.wav")
    assert restore(dataset, str(tmp_path / "b.wav")).path == str(tmp_path / "b.wav")
    assert (tmp_path / "b.wav").read_bytes() == CONTENT
    refused(lambda: restore(dataset, str(tmp_path / "no" / "b")), Refused, "no-directory")
    refused(lambda: restore(dataset, f"{tmp_path}/no/"), Refused, "no-directory")


def test_a_relative_place(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert restore(dataset, "c.wav").path == str(tmp_path / "c.wav")


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
def test_nothing_is_overwritten(dataset: Path, kind: str) -> None:
    new = dataset / "audio" / "2026" / "a.wav"
    if kind == "file":
        new.write_text("newer")
    elif kind == "directory":
        new.mkdir()
    else:
        new.symlink_to("nowhere")
    error = refused(lambda: restore(dataset), Refused, "exists")
    assert "--to" in error.remedy
    assert kind != "file" or new.read_text() == "newer"


def test_what_appears_meanwhile_is_not_overwritten(dataset: Path) -> None:
    new = dataset / "audio" / "2026" / "a.wav"
    wanted = order(dataset)

    def meanwhile(_: int) -> None:
        new.write_text("newer")

    refused(lambda: perform_restore(wanted, meanwhile), Refused, "exists")
    assert new.read_text() == "newer"
    assert everything(dataset) == {"audio", "audio/2026", "audio/2026/a.wav"}


def test_nothing_half_written_stays_after_ctrl_c(dataset: Path) -> None:
    (dataset / "audio" / "2026").rmdir()
    wanted = order(dataset)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform_restore(wanted, interrupt)
    assert everything(dataset) == {"audio"}


def test_directories_are_taken_back_where_the_file_cannot_appear(dataset: Path) -> None:
    (dataset / "audio" / "2026").rmdir()
    wanted = order(dataset)
    calls: list[int] = []

    def meanwhile(_: int) -> None:
        # The name becomes a directory's once everything is checked but before it appears.
        if not calls:
            (dataset / "audio" / "2026" / "a.wav").mkdir(parents=True)
        calls.append(1)

    refused(lambda: perform_restore(wanted, meanwhile), Refused, "exists")
    assert everything(dataset) == {"audio", "audio/2026", "audio/2026/a.wav"}, "not ours: it stays"


@pytest.mark.parametrize("kind", ["directory", "link", "pipe"])
def test_only_files(dataset: Path, kind: str) -> None:
    old = old_file(dataset)
    old.unlink()
    if kind == "directory":
        old.mkdir()
    elif kind == "link":
        old.symlink_to("/etc/passwd")
    else:
        os.mkfifo(old)
    error = refused(lambda: restore(dataset), Refused, "not-a-file")
    assert kind in error.message


def test_links_on_the_way_are_not_followed(dataset: Path) -> None:
    folder = old_file(dataset).parent
    folder.rename(folder.with_name("real"))
    folder.symlink_to("real")
    refused(lambda: restore(dataset), Refused, "unsafe-path")


def test_a_snapshot_root_that_is_a_link_is_not_followed(dataset: Path, tmp_path: Path) -> None:
    snapshot = dataset / ".zfs" / "snapshot" / SNAPSHOT
    snapshot.rename(tmp_path / "elsewhere")
    snapshot.symlink_to(tmp_path / "elsewhere")
    refused(lambda: restore(dataset), Standing, "snapshot-unreachable")


def test_what_was_not_there(dataset: Path) -> None:
    old_file(dataset).unlink()
    refused(lambda: restore(dataset), Refused, "no-such-file")


def test_a_snapshot_that_was_not_mounted_is_not_mistaken_for_an_empty_one(dataset: Path) -> None:
    wanted = order(dataset)
    origin = SnapshotDirectory(str(dataset / ".zfs" / "snapshot"), SNAPSHOT)
    real = Order(origin, wanted.inside, wanted.destination)
    error = refused(lambda: perform_restore(real, lambda _: None), Standing, "snapshot-unreachable")
    assert "did not mount" in error.message


def test_the_names_of_snapshots(dataset: Path) -> None:
    assert observe_snapshot_names(str(dataset / ".zfs" / "snapshot")) == {SNAPSHOT}
    refused(
        lambda: observe_snapshot_names(str(dataset / "audio" / ".zfs")),
        Standing,
        "snapshot-unreachable",
    )


def test_zeros_become_holes_and_the_digest_counts_them(dataset: Path) -> None:
    content = b"a" + bytes(3 * 1024 * 1024) + b"b" * 200_000 + bytes(1024 * 1024)
    old_file(dataset).write_bytes(content)
    done = restore(dataset)
    new = Path(done.path)
    assert new.read_bytes() == content
    assert done.sha256 == hashlib.sha256(content).hexdigest()
    assert new.stat().st_blocks * 512 < 1024 * 1024


def test_an_empty_file(dataset: Path) -> None:
    old_file(dataset).write_bytes(b"")
    assert restore(dataset).size_bytes == 0


def test_a_copy_that_differs_is_thrown_away(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that lies: what it gives back is not what was written."""
    real = os.pread
    inside = os.stat(old_file(dataset)).st_ino

    def lying(fd: int, count: int, offset: int) -> bytes:
        block = real(fd, count, offset)
        return block if os.fstat(fd).st_ino == inside else block.replace(b"i", b"I")

    monkeypatch.setattr(os, "pread", lying)
    refused(lambda: restore(dataset), Corrupt, "restore-mismatch")
    assert "audio/2026/a.wav" not in everything(dataset)


def test_user_attributes_come_along(dataset: Path) -> None:
    try:
        os.setxattr(old_file(dataset), "user.title", b"Interview")
    except OSError:
        pytest.fail("this file system has no user xattrs; run the tests on one that has")
    done = restore(dataset)
    assert os.getxattr(done.path, "user.title") == b"Interview"
    assert done.losses == ()


@pytest.mark.parametrize("nameless", [True, False])
def test_a_new_file_appears_whole_or_not_at_all(tmp_path: Path, nameless: bool) -> None:
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with NewFile(folder, nameless=nameless) as new:
            os.write(new.fd, b"whole")
            assert nameless == (everything(tmp_path) == set())
            new.appear(folder, "name")
        assert (tmp_path / "name").read_bytes() == b"whole"
        with (
            pytest.raises(Refused, match="exists already"),
            NewFile(folder, nameless=nameless) as second,
        ):
            second.appear(folder, "name")
        assert everything(tmp_path) == {"name"}
        assert (tmp_path / "name").read_bytes() == b"whole"
    finally:
        os.close(folder)


def test_a_rename_never_replaces(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(FileExistsError):
            rename_without_replacing(folder, "a", folder, "b")
    finally:
        os.close(folder)
    assert (tmp_path / "b").read_text() == "b"
