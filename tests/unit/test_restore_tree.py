"""Restoring a whole tree, on directories that look like snapshots; the real ones: in the lab."""

import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from zrepl_py.adapters.host.destination import find_destination
from zrepl_py.adapters.host.filecopy import Progress, copy_with_digest
from zrepl_py.adapters.host.restoretree import (
    TreeOrder,
    TreeRestored,
    check_room,
    perform_node,
    perform_tree,
)
from zrepl_py.adapters.host.snapdir import SnapshotDirectory
from zrepl_py.adapters.host.staging import Staging
from zrepl_py.adapters.host.survey import survey_tree
from zrepl_py.adapters.host.treewalk import Branch
from zrepl_py.errors import Corrupt, Passing, Refused, Standing, ZrError

SNAPSHOT = "zr_1-9f3a21cc_42_20261121T081500Z"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The snapshot's root: a directory `show` with a bit of everything."""
    root = tmp_path / "tank" / ".zfs" / "snapshot" / SNAPSHOT
    show = root / "show"
    (show / "deep" / "deeper").mkdir(parents=True)
    (show / "a.wav").write_bytes(b"interview" * 50_000)
    (show / "deep" / "deeper" / "b.txt").write_text("buried")
    os.link(show / "a.wav", show / "deep" / "same.wav")
    (show / "link").symlink_to("/nowhere/at/all")
    os.mkfifo(show / "pipe", 0o620)
    (show / "zeros").write_bytes(b"x" + bytes(4 * 1024 * 1024))
    (show / os.fsdecode(b"caf\xe9")).write_text("not UTF-8")
    os.setxattr(show / "a.wav", "user.title", b"Interview")
    os.utime(show / "deep", ns=(1_000_000_007, 2_000_000_011))
    (show / "deep").chmod(0o2750)
    os.utime(show / "link", ns=(3_000_000_001, 3_000_000_002), follow_symlinks=False)
    (tmp_path / "out").mkdir()
    return root


def order(
    old: Path, to: Path, *others: Branch, inside: str = "show", in_place: bool = False
) -> TreeOrder:
    origin = SnapshotDirectory(str(old.parent), old.name, mounted=False)
    top = Branch(origin, "tank", tuple(inside.split("/")), ())
    place = find_destination(f"/gone/{inside}", str(to), in_place=in_place)
    return TreeOrder((top, *others), place, at=1_700_000_000)


def restore(wanted: TreeOrder) -> TreeRestored:
    return perform_tree(wanted, lambda _: None)


def looks(top: Path) -> dict[str, object]:
    """What must be equal: everything but the numbers of inodes and devices."""
    found: dict[str, object] = {}
    for path in [top, *top.rglob("*")]:
        s = path.lstat()
        what: object = ""
        if path.is_symlink():
            what = os.readlink(path)
        elif path.is_file():
            what = path.read_bytes()
        size = 0 if path.is_dir() else s.st_size
        names = os.listxattr(path, follow_symlinks=False)
        xattrs = {n: os.getxattr(path, n, follow_symlinks=False) for n in names}
        found[os.fspath(path.relative_to(top))] = (
            s.st_mode, s.st_uid, s.st_gid, s.st_mtime_ns, s.st_nlink if path.is_file() else 0,
            size, what, xattrs,
        )  # fmt: skip
    return found


def refused(work: Callable[[], object], kind: type[ZrError], reason: str) -> ZrError:
    with pytest.raises(kind) as caught:
        work()
    assert caught.value.reason == reason
    return caught.value


def test_everything_comes_back_as_it_was(old: Path, tmp_path: Path) -> None:
    done = restore(order(old, tmp_path / "out"))
    assert done.path == str(tmp_path / "out" / "show")
    assert looks(tmp_path / "out" / "show") == looks(old / "show")
    assert (done.done.files, done.done.directories, done.done.others) == (5, 3, 2)
    assert done.done.left_out == []
    assert os.listdir(tmp_path / "out") == ["show"], "no staging, no log"
    same = (tmp_path / "out" / "show" / "deep" / "same.wav").stat()
    assert os.path.samestat(same, (tmp_path / "out" / "show" / "a.wav").stat())
    assert (tmp_path / "out" / "show" / "zeros").stat().st_blocks * 512 < 1024 * 1024


def test_the_survey_counts_what_will_come(old: Path, tmp_path: Path) -> None:
    wanted = order(old, tmp_path / "out")
    survey = survey_tree(wanted.branches)
    counted: list[int] = []
    done = perform_tree(wanted, counted.append).done
    assert (survey.files, survey.directories, survey.others) == (5, 3, 2)
    assert survey.size_bytes == done.size_bytes
    assert sum(counted) == 2 * survey.size_bytes


def test_to_a_new_name_and_never_over_another(old: Path, tmp_path: Path) -> None:
    restore(order(old, tmp_path / "other"))
    assert looks(tmp_path / "other") == looks(old / "show")
    refused(lambda: restore(order(old, tmp_path / "other" / "a.wav")), Refused, "exists")
    (tmp_path / "out" / "show").mkdir()
    refused(lambda: order(old, tmp_path / "out"), Refused, "exists")


def test_what_appears_meanwhile_is_not_replaced(old: Path, tmp_path: Path) -> None:
    wanted = order(old, tmp_path / "out")
    mine = tmp_path / "out" / "show"

    def meanwhile(_: int) -> None:
        if not mine.exists():
            mine.write_text("mine")

    refused(lambda: perform_tree(wanted, meanwhile), Refused, "exists")
    assert mine.read_text() == "mine"


def test_in_place_the_old_tree_is_kept(old: Path, tmp_path: Path) -> None:
    there = tmp_path / "out" / "show"
    (there / "newer").mkdir(parents=True)
    done = restore(order(old, there, in_place=True))
    assert looks(there) == looks(old / "show")
    assert done.kept == str(there) + ".before-restore-20231114T221320Z"
    assert os.listdir(done.kept) == ["newer"]
    assert len(os.listdir(tmp_path / "out")) == 2


def test_an_interrupted_run_goes_on(old: Path, tmp_path: Path) -> None:
    wanted = order(old, tmp_path / "out")
    seen = 0

    def interrupt(count: int) -> None:
        nonlocal seen
        seen += count
        if seen > 1_000_000:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zrepl_py.adapters.host.filebatch.MAX_FILES", 1)
        with pytest.raises(KeyboardInterrupt):
            perform_tree(wanted, interrupt)
    assert not (tmp_path / "out" / "show").exists()
    assert sorted(os.listdir(tmp_path / "out")) == [
        wanted.staging_name,
        f"{wanted.staging_name}.log",
    ]
    assert stat.S_IMODE(os.stat(wanted.staging_path).st_mode) == 0o700
    copied: list[int] = []

    def counting(source: int, target: int, progress: Progress) -> tuple[int, str]:
        copied.append(source)
        return copy_with_digest(source, target, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zrepl_py.adapters.host.treecopy.copy_with_digest", counting)
        done = restore(wanted)
    assert done.done.kept_files >= 1
    assert len(copied) + done.done.kept_files == 4, "each inode once"
    assert looks(tmp_path / "out" / "show") == looks(old / "show")
    assert os.listdir(tmp_path / "out") == ["show"]


@pytest.mark.parametrize("batch", [1, 2, 200])
def test_wherever_it_is_interrupted_the_next_run_ends_it(
    old: Path, tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zrepl_py.adapters.host.filebatch.MAX_FILES", batch)
    wanted = order(old, tmp_path / "out")
    for patience in range(1, 200, 3):
        left = patience

        def interrupt(_: int) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

        try:
            perform_tree(wanted, interrupt)
        except KeyboardInterrupt:
            assert not (tmp_path / "out" / "show").exists()
            continue
        break
    assert patience > 4, "it was interrupted at least once"
    assert looks(tmp_path / "out" / "show") == looks(old / "show")
    assert os.listdir(tmp_path / "out") == ["show"]


def test_a_half_written_file_is_written_again(old: Path, tmp_path: Path) -> None:
    wanted = order(old, tmp_path / "out")
    staged = Path(wanted.staging_path)
    (staged / "deep").mkdir(parents=True)
    (staged / "a.wav").write_text("torn")
    (staged / "link").write_text("in the way")
    staged.with_name(staged.name + ".log").write_bytes(b'[["a.wav"], 4, "x')
    done = restore(wanted)
    assert done.done.kept_files == 0
    assert looks(tmp_path / "out" / "show") == looks(old / "show")


def test_a_log_of_another_file_is_not_believed(old: Path, tmp_path: Path) -> None:
    wanted = order(old, tmp_path / "out")
    staged = Path(wanted.staging_path)
    staged.mkdir()
    (staged / "a.wav").write_bytes(bytes(450_000))
    found = (old / "show" / "a.wav").stat()
    line = [["a.wav"], found.st_size, "0" * 64, found.st_mtime_ns, found.st_ino]
    log = staged.with_name(staged.name + ".log")
    log.write_bytes(json.dumps(line).encode() + b"\n")
    log.chmod(0o600)
    assert restore(wanted).done.kept_files == 0, "its time is not the old file's"
    assert looks(tmp_path / "out" / "show") == looks(old / "show")


def test_two_at_once_are_refused(old: Path, tmp_path: Path) -> None:
    wanted = order(old, tmp_path / "out")
    folder = os.open(tmp_path / "out", os.O_RDONLY)
    try:
        with Staging(str(tmp_path / "out"), folder, wanted.staging_name):
            refused(lambda: restore(wanted), Refused, "already-running")
    finally:
        os.close(folder)


def test_a_link_where_it_would_grow_is_not_followed(old: Path, tmp_path: Path) -> None:
    wanted = order(old, tmp_path / "out")
    (tmp_path / "elsewhere").mkdir()
    Path(wanted.staging_path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Standing):
        restore(wanted)
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_copy_that_differs_ends_it(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "zrepl_py.adapters.host.filebatch.digest_of_stored", lambda _fd, _progress: "other"
    )
    refused(lambda: restore(order(old, tmp_path / "out")), Corrupt, "restore-mismatch")
    assert not (tmp_path / "out" / "show").exists()


def test_what_cannot_be_read_is_named_and_the_rest_comes(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pread
    bad = (old / "show" / "a.wav").stat()

    def failing(fd: int, count: int, offset: int) -> bytes:
        if os.path.samestat(os.fstat(fd), bad) and offset:
            raise OSError(5, "Input/output error")
        return real(fd, count, offset)

    monkeypatch.setattr(os, "pread", failing)
    done = restore(order(old, tmp_path / "out")).done
    assert [(p, e.reason) for p, e in done.left_out] == [
        (("a.wav",), "io-error"),
        (("deep", "same.wav"), "io-error"),
    ]
    assert not (tmp_path / "out" / "show" / "a.wav").exists()
    assert (tmp_path / "out" / "show" / "deep" / "deeper" / "b.txt").exists()


def test_special_bits_stay_off_and_are_said(old: Path, tmp_path: Path) -> None:
    (old / "show" / "a.wav").chmod(0o4755)
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(old / "show")
        try:
            s.bind("sock")
        finally:
            os.chdir(here)
    done = restore(order(old, tmp_path / "out")).done
    assert done.losses == {"setuid": 1}
    assert done.examples[0][0] == ("a.wav",)
    assert (tmp_path / "out" / "show" / "a.wav").stat().st_mode & 0o7777 == 0o755
    assert stat.S_ISSOCK((tmp_path / "out" / "show" / "sock").stat().st_mode)
    again = order(old, tmp_path / "again")
    privileged = TreeOrder(again.branches, again.destination, privileged=True)
    assert restore(privileged).done.losses == {}
    assert (tmp_path / "again" / "a.wav").stat().st_mode & 0o7777 == 0o4755


def test_datasets_below_come_too_and_hide_what_was_under_them(old: Path, tmp_path: Path) -> None:
    (old / "show" / "child").mkdir()
    (old / "show" / "child" / "hidden").write_text("under the mount")
    other = tmp_path / "other" / ".zfs" / "snapshot" / "zr_x"
    (other / "sub").mkdir(parents=True)
    (other / "sub" / "c.txt").write_text("child")
    (other / "a.wav").write_text("of the child")
    child = Branch(
        SnapshotDirectory(str(other.parent), "zr_x", mounted=False), "tank/c", (), ("child",)
    )
    far = Branch(child.origin, "tank/far", (), ("not", "there", "then"))
    restore(order(old, tmp_path / "out", child, far))
    got = tmp_path / "out" / "show"
    assert looks(got / "child") == looks(other)
    assert looks(got / "not" / "there" / "then") == looks(other)
    assert not (got / "child" / "hidden").exists()


def test_a_single_link_or_pipe(old: Path, tmp_path: Path) -> None:
    for name in ("link", "pipe"):
        wanted = order(old, tmp_path / "out", inside=f"show/{name}")
        perform_node(wanted, lambda _: None)
        assert looks(tmp_path / "out" / name) == looks(old / "show" / name)
    assert sorted(os.listdir(tmp_path / "out")) == ["link", "pipe"]


def test_no_room_is_said_before_anything_is_written(old: Path, tmp_path: Path) -> None:
    wanted = order(old, tmp_path / "out")
    survey = survey_tree(wanted.branches)
    check_room(wanted, survey)
    survey.stored_bytes = 1 << 60
    refused(lambda: check_room(wanted, survey), Passing, "no-space")


def test_a_tree_deeper_than_descriptors(old: Path, tmp_path: Path) -> None:
    """Depth costs neither descriptors nor frames."""
    here = os.open(old / "show", os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    done = restore(order(old, tmp_path / "out")).done
    assert done.directories == 303
    assert (tmp_path / "out" / "show" / "/".join(["d"] * 300) / "end").exists()
