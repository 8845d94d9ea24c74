"""Every file that an earlier version wrote is read by today's code, whole."""

from pathlib import Path

import pytest

from tests.lab.recorded import RECORDED, recorded_files
from zrepl_py.adapters.eventfiles import EventReader
from zrepl_py.adapters.journal import read_journal
from zrepl_py.adapters.peer.certificates import parse_pin
from zrepl_py.adapters.state import load_state
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import load_policies

VERSIONS = sorted(path.name for path in RECORDED.iterdir())
EVERY = [(version, node) for version in VERSIONS for node in ("alpha", "beta")]


@pytest.mark.parametrize(("version", "node"), EVERY)
def test_read_whole(version: str, node: str, tmp_path: Path) -> None:
    for name, content in recorded_files(version, node).items():
        path = tmp_path / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    etc, var = tmp_path / "etc/zr", tmp_path / "var/lib/zr"
    assert load_node_config(str(etc / "zr.toml")).name == node
    (policy,) = load_policies(str(etc / "policies"))
    assert policy.name == "station"
    assert load_state(str(var / "state.json")) is not None
    assert parse_pin((etc / "node.pem").read_text()).node.name == node
    lines = (var / "journal/journal-1.jsonl").read_bytes().splitlines()
    assert len(list(read_journal(str(var / "journal")))) == len(lines) - 1  # the segment's head
    (segment,) = (var / "events").iterdir()
    assert len(list(EventReader(str(var / "events")).read())) == len(
        segment.read_bytes().splitlines()
    )
