"""`zr versions`, `zr where`: what they say, on directories that stand for snapshots."""

import json
import os
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from zrepl_py.adapters.host import mounts, snapdir
from zrepl_py.cli.versions import versions
from zrepl_py.cli.versions_say import quote
from zrepl_py.cli.where import where
from zrepl_py.errors import ZrError

POLICY = """format = 1
[policy]
name = "station"
source = "alpha"
datasets = ["tank/**"]
every = "1m"
timezone = "Asia/Tokyo"
"""
NAMES = [f"zr_1-9f3a21cc_{n}_20991120T08{n:02d}00Z" for n in range(10, 16)]


@pytest.fixture
def tank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that mountinfo calls a ZFS dataset, with six empty snapshots; the current one.

    Hard links between them keep inode and times, as real snapshots do."""
    folder = tmp_path / "tank"
    for name in NAMES:
        (folder / ".zfs" / "snapshot" / name).mkdir(parents=True)
    (tmp_path / "mountinfo").write_text(
        f"1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / {folder} rw - zfs tank rw\n"
    )
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "station.toml").write_text(POLICY)
    monkeypatch.setattr(mounts, "MOUNTINFO", str(tmp_path / "mountinfo"))
    real = snapdir._open_root
    monkeypatch.setattr(snapdir, "_open_root", lambda root, name, _: real(root, name, False))
    monkeypatch.chdir(folder)
    return folder


def put(tank: Path, path: str, content: bytes, which: list[int], *, also_now: bool = False) -> None:
    """The same file in these snapshots. All links are made before anything looks: a link changes
    the change time."""
    places = [tank / ".zfs" / "snapshot" / NAMES[i] / path for i in which]
    places += [tank / path] if also_now else []
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
    places[0].write_bytes(content)
    for place in places[1:]:
        os.link(places[0], place)


def call(tank: Path, *arguments: str, command: object = versions) -> Result:
    policies = ["--policies", str(tank.parent / "policies"), "--config", "/nonexistent"]
    return CliRunner().invoke(command, [*arguments, *policies])  # type: ignore[arg-type]


def facts(tank: Path, *arguments: str, command: object = versions) -> dict[str, object]:
    said = call(tank, *arguments, "--json", command=command)
    assert said.exit_code == 0, said.exception
    answer: dict[str, object] = json.loads(said.output)
    return answer


def reason_of(result: Result) -> str:
    assert isinstance(result.exception, ZrError), result.output
    return result.exception.reason


def ranges(answer: dict[str, object]) -> list[tuple[int, str, str, int]]:
    listed = answer["versions"]
    assert isinstance(listed, list)
    return [
        (v["size_bytes"], v["first"]["snapshot"], v["last"]["snapshot"], v["snapshots"])
        for v in listed
    ]


def test_each_version_is_told_once_with_its_time(tank: Path) -> None:
    put(tank, "a.wav", b"one", [1, 2])
    put(tank, "a.wav", b"twenty", [3, 4, 5], also_now=True)
    answer = facts(tank, "a.wav")
    assert ranges(answer) == [(6, NAMES[3], NAMES[5], 3), (3, NAMES[1], NAMES[2], 2)]
    assert answer["now"] == "same"
    said = call(tank, "a.wav")
    assert f"{tank}/a.wav (tank): 2 versions." in said.output
    assert "2099-11-20 17:13:00  2099-11-20 17:15:00  3          6      " in said.output
    assert "As it is now, it is the newest version." in said.output
    command = next(line for line in said.output.splitlines() if "zr restore" in line)
    assert command.split()[2] == f"{tank}/a.wav@{NAMES[5]}"


def test_a_version_that_came_back_is_one_version_with_a_gap(tank: Path) -> None:
    put(tank, "a.wav", b"one", [0, 1, 4])
    put(tank, "a.wav", b"twenty", [2, 3])
    answer = facts(tank, "a.wav")
    assert ranges(answer) == [(3, NAMES[0], NAMES[4], 3), (6, NAMES[2], NAMES[3], 2)]
    assert [v["unbroken"] for v in answer["versions"]] == [False, True]  # type: ignore[attr-defined]


def test_what_is_only_on_this_disk_is_said(tank: Path) -> None:
    put(tank, "a.wav", b"one", [0, 1, 2, 3, 4, 5])
    (tank / "a.wav").write_bytes(b"changed since")
    said = call(tank, "a.wav")
    assert "As it is now (13 bytes) it is in no snapshot yet: only this disk has it." in said.output


def test_a_deleted_file(tank: Path) -> None:
    put(tank, "sub/a.wav", b"one", [0, 1, 2])
    (tank / ".zfs" / "snapshot" / NAMES[3] / "sub").mkdir()
    said = call(tank, "sub/a.wav")
    assert said.exit_code == 0, said.exception
    assert "Deleted between 2099-11-20 17:12:00 and 2099-11-20 17:13:00." in said.output
    assert f"    zr restore {tank}/sub/a.wav@{NAMES[2]}\n" in said.output


def test_a_renamed_file_is_followed_both_ways(tank: Path) -> None:
    snapshots = [tank / ".zfs" / "snapshot" / name for name in NAMES]
    put(tank, "draft.wav", b"one", [0, 1, 2])
    (snapshots[3] / "done").mkdir()
    os.link(snapshots[0] / "draft.wav", snapshots[3] / "done" / "final.wav")
    (snapshots[4] / "done").mkdir()
    os.link(snapshots[0] / "draft.wav", snapshots[4] / "done" / "final.wav")
    said = call(tank, "draft.wav")
    assert f"to {tank}/done/final.wav: zr versions {tank}/done/final.wav" in said.output
    answer = facts(tank, "draft.wav")
    assert answer["renamed_to"] == f"{tank}/done/final.wav"
    # The other way needs a birth before the snapshots' times: they lie in 2099.
    answer = facts(tank, "done/final.wav")
    assert ranges(answer)[0] == (3, NAMES[3], NAMES[4], 2)
    assert answer["versions"][1]["path"] == f"{tank}/draft.wav"  # type: ignore[index]
    assert "Before, it was called" in call(tank, "done/final.wav").output


@pytest.mark.parametrize("name", ["two words.wav", "a:b.wav", "new\nline.wav", "quo'te@x.wav"])
def test_names_of_all_kinds(tank: Path, name: str) -> None:
    put(tank, name, b"one", [0, 1, 2, 3, 4, 5], also_now=True)
    said = call(tank, name)
    assert said.exit_code == 0, said.exception
    assert "1 version." in said.output
    command = next(line for line in said.output.splitlines() if line.startswith("    zr restore"))
    if name.isprintable():
        assert shlex.split(command)[2] == f"{tank}/{name}@{NAMES[5]}"
    else:
        assert r"new\x0aline.wav@" in command
    assert ranges(facts(tank, name))[0][0] == 3


def test_names_that_are_no_utf8_and_names_that_would_steer_a_terminal(tank: Path) -> None:
    odd = os.fsdecode(b"b\xff\x1b.wav")
    put(tank, odd, b"one", [5])
    said = call(tank, odd)
    assert "\x1b" not in said.output
    assert quote(odd) == r"$'b\xff\x1b.wav'"
    assert facts(tank, odd)["now"] == "gone"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("never.wav", "no-such-file"),
        ("/etc/hostname", "not-on-zfs"),
        ("/etc/never/x", "not-on-zfs"),
        ("", "bad-name"),
        ("a.wav/b", "no-such-file"),
        ("show", "not-a-file"),
        (".", "not-a-file"),
        ("link/a.wav", "unsafe-path"),
        ("a.wav@09:15", "no-such-file"),
    ],
)
def test_what_is_refused(tank: Path, file: str, reason: str) -> None:
    put(tank, "a.wav", b"one", [5])
    put(tank, "show/b.wav", b"two", [5])
    (tank / ".zfs" / "snapshot" / NAMES[5] / "link").symlink_to("show")
    (tank / "link").mkdir()
    assert reason_of(call(tank, file)) == reason


def test_a_time_after_the_name_is_told_apart_from_a_missing_file(tank: Path) -> None:
    result = call(tank, "a.wav@09:15")
    assert "If 09:15 is a time: give the file without it." in str(result.exception)


def test_a_dataset_without_snapshots_says_so(tank: Path) -> None:
    for name in NAMES:
        (tank / ".zfs" / "snapshot" / name).rmdir()
    result = call(tank, "a.wav")
    assert reason_of(result) == "no-snapshot"
    assert "tank has no snapshots." in str(result.exception)


def test_what_is_in_no_snapshot_yet_is_said(tank: Path) -> None:
    (tank / "new.wav").write_bytes(b"new")
    result = call(tank, "new.wav")
    assert reason_of(result) == "no-snapshot"
    assert f"{tank}/new.wav is in no snapshot yet: only this disk has it." in str(result.exception)


def test_a_bare_name_is_looked_for_everywhere(tank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tank, "far/away/b.wav", b"b", [4, 5])
    monkeypatch.chdir(tank.parent)
    answer = facts(tank, "b.wav")
    assert answer["path"] == f"{tank}/far/away/b.wav"
    put(tank, "near/b.wav", b"b", [5])
    result = call(tank, "b.wav")
    assert reason_of(result) == "several-files"


def test_looks_are_counted_and_the_rest_is_said(tank: Path) -> None:
    for i in range(6):
        put(tank, "a.wav", b"x" * (i + 1), [i])
    answer = facts(tank, "a.wav", "--look", "3")
    assert (answer["looked_into"], answer["not_looked_into"]) == (3, 3)
    said = call(tank, "a.wav", "--look", "3")
    assert "3 snapshots were not looked into, so versions may be missing." in said.output
    assert reason_of(call(tank, "a.wav", "--look", "0")) == "not-looked"


def test_many_versions_are_cut_but_for_all(tank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zrepl_py.cli import versions_say

    monkeypatch.setattr(versions_say, "SHOWN", 2)
    for i in range(6):
        put(tank, "a.wav", b"x" * (i + 1), [i])
    assert "… 4 older versions; --all shows them." in call(tank, "a.wav").output
    assert call(tank, "a.wav", "--all").output.count("zr restore") == 6


def test_where_says_the_nodes_on_one_screen(tank: Path) -> None:
    put(tank, "a.wav", b"one", [1, 2])
    put(tank, "a.wav", b"twenty", [3, 4], also_now=True)
    said = call(tank, "a.wav", command=where)
    assert said.exit_code == 0, said.exception
    mine = os.uname().nodename
    assert f"{mine}" in said.output
    assert "2099-11-20 17:11:00" in said.output
    assert (
        f"The newest version (since 2099-11-20 17:13:00, 6 bytes) is safe on {mine}." in said.output
    )
    answer = facts(tank, "a.wav", command=where)
    assert answer["versions"] == 2
    copy = answer["copies"][0]  # type: ignore[index]
    assert (copy["snapshots"], copy["newest"]["snapshot"]) == (4, NAMES[4])


def test_where_takes_a_directory(tank: Path) -> None:
    put(tank, "show/a.wav", b"one", [5])
    said = call(tank, "show", command=where)
    assert said.exit_code == 0, said.exception
    assert "is safe on" in said.output
