"""`zr diff`: two files, two trees, on directories that stand for snapshots."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from zrepl_py.cli.diff import diff
from zrepl_py.core.textdiff import MAX_BYTES

from .test_versions_command import NAMES, reason_of
from .test_versions_command import put as link
from .test_versions_command import tank as tank

OLD, NEW = NAMES[1], NAMES[4]


def call(tank: Path, *arguments: str) -> Result:
    policies = ["--policies", str(tank.parent / "policies"), "--config", "/nonexistent"]
    return CliRunner().invoke(diff, [*arguments, *policies])


def facts(tank: Path, *arguments: str) -> dict[str, Any]:
    said = call(tank, *arguments, "--json")
    assert said.exit_code == 0, said.exception
    answer: dict[str, Any] = json.loads(said.stdout)
    return answer


def put(tank: Path, path: str, content: bytes, which: list[int], *, now: bool = False) -> None:
    link(tank, path, content, which, also_now=now)


def test_of_texts_the_lines_are_shown(tank: Path) -> None:
    put(tank, "a.txt", b"one\ntwo\nthree\n", [1])
    put(tank, "a.txt", b"one\n2\nthree", [4])
    said = call(tank, f"a.txt@{OLD}", NEW)
    assert said.exit_code == 0, said.exception
    assert said.output.splitlines() == [
        f"--- {tank}/a.txt@{OLD}",
        f"+++ {tank}/a.txt@{NEW}",
        "@@ -1,3 +1,3 @@",
        " one",
        "-two",
        "-three",
        "+2",
        "+three",
        "\\ No newline at end of file",
    ]
    assert facts(tank, f"a.txt@{OLD}", NEW)["same"] is False


def test_without_a_second_time_it_is_compared_with_now(tank: Path) -> None:
    put(tank, "a.txt", b"one\n", [1], now=True)
    said = call(tank, f"a.txt@{OLD}")
    assert "is the same in " in said.output
    (tank / "a.txt").unlink()
    (tank / "a.txt").write_bytes(b"two\n")
    assert f"+++ {tank}/a.txt@now" in call(tank, f"a.txt@{OLD}").output
    (tank / "a.txt").unlink()
    said = call(tank, f"a.txt@{OLD}")
    assert said.output.startswith(
        f"{tank}/a.txt is not there now.\nIt is there in {OLD}, taken at "
    )
    assert facts(tank, f"a.txt@{OLD}")["new"]["there"] is False


def test_bytes_that_are_no_utf8_come_out_as_they_are(tank: Path) -> None:
    put(tank, "a.txt", b"\xff\n", [1])
    put(tank, "a.txt", b"\xfe\n", [4])
    assert call(tank, f"a.txt@{OLD}", NEW).stdout_bytes.endswith(b"-\xff\n+\xfe\n")
    assert facts(tank, f"a.txt@{OLD}", NEW)["diff"][-1] == "+\udcfe"


@pytest.mark.parametrize("old", [b"\0" + b"x" * 9, b"x" * (MAX_BYTES + 10)])
def test_of_other_files_sizes_digests_and_the_first_difference(tank: Path, old: bytes) -> None:
    put(tank, "a.wav", old, [1])
    put(tank, "a.wav", old[:7] + b"yyy", [4])
    said = call(tank, f"a.wav@{OLD}", NEW)
    assert f"{tank}/a.wav differs, first at byte 7:" in said.output
    answer = facts(tank, f"a.wav@{OLD}", NEW)
    assert answer["sizes_bytes"] == [len(old), 10]
    assert answer["diff"] is None


def test_what_was_not_there_yet(tank: Path) -> None:
    put(tank, "a.txt", b"one", [4])
    said = call(tank, f"a.txt@{OLD}", NEW)
    assert f"{tank}/a.txt was not there at {OLD}." in said.output
    assert "with 3 bytes." in said.output


def test_a_tree(tank: Path) -> None:
    put(tank, "show/same", b"same", [1, 4])
    put(tank, "show/gone", b"gone", [1])
    put(tank, "show/changed", b"before", [1])
    put(tank, "show/changed", b"after", [4])
    put(tank, "show/new/deep", b"new", [4])
    put(tank, "show/draft", b"moved", [1])
    snapshots = tank / ".zfs" / "snapshot"
    os.link(snapshots / OLD / "show" / "draft", snapshots / NEW / "show" / "final")
    said = call(tank, f"show@{OLD}", NEW)
    assert said.exit_code == 0, said.exception
    assert said.output.splitlines()[:-1] == [
        "M  changed  (6 -> 5 bytes)",
        "R  draft -> final",
        "-  gone",
        "+  new/",
        "+  new/deep",
    ]
    assert said.output.splitlines()[-1].startswith(f"5 differences in {tank}/show between in ")
    answer = facts(tank, f"show@{OLD}", NEW)
    assert {(d["change"], d["path"]) for d in answer["differences"]} == {
        ("modified", "changed"),
        ("renamed", "final"),
        ("removed", "gone"),
        ("added", "new"),
        ("added", "new/deep"),
    }


def test_a_whole_dataset_and_since_then(tank: Path) -> None:
    put(tank, "a", b"one", [1], now=True)
    put(tank, "b", b"one", [1])
    answer = facts(tank, f"tank@{OLD}")
    assert [(d["change"], d["path"]) for d in answer["differences"]] == [("removed", "b")]
    assert answer["new"]["snapshot"] is None


@pytest.mark.parametrize("name", ["two words", "a:b", "new\nline", "x@y", "t\tab"])
def test_names_of_all_kinds(tank: Path, name: str) -> None:
    put(tank, f"show/{name}", b"one\n", [1])
    put(tank, f"show/{name}", b"two\n", [4])
    assert facts(tank, f"show@{OLD}", NEW)["differences"][0]["path"] == name
    said = call(tank, f"show@{OLD}", NEW)
    assert len(said.output.splitlines()) == 2
    assert "-one\n+two\n" in call(tank, f"show/{name}@{OLD}", NEW).output


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["a.txt"], "bad-time"),
        (["a.txt@noon"], "bad-time"),
        ([f"a.txt@{OLD}", "noon"], "bad-time"),
        ([f"a.txt@{OLD}", "zr_1-9f3a21cc_77_20991120T081000Z"], "no-snapshot"),
        ([f"never.txt@{OLD}", NEW], "no-such-file"),
        (["a.txt@2020-01-01 10:00", NEW], "no-snapshot"),
        ([f"/etc/hostname@{OLD}", NEW], "not-on-zfs"),
        ([f"pipe@{OLD}", NEW], "not-a-file"),
    ],
)
def test_what_is_refused(tank: Path, words: list[str], reason: str) -> None:
    put(tank, "a.txt", b"one\n", [1, 4])
    for name in (OLD, NEW):
        os.mkfifo(tank / ".zfs" / "snapshot" / name / "pipe")
    assert reason_of(call(tank, *words)) == reason


def test_a_directory_that_became_a_file(tank: Path) -> None:
    put(tank, "x/y", b"one", [1])
    put(tank, "x", b"one", [4])
    said = call(tank, f"x@{OLD}", NEW)
    assert said.exit_code == 0
    assert f"{tank}/x was a directory in {OLD}" in said.output
