"""`zr pair`: what a node says when nobody waits for it, and what its daemon made of it."""

from pathlib import Path

import pytest

from zrepl_py.adapters.peer.certificates import Pin
from zrepl_py.cli.pair import explain_silence
from zrepl_py.cli.pair_desk import Desk, paired_with
from zrepl_py.config.node import load_node_config
from zrepl_py.errors import Passing

from .cli_support import prepare
from .test_pairing import pins as pins

SILENT = Passing("peer-silent", "Nobody pairs there.", "Start `zr pair` there first.")


def desk_of(here: Path, pin: Pin) -> Desk:
    config = prepare(here)
    return Desk(config, load_node_config(config), pin, replace=False, dialled=None)


@pytest.fixture
def desk(tmp_path: Path, pins: dict[str, Pin]) -> Desk:
    (tmp_path / "node").mkdir()
    return desk_of(tmp_path / "node", pins["alpha"])


@pytest.mark.parametrize("host", ["beta", "10.77.0.2"])
def test_a_second_pairing_after_success_has_nothing_to_do(desk: Desk, host: str) -> None:
    assert explain_silence(desk, host, SILENT) is SILENT
    Path(desk.node.peers["beta"].certificate).write_text(desk.mine.pem)
    assert paired_with(desk.node) == ["beta"]
    said = explain_silence(desk, host, SILENT)
    assert "This node is paired with beta already" in said.message
    assert "zr status" in said.remedy
    assert explain_silence(desk, "10.77.0.9", SILENT) is SILENT


def test_without_a_daemon_it_says_what_to_start(desk: Desk) -> None:
    desk.settle()
    assert (desk.trouble, "does not run here yet" in desk.said) == (None, True)
