"""`zr rescue`: found on the model of ZFS; what is in the snapshots are plain directories."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zrepl_py.adapters.host.mounts import Mount
from zrepl_py.adapters.host.snapdir import Origin, SnapshotDirectory
from zrepl_py.cli import rescue as command
from zrepl_py.cli import rescue_find
from zrepl_py.cli.rescue import rescue
from zrepl_py.cli.rescue_diff import Tail
from zrepl_py.cli.rescue_find import Aside, Rescue, find_rescue
from zrepl_py.cli.rescue_say import render_tails
from zrepl_py.config.node import load_node_config
from zrepl_py.model.observation import Kind
from zrepl_py.model.rescue import render_rescue_snapshot, rescue_place, shipped_place
from zrepl_py.testing.model_datasets import ModelDatasets
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

from .cli_support import daemon, prepare, run

LABEL = "1-9f3a21cc-0b51e2aa"
TAIL = render_rescue_snapshot(LABEL)
BASE = "zr_1-9f3a21cc_42_20261121T091423Z"


@dataclass
class Site:
    """alpha after it came back: tank/audio goes on at BASE, what only it had is set aside."""

    config: str
    zfs: ModelZfs
    here: Path

    def tree(self, snapshot: str) -> Path:
        """Where the content of a snapshot is."""
        return self.here / "trees" / snapshot.replace("/", "_").replace("@", "/")


def set_aside(zfs: ModelZfs, name: str) -> None:
    """As core/rejoin.py does it: rename, clone, promote the clone."""
    pools, datasets = zfs.pools, ModelDatasets(zfs.pools)
    place = rescue_place(name, LABEL)
    zfs.create_placeholder(place.rpartition("/")[0])
    base = pools.version(f"{name}@{BASE}")
    assert base is not None
    datasets.rename(name, pools.dataset(name).guid, place)
    datasets.clone(f"{place}@{BASE}", base.guid, name)
    datasets.promote(name, pools.dataset(name).guid)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The common version had `same`, `changed`, `both`, `gone`; the rescue has new ones too."""
    pools = ModelPools({"tank": 1 << 30})
    zfs = ModelZfs(pools)
    pools.make_dataset("tank/audio")
    pools.take(pools.dataset("tank/audio"), BASE, pools.pools["tank"])
    pools.take(pools.dataset("tank/audio"), TAIL, pools.pools["tank"])
    set_aside(zfs, "tank/audio")
    made = Site(prepare(tmp_path), zfs, tmp_path)
    base = made.tree(f"tank/audio@{BASE}")
    for name in ("same", "changed", "both", "gone"):
        (base / "talks").mkdir(parents=True, exist_ok=True)
        (base / "talks" / name).write_text(f"{name} of both")
    tail = made.tree(f"{rescue_place('tank/audio', LABEL)}@{TAIL}")
    now = tmp_path / "now"
    for copy in (tail, now):
        shutil.copytree(base, copy, copy_function=os.link)
    (tail / "talks" / "gone").unlink()
    rewrite(tail / "talks" / "changed", "only alpha wrote this")
    rewrite(tail / "talks" / "both", "alpha's words")
    rewrite(now / "talks" / "both", "beta's words, later")
    (tail / ".zr").mkdir()
    (tail / ".zr" / "epoch").write_text("1-9f3a21cc")
    for name, words in (("new", "an interview"), ("brought", "copied back already")):
        (tail / "talks" / name).write_text(words)
    (now / "talks" / "brought").write_text("copied back already")
    mount = Mount("tank/audio", "/", str(now), "zfs", (0, 7), False)
    monkeypatch.setattr(command, "observe_mounts", lambda: [mount])
    monkeypatch.setattr(command, "CommandZfs", lambda: zfs)
    monkeypatch.setattr("os.geteuid", lambda: 0)

    def origin(dataset: str, snapshot: str) -> Origin:
        tree = made.tree(f"{dataset}@{snapshot}")
        return SnapshotDirectory(str(tree.parent), snapshot, mounted=False)

    monkeypatch.setattr(rescue_find, "MountedSnapshot", origin)
    return made


def rewrite(path: Path, text: str) -> None:
    """A new file in its place: the old one is shared with the other trees."""
    path.unlink()
    path.write_text(text)


def test_diff_names_what_is_nowhere_else(site: Site) -> None:
    result = run(rescue, "diff", "--config", site.config, LABEL)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"tank/audio, as it was on alpha, since tank/audio@{BASE}:"
    assert lines[1:4] == [
        "  M  talks/both  (13 bytes; ALSO CHANGED on the primary since)",
        "  M  talks/changed  (21 bytes)",
        "  +  talks/new  (12 bytes)",
    ]
    assert "1 is there now with the same content; 1 was removed in that time" in lines[4]
    assert lines[5] == "+ is new, M changed, R renamed since then."
    assert lines[6].startswith("ALSO CHANGED: on the primary it was changed or removed, too.")
    assert lines[7].startswith(
        "3 files, 46 bytes, not at their places with this content. To copy them: zr rescue export"
    )


def test_diff_as_json(site: Site) -> None:
    said = json.loads(run(rescue, "diff", "--json", "--config", site.config, LABEL).stdout)
    (one,) = said["datasets"]
    assert (said["of"], one["dataset"], one["volume"]) == ("alpha", "tank/audio", False)
    assert [(f["path"], f["change"], f["also_changed"]) for f in one["only"]] == [
        ("talks/both", "modified", True),
        ("talks/changed", "modified", False),
        ("talks/new", "added", False),
    ]
    assert (one["already"], one["removed"], one["not_compared"]) == (1, 1, [])


def test_export_copies_the_tail_and_goes_on_and_overwrites_nothing(site: Site) -> None:
    to = site.here / "out" / "deep"
    words = ("export", "--config", site.config, LABEL, "--to", str(to))
    dry = run(rescue, *words, "--dry-run")
    assert (dry.exit_code, to.exists()) == (0, False)
    assert "would copy tank/audio/talks/new" in dry.stdout
    first = run(rescue, *words)
    assert first.exit_code == 0, first.output
    assert (to / "tank/audio/talks/new").read_text() == "an interview"
    assert sorted(p.name for p in (to / "tank/audio/talks").iterdir()) == ["both", "changed", "new"]
    (to / "tank/audio/talks/changed").unlink()
    (to / "tank/audio/talks/both").write_text("mine")
    second = run(rescue, *words)
    assert second.exit_code == 3
    assert "NOT copied" in second.stdout
    assert "Copied 1 file" in second.stdout
    assert "There already, the same: 1." in second.stdout
    assert (to / "tank/audio/talks/both").read_text() == "mine"
    assert (to / "tank/audio/talks/changed").read_text() == "only alpha wrote this"


def test_export_of_what_is_named(site: Site) -> None:
    to = str(site.here / "out")
    words = ("export", "--config", site.config, LABEL, "--to", to)
    assert run(rescue, *words, "tank/audio/talks/same").exit_code == 0
    assert (site.here / "out/tank/audio/talks/same").read_text() == "same of both"
    assert run(rescue, *words, "tank/audio/nothing").exit_code == 3
    assert run(rescue, *words, "tank/other/new").exit_code == 3
    shutil.rmtree(site.here / "out")
    assert run(rescue, *words, "tank/audio/talks").exit_code == 0
    assert (site.here / "out/tank/audio/talks/brought").read_text() == "copied back already"
    assert run(rescue, *words, "tank/audio").exit_code == 0
    assert (site.here / "out/tank/audio" / TAIL / "talks/new").read_text() == "an interview"


def test_an_unknown_label_names_those_that_are_here(site: Site) -> None:
    result = run(rescue, "diff", "--config", site.config, "1-9f3a21cc-0b51e2ab")
    assert result.exit_code == 3
    assert f"did you mean {LABEL}?" in str(result.exception)


def test_only_root_looks_into_snapshots(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run(rescue, "diff", "--config", site.config, LABEL).exit_code == 5


def test_a_shipped_rescue_is_found_and_named_after_its_node(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    text = Path(config).read_text().replace('pools = ["tank"]', 'pools = ["back"]')
    Path(config).write_text(text.replace("[paths]", 'replicas = "back/zr"\n\n[paths]'))
    pools = ModelPools({"back": 1 << 30})
    zfs, place = ModelZfs(pools), "back/zr/alpha/tank/audio"
    for parent in ("back/zr", "back/zr/alpha", "back/zr/alpha/tank", place):
        pools.make_dataset(parent, mounted=False)
    pools.take(pools.dataset(place), BASE, pools.pools["back"])
    kept = shipped_place("back", "ab253478", LABEL, "tank/audio")
    assert kept is not None
    zfs.create_placeholder(kept.rpartition("/")[0])
    pools.clone(f"{place}@{BASE}", kept)
    pools.take(pools.dataset(kept), TAIL, pools.pools["back"])
    found = find_rescue(load_node_config(config), {"ab253478": "alpha"}, LABEL, zfs)
    (aside,) = found.datasets
    assert (found.of, found.shipped, aside.member) == ("alpha", True, "tank/audio")
    assert (aside.place, aside.base) == (place, f"{place}@{BASE}")


LISTED: dict[str, Any] = {
    "label": LABEL, "members": ["tank/audio", "tank/db"], "bytes": 3 << 20, "shipped": False,
    "of": "alpha", "own": True, "peer": "beta",
}  # fmt: skip


def test_the_list_says_what_was_not_shipped(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    with daemon(tmp_path, {"rescue_list": lambda group: [LISTED]}):
        lines = run(rescue, "list", "--config", config).stdout.splitlines()
    assert lines[1].split() == [
        *(LABEL, "alpha", "tank/audio", "and", "1", "more", "3.0", "MiB", "NOT", "YET")
    ]
    assert lines[2].startswith(
        "The same LABEL on both nodes is the same rescue, though it may take"
    )
    for changed, sent in (({"own": False}, "from alpha"), ({"shipped": True}, "to beta")):
        with daemon(tmp_path, {"rescue_list": lambda group, c=changed: [LISTED | c]}):
            assert run(rescue, "list", "--config", config).stdout.splitlines()[1].endswith(sent)
    with daemon(tmp_path, {"rescue_list": lambda group: []}):
        assert "no rescue" in run(rescue, "list", "--config", config).stdout


ELSEWHERE = {
    "all": "beta has it too, as it says now",
    "part": "beta HAS ONLY A PART OF IT",
    "none": "beta DOES NOT HAVE IT",
    "unknown": "WHETHER beta HAS IT IS NOT KNOWN NOW, so take this for the last copy: It does not",
}


@pytest.mark.parametrize(("word", "code"), [("--dry-run", 0), ("--yes", 0), (None, 3)])
def test_drop_says_which_files_only_it_has(site: Site, word: str | None, code: int) -> None:
    """Also where nobody is asked, and where there is nobody to ask."""
    verbs = {
        "rescue_list": lambda group: [LISTED],
        "rescue_elsewhere": lambda group, label: [{"peer": "beta", "has": "all", "why": None}],
        "rescue_drop": lambda group, label, who: ["tank/zr-rescue"],
    }
    words = (LABEL, word) if word else (LABEL,)
    with daemon(site.here, verbs):
        result = run(rescue, "drop", "--config", site.config, *words)
    assert result.exit_code == code
    assert "Not at their places with this content: 3 files, 46 bytes." in result.stdout
    assert "  tank/audio: +  talks/new  (12 bytes)" in result.stdout


def test_the_question_before_a_drop_offers_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verbs = {"rescue_list": lambda group: [LISTED], "rescue_elsewhere": lambda group, label: []}
    monkeypatch.setattr(command, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    config = prepare(tmp_path)
    with daemon(tmp_path, verbs):
        result = run(rescue, "drop", "--config", config, LABEL)
    assert result.exit_code == 1, "nothing was typed at all"
    assert "Type the label again to destroy it: " in result.stdout


def test_diff_names_what_is_empty_in_one_line(tmp_path: Path) -> None:
    asides = [
        Aside(name, f"tank/zr-rescue/x/{name}", Kind.FILESYSTEM, TAIL, None, None)
        for name in ("tank/audio", "tank/db")
    ]
    found = Rescue(LABEL, "alpha", False, tuple(asides))
    lines = list(render_tails(found, {aside: Tail() for aside in asides}, everything=False))
    assert lines == [
        "Nothing in tank/audio, tank/db.",
        "0 files, 0 bytes, not at their places with this content.",
    ]


def test_drop_asks_and_says_what_is_lost(tmp_path: Path) -> None:
    config, dropped = prepare(tmp_path), []

    def drop(group: str | None, label: str, who: str) -> list[str]:
        dropped.append((group, label))
        return ["tank/zr-rescue"]

    there = {"peer": "beta", "has": "none", "why": None}
    verbs = {
        "rescue_list": lambda group: [LISTED | {"shipped": True}],
        "rescue_elsewhere": lambda group, label: [there],
        "rescue_drop": drop,
    }
    with daemon(tmp_path, verbs):
        assert run(rescue, "drop", "--config", config, LABEL).exit_code == 3
        dry = run(rescue, "drop", "--config", config, "--dry-run", LABEL)
        assert (dry.exit_code, dropped) == (0, [])
        assert "beta DOES NOT HAVE IT: this is the last copy" in dry.stdout
        assert "Which files only it has is not known: " in dry.stdout
        for has, said in ELSEWHERE.items():
            there |= {"has": has, "why": "It does not answer."}
            dry = run(rescue, "drop", "--config", config, "--dry-run", LABEL)
            assert said in dry.stdout
        assert (
            run(rescue, "drop", "--config", config, "--yes", "1-00000000-00000000").exit_code == 3
        )
        done = run(rescue, "drop", "--config", config, "--yes", "--group", "radio/tank", LABEL)
    assert (done.exit_code, dropped) == (0, [("radio", LABEL)])
