"""`zr restore`: where a path lies, what the command says, and how rights shrink, never grow."""

import json
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from zrepl_py.adapters.host import mounts
from zrepl_py.adapters.host.attributes import allowed_mode
from zrepl_py.adapters.host.localzone import observe_local_zone
from zrepl_py.adapters.host.mounts import (
    Mount,
    find_below,
    find_datasets,
    locate,
    parse_mountinfo,
)
from zrepl_py.cli.restore import restore
from zrepl_py.errors import Refused, Standing, ZrError

ROOT = Mount("/dev/sda", "/", "/", "ext4")


def test_mountinfo_is_understood() -> None:
    text = (
        b"25 1 0:23 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        b"90 25 0:48 / /srv/my\\040audio rw,noatime shared:2 master:1 - zfs tank/my\\040audio rw\n"
        b"91 25 0:49 /in /in rw - zfs tank/audio ro,xattr\n"
        b"nonsense\n"
    )
    assert parse_mountinfo(text) == (
        Mount("/dev/sda1", "/", "/", "ext4", (0, 23)),
        Mount("tank/my audio", "/", "/srv/my audio", "zfs", (0, 48)),
        Mount("tank/audio", "/in", "/in", "zfs", (0, 49), readonly=True),
    )


def test_a_path_lies_in_the_deepest_mount(tmp_path: Path) -> None:
    seen = [
        ROOT,
        Mount("tank", "/", str(tmp_path), "zfs"),
        Mount("tank/a", "/", str(tmp_path / "a"), "zfs"),
    ]
    place = locate(str(tmp_path / "a" / "gone" / "f@x.wav"), seen)
    assert (place.dataset, place.mountpoint) == ("tank/a", str(tmp_path / "a"))
    assert place.inside == ("gone", "f@x.wav")
    assert locate(str(tmp_path / "ab" / "f"), seen).dataset == "tank"


def test_links_in_the_directories_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "tank" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("tank/deep")
    place = locate(str(tmp_path / "link" / "f"), [Mount("t", "/", str(tmp_path / "tank"), "zfs")])
    assert place.inside == ("deep", "f")
    assert place.path == str(tmp_path / "tank" / "deep" / "f")


def test_a_bind_mount_leads_to_the_dataset_itself(tmp_path: Path) -> None:
    bind = Mount("tank", "/sub", str(tmp_path / "bind"), "zfs")
    whole = Mount("tank", "/", str(tmp_path / "tank"), "zfs")
    place = locate(str(tmp_path / "bind" / "f"), [bind, whole])
    assert (place.mountpoint, place.inside) == (whole.point, ("sub", "f"))
    with pytest.raises(Standing, match="Only a part of tank"):
        locate(str(tmp_path / "bind" / "f"), [bind])


def test_a_directory_and_a_dataset_s_root_have_places_too(tmp_path: Path) -> None:
    (tmp_path / "tank" / "sub").mkdir(parents=True)
    seen = [ROOT, Mount("tank", "/", str(tmp_path / "tank"), "zfs")]
    for path in ("tank", "tank/", "tank/.", "tank/sub/.."):
        assert locate(str(tmp_path / path), seen).inside == ()
    for path in ("tank/sub", "tank/sub//", "tank/sub/."):
        assert locate(str(tmp_path / path), seen).inside == ("sub",)


def test_what_is_mounted_below_is_found_once(tmp_path: Path) -> None:
    seen = [
        Mount("tank", "/", "/t", "zfs"),
        Mount("tank/b", "/", "/t/b", "zfs"),
        Mount("tank/a", "/", "/t/a", "zfs"),
        Mount("tank/a@x", "/", "/t/a/.zfs/snapshot/x", "zfs"),
        Mount("tmpfs", "/", "/t/a/tmp", "tmpfs"),
        Mount("tank/other", "/", "/tt", "zfs"),
        Mount("tank/over", "/", "/t/b", "zfs"),
    ]
    below = [(m.point, m.source) for m in find_below("/t", seen)]
    assert below == [("/t/a", "tank/a"), ("/t/a/tmp", "tmpfs"), ("/t/b", "tank/over")]
    assert [m.source for m in find_datasets(seen)] == [
        "tank", "tank/a", "tank/b", "tank/other", "tank/over",
    ]  # fmt: skip


def test_what_is_not_on_zfs_says_what_it_is_on() -> None:
    with pytest.raises(Refused) as caught:
        locate("interview.wav", [ROOT])
    assert caught.value.reason == "not-on-zfs"
    assert "but on ext4" in caught.value.message


def test_rights_shrink_where_owner_or_group_cannot_be_restored() -> None:
    old = os.stat_result((stat.S_IFREG | 0o6775, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    assert allowed_mode(old, owner=True, group=True, privileged=True) == 0o6775
    assert allowed_mode(old, owner=True, group=True, privileged=False) == 0o775
    assert allowed_mode(old, owner=False, group=True, privileged=True) == 0o775
    assert allowed_mode(old, owner=False, group=False, privileged=True) == 0o705
    assert allowed_mode(old, owner=True, group=False, privileged=True) == 0o705
    folder = os.stat_result((stat.S_IFDIR | 0o2775, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    assert allowed_mode(folder, owner=True, group=True, privileged=False) == 0o2775


def test_the_machines_zone_is_tz_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert observe_local_zone().key == "Asia/Tokyo"
    monkeypatch.setenv("TZ", "nonsense/zone")
    assert observe_local_zone().key


SNAPSHOTS = {
    "zr_1-9f3a21cc_41_20261120T081500Z": b"yesterday",
    "zr_1-9f3a21cc_42_20261120T081600Z": b"a minute later",
}
POLICY = """format = 1
[policy]
name = "station"
source = "alpha"
datasets = ["tank/**"]
every = "1m"
timezone = "Asia/Tokyo"
"""


@pytest.fixture
def tank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that mountinfo calls a ZFS dataset, with two snapshots. The current directory."""
    folder = tmp_path / "tank"
    for name, content in SNAPSHOTS.items():
        (folder / ".zfs" / "snapshot" / name).mkdir(parents=True)
        (folder / ".zfs" / "snapshot" / name / "a.wav").write_bytes(content)
    (tmp_path / "mountinfo").write_text(
        f"1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / {folder} rw - zfs tank rw\n"
    )
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "station.toml").write_text(POLICY)
    monkeypatch.setattr(mounts, "MOUNTINFO", str(tmp_path / "mountinfo"))
    monkeypatch.chdir(folder)
    return folder


def call(tank: Path, *arguments: str) -> Result:
    policies = ["--policies", str(tank.parent / "policies")]
    return CliRunner().invoke(restore, [*arguments, *policies])


def reason_of(result: Result) -> str:
    assert isinstance(result.exception, ZrError)
    return result.exception.reason


def test_the_site_s_zone_decides_and_only_the_mount_is_missing_here(tank: Path) -> None:
    """Below a directory no snapshot gets mounted: everything up to there is real."""
    result = call(tank, "a.wav@2026-11-20T17:15:59")
    assert reason_of(result) == "snapshot-unreachable"
    assert "zr_1-9f3a21cc_41_20261120T081500Z" in str(result.exception)
    result = call(tank, "a.wav@latest")
    assert "zr_1-9f3a21cc_42_20261120T081600Z" in str(result.exception)
    assert os.listdir(tank) == [".zfs"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("a.wav", "bad-time"),
        ("a.wav@noon", "bad-time"),
        ("a.wav@2026-11-20T08:15", "no-snapshot"),
        ("a.wav@zr_1-9f3a21cc_77_20261120T081500Z", "no-snapshot"),
        ("/a.wav@latest", "not-on-zfs"),
        ("a.wav@latest --in-place --to x.wav/y", "snapshot-unreachable"),
    ],
)
def test_what_is_refused(tank: Path, target: str, reason: str) -> None:
    words = target.split(" --")
    options = [w for option in words[1:] for w in f"--{option}".split()]
    assert reason_of(call(tank, words[0], *options)) == reason


def test_a_broken_policy_does_not_stand_in_the_way(tank: Path) -> None:
    (tank.parent / "policies" / "station.toml").write_text("format = 1\n")
    result = call(tank, "a.wav@latest")
    assert reason_of(result) == "snapshot-unreachable"
    assert "Times are read in" in result.stderr


def test_a_wrong_call_exits_with_2(tank: Path) -> None:
    assert CliRunner().invoke(restore, []).exit_code == 2
    assert CliRunner().invoke(restore, ["a@latest", "--nonsense"]).exit_code == 2
    assert (
        "Example: zr restore interview.wav@09:15" in CliRunner().invoke(restore, ["--help"]).output
    )


@pytest.fixture
def readable(tank: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a directory for a snapshot after all."""
    from zrepl_py.adapters.host import snapdir

    real = snapdir._open_root
    monkeypatch.setattr(snapdir, "_open_root", lambda root, name, _: real(root, name, False))
    return tank


def snapshot_folder(tank: Path) -> Path:
    return tank / ".zfs" / "snapshot" / "zr_1-9f3a21cc_42_20261120T081600Z"


def test_an_existing_file_is_refused_or_kept(readable: Path) -> None:
    (readable / "a.wav").write_text("newer")
    assert reason_of(call(readable, "a.wav@latest")) == "exists"
    said = call(readable, "a.wav@latest", "--in-place")
    assert (readable / "a.wav").read_bytes() == b"a minute later"
    kept = next(p for p in readable.iterdir() if "before-restore" in p.name)
    assert kept.read_text() == "newer"
    assert f"What was there is now {kept}." in said.output


def test_a_directory_comes_back(readable: Path) -> None:
    old = snapshot_folder(readable) / "show"
    (old / "deep").mkdir(parents=True)
    (old / "deep" / "b.txt").write_text("buried")
    dry = call(readable, "show@latest", "--dry-run")
    assert dry.output.startswith(f"Would restore {readable}/show (1 file, 2 directories, 6 bytes)")
    assert not (readable / "show").exists()
    said = call(readable, "./show/@latest")
    assert (readable / "show" / "deep" / "b.txt").read_text() == "buried"
    assert "1 file, 2 directories, 6 bytes, every file compared" in said.output
    answer = json.loads(call(readable, "show@latest", "--to", "x", "--json").output)
    assert answer["kind"] == "directory"
    assert answer["counts"] == {
        "files": 1, "directories": 2, "others": 0, "files_of_an_earlier_run": 0,
    }  # fmt: skip


def test_a_bare_name_is_looked_for_everywhere(
    readable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (snapshot_folder(readable) / "far" / "away").mkdir(parents=True)
    (snapshot_folder(readable) / "far" / "away" / "b.wav").write_text("b")
    monkeypatch.chdir(readable.parent)
    said = call(readable, "b.wav@latest", "--to", "c.wav")
    assert said.exit_code == 0, said.exception
    assert (readable.parent / "c.wav").read_text() == "b"
    (snapshot_folder(readable) / "b.wav").write_text("another")
    result = call(readable, "b.wav@latest", "--to", "d.wav")
    assert reason_of(result) == "several-files"
    assert f"{readable}/b.wav, {readable}/far/away/b.wav" in str(result.exception)
    result = call(readable, "never.wav@latest")
    assert reason_of(result) == "no-such-file"


def test_names_from_a_snapshot_cannot_steer_a_terminal(readable: Path) -> None:
    old = snapshot_folder(readable) / "show"
    old.mkdir()
    (old / "x\x1b]0;owned\x07\n").mkdir()
    (old / "x\x1b]0;owned\x07\n" / "tool").write_text("")
    (old / "x\x1b]0;owned\x07\n" / "tool").chmod(0o4755)
    said = call(readable, "show@latest")
    assert said.exit_code == 0
    assert "\x1b" not in said.output
    assert "the set-user-id or set-group-id bit of 1: x?]0;owned??/tool." in said.output


def test_wishes_that_exclude_each_other(readable: Path) -> None:
    assert call(readable, "a.wav@latest", "--to", "-", "--json").exit_code == 2
    assert call(readable, "a.wav@latest", "--to", "-", "--in-place").exit_code == 2
    assert reason_of(call(readable, "a.wav@latest", "--from", "moon")) == "bad-source"
    assert reason_of(call(readable, "a.wav@latest", "--from", "offsite")) == "bad-source"


def test_what_it_says(readable: Path) -> None:
    """The sentence and the JSON."""
    tank = readable
    assert call(tank, "a.wav@latest", "--dry-run").output == (
        f"Would restore {tank}/a.wav (14 bytes) from tank@zr_1-9f3a21cc_42_20261120T081600Z, "
        "taken at 2026-11-20T17:16:00+09:00.\n"
    )
    assert os.listdir(tank) == [".zfs"]
    said = call(tank, "a.wav@2026-11-20 17:15")
    assert said.exit_code == 0
    assert said.output.startswith(f"Restored {tank}/a.wav (9 bytes, sha256 ")
    assert (tank / "a.wav").read_bytes() == b"yesterday"
    answer = json.loads(call(tank, "a.wav@latest", "--to", "b.wav", "--json").output)
    assert answer["done"] is True
    assert answer["path"] == str(tank / "b.wav")
    assert answer["taken_at"] == "2026-11-20T17:16:00+09:00"
    assert answer["size_bytes"] == 14
    odd = os.fsdecode(b"b\xff.wav")
    said = call(tank, "a.wav@latest", "--to", odd)
    assert said.exit_code == 0
    assert (tank / odd).exists()
