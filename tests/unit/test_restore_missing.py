"""`zr restore` of what is not there: where it was looked for, when it was there last, who may have
it; and what is said of a new dataset that a policy selects."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from zrepl_py.adapters.host import mounts, snapdir
from zrepl_py.adapters.host.mounts import observe_mounts
from zrepl_py.cli.restore import restore
from zrepl_py.cli.restore_find import Looking
from zrepl_py.cli.restore_node import hint_at_peers
from zrepl_py.cli.restore_say import Answer, tell
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import load_policies
from zrepl_py.core.restoring import From
from zrepl_py.core.versions import Chosen, find_last_having
from zrepl_py.errors import ZrError
from zrepl_py.model.history import EMPTY

NAMES = [
    f"zr_1-9f3a21cc_{seq}_20261120T{8 + seq // 60:02}{seq % 60:02}00Z" for seq in range(1, 200)
]
CONFIG = """format = 1
[node]
name = "alpha"
pools = ["tank"]
[peers.beta]
address = "10.77.0.2:7676"
[peers.gamma]
address = "10.77.0.3:7676"
"""
POLICY = """format = 1
[policy]
name = "station"
source = "alpha"
datasets = ["tank/audio/**"]
every = "1m"
targets = ["beta"]
timezone = "Asia/Tokyo"
"""
OTHER_POLICY = """format = 1
[policy]
name = "theirs"
source = "gamma"
datasets = ["tank/**"]
every = "1m"
targets = ["alpha"]
timezone = "Asia/Tokyo"
"""


# --- which snapshot was the last that had it


@pytest.mark.parametrize("last", [1, 2, 50, 180, 184, 198, 199])
def test_the_end_of_a_life_is_found_with_few_looks(last: int) -> None:
    looks: list[str] = []

    def has(name: str) -> bool:
        looks.append(name)
        return NAMES.index(name) < last

    found = find_last_having(NAMES, has)
    assert found is not None
    assert found.name == NAMES[last - 1]
    assert len(looks) < 40


def test_what_came_and_went_lately_is_found_too() -> None:
    found = find_last_having(NAMES, lambda name: name == NAMES[-9])
    assert found == Chosen(NAMES[-9], found.at if found else None)


@pytest.mark.parametrize("names", [[], NAMES[:1], NAMES, ["manual"]])
def test_what_never_was_is_found_nowhere(names: Sequence[str]) -> None:
    assert find_last_having(names, lambda _: False) is None


def test_every_single_end_among_few_is_found() -> None:
    for count, last in itertools.product(range(1, 40), range(1, 40)):
        kept = set(NAMES[: min(count, last)])
        found = find_last_having(NAMES[:count], kept.__contains__)
        assert found is not None
        assert found.name == NAMES[min(count, last) - 1]


# --- what is said


@pytest.fixture
def audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that mountinfo calls tank/audio, protected; beside it tank/other, which is not.
    gone.wav is in the first snapshot only."""
    table = "1 0 0:1 / / rw - ext4 /dev/sda rw\n"
    for number, name in enumerate(("audio", "other"), 2):
        for snapshot in NAMES[:3]:
            (tmp_path / name / ".zfs" / "snapshot" / snapshot).mkdir(parents=True)
        (tmp_path / name / ".zfs" / "snapshot" / NAMES[0] / "gone.wav").write_text("x")
        table += f"{number} 1 0:{number} / {tmp_path / name} rw - zfs tank/{name} rw\n"
    (tmp_path / "mountinfo").write_text(table)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "station.toml").write_text(POLICY)
    (tmp_path / "policies" / "theirs.toml").write_text(OTHER_POLICY)
    (tmp_path / "zr.toml").write_text(CONFIG)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "thing").write_text("")
    real = snapdir._open_root
    monkeypatch.setattr(snapdir, "_open_root", lambda root, name, _: real(root, name, False))
    monkeypatch.setattr(mounts, "MOUNTINFO", str(tmp_path / "mountinfo"))
    monkeypatch.chdir(tmp_path / "audio")
    return tmp_path / "audio"


def error_of(here: Path, target: str, *options: str) -> ZrError:
    words = [target, *options, "--policies", str(here.parent / "policies")]
    result = CliRunner().invoke(restore, [*words, "--config", str(here.parent / "zr.toml")])
    assert isinstance(result.exception, ZrError), result.output
    return result.exception


@pytest.mark.parametrize("words", ["gone.wav", "./gone.wav", "{here}/gone.wav"])
def test_it_says_when_it_was_there_last_and_how_to_get_that(audio: Path, words: str) -> None:
    said = error_of(audio, f"{words.format(here=audio)}@latest")
    assert said.reason == "no-such-file"
    assert f"{audio}/gone.wav lies in tank/audio, which was searched." in said.message
    assert "the snapshot of 2026-11-20T17:01:00+09:00" in said.remedy
    command = f"zr restore {audio}/gone.wav@{NAMES[0]}"
    assert command in said.remedy
    assert said.remedy.endswith("beta may have a copy: ask it, as root, with --from peer.")
    done = CliRunner().invoke(
        restore, [*command.split()[2:], "--policies", str(audio.parent / "policies")]
    )
    assert done.exit_code == 0, done.output
    assert (audio / "gone.wav").read_text() == "x"


def test_a_name_for_a_shell_is_quoted(audio: Path) -> None:
    (audio / ".zfs" / "snapshot" / NAMES[1] / "a b.wav").write_text("x")
    said = error_of(audio, f"{audio}/a b.wav@latest")
    assert f"zr restore '{audio}/a b.wav@{NAMES[1]}'" in said.remedy


def test_what_never_was_there(audio: Path) -> None:
    said = error_of(audio, "./never.wav@latest")
    assert "none of its snapshots that were looked at" in said.message
    assert "It was there last" not in said.remedy


def test_a_dataset_that_is_not_protected(audio: Path) -> None:
    said = error_of(audio, f"{audio.parent}/other/never.wav@latest")
    assert "lies in tank/other, which was searched." in said.message
    assert "No policy of this node selects that one." in said.message
    assert f"Protected here: tank/audio ({audio})." in said.message
    assert "beta" not in said.remedy


def test_a_path_that_is_on_no_dataset(audio: Path) -> None:
    said = error_of(audio, f"{audio.parent}/plain/thing@latest")
    assert (said.reason, "but on ext4" in said.message) == ("not-on-zfs", True)
    assert f"Protected here: tank/audio ({audio})." in said.message
    assert "beta" not in said.remedy


def test_a_dataset_that_does_not_exist(audio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(audio.parent)
    said = error_of(audio, "tank/adio@latest")
    assert said.message.startswith("There is no dataset tank/adio on this machine, and ")
    assert "beta" not in said.remedy
    assert "Protected here: tank/audio" in said.message


# --- who may have it


@pytest.mark.parametrize(
    ("words", "may"),
    [
        ("{here}/gone.wav", True),
        ("tank/audio/gone.wav", True),
        ("tank/audio/deep/gone.wav", True),
        ("{above}/other/x", False),
        ("{above}/plain/thing", False),
        ("{above}/plain/left/x", True),  # an empty directory: where a lost dataset was mounted
        ("{above}/nowhere/x", True),
        ("/etc/passwd", False),
    ],
)
def test_only_who_can_have_a_copy_is_named(audio: Path, words: str, may: bool) -> None:
    above = audio.parent
    (above / "plain" / "left").mkdir()
    node = load_node_config(str(above / "zr.toml"))
    policies = load_policies(str(above / "policies"))
    look = Looking("latest", 0, policies, observe_mounts(), tuple, lambda _: EMPTY, node="alpha")
    words = words.format(here=audio, above=above)
    said = hint_at_peers(words, node, [From.LOCAL], look)
    assert ("beta" in said) is may
    assert "gamma" not in said
    assert hint_at_peers(words, node, [From.LOCAL, From.PEER], look) == ""
    look.policies = None
    assert hint_at_peers(words, node, [From.LOCAL], look).startswith("beta or gamma may have")


# --- a new dataset under an old policy


def test_a_new_dataset_that_a_policy_selects(
    audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policies = load_policies(str(audio.parent / "policies"))
    look = Looking("latest", 0, policies, (), tuple, lambda _: EMPTY, node="alpha")
    assert look.policy_name_of("tank/audio/again") == "station"
    assert look.policy_name_of("tank/again") == ""  # theirs, which is gamma's
    answer = Answer(
        kind="dataset",
        path="tank/audio/again",
        dataset="tank/audio",
        node="",
        chosen=Chosen(NAMES[0], 0),
        zone=ZoneInfo("UTC"),
        size_bytes=1,
        amount="1 byte of stream",
        policy="station",
    )
    tell(answer, as_json=False)
    said = capsys.readouterr().err
    assert "tank/audio/again falls under the policy station: it is snapshotted and sent" in said
    tell(answer, as_json=True)
    assert '"policy": "station"' in capsys.readouterr().out
