"""`zr init`: is it typed on the right node, is somebody there to ask, how is it taken back?"""

import subprocess
from pathlib import Path

import click
import pytest

from zrepl_py.adapters.host import prepare
from zrepl_py.cli import init_checks
from zrepl_py.cli.init_checks import check_asked, check_direction, render_undo
from zrepl_py.config.node import load_node_config
from zrepl_py.errors import Refused
from zrepl_py.model.config import NodeConfig

CONFIG = """format = 1

[node]
name = "beta"
pools = [{pools}]
{replicas}

[paths]
policies = "{here}/policies"
{more}
"""
POLICY = """format = 1
[policy]
name = "own"
source = "beta"
datasets = ["back/own"]
every = "1m"
targets = ["alpha"]
"""


@pytest.fixture
def beta(tmp_path: Path) -> NodeConfig:
    """A node that keeps replicas."""
    return load(tmp_path, 'replicas = "back/zr"')


def load(here: Path, replicas: str, pools: str = '"back"', more: str = "") -> NodeConfig:
    (here / "policies").mkdir(exist_ok=True)
    text = CONFIG.format(here=here, replicas=replicas, pools=pools, more=more)
    (here / "zr.toml").write_text(text)
    return load_node_config(str(here / "zr.toml"))


@pytest.fixture(autouse=True)
def replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        init_checks,
        "find_replicas",
        lambda pools, below: ["back/zr/alpha/tank"] if below == "back/zr/alpha" else [],
    )


def test_a_node_is_not_its_own_target(beta: NodeConfig) -> None:
    with pytest.raises(click.UsageError, match="on the node that has the data"):
        check_direction(beta, "beta", both=True)


@pytest.mark.parametrize(
    ("target", "evidence"),
    [
        ("alpha", "It keeps replicas of alpha: back/zr/alpha/tank."),
        ("gamma", "It keeps copies of others, in back/zr."),
    ],
)
def test_a_target_does_not_become_a_source_by_a_slip(
    beta: NodeConfig, target: str, evidence: str
) -> None:
    with pytest.raises(Refused) as caught:
        check_direction(beta, target, both=False)
    assert caught.value.reason == "wrong-node"
    assert evidence in caught.value.message
    assert f"zr init --target {target} --replicas back/zr" in caught.value.remedy
    check_direction(beta, target, both=True)


def test_who_sends_there_already_or_keeps_nothing_may(tmp_path: Path) -> None:
    check_direction(load(tmp_path, ""), "alpha", both=False)
    beta = load(tmp_path, 'replicas = "back/zr"')
    (tmp_path / "policies" / "own.toml").write_text(POLICY)
    check_direction(beta, "alpha", both=False)


def test_nobody_to_ask() -> None:
    with pytest.raises(Refused) as caught:
        check_asked(asks=True, terminal=False)
    assert (caught.value.reason, "--yes" in caught.value.remedy) == ("not-asked", True)
    check_asked(asks=True, terminal=True)
    check_asked(asks=False, terminal=False)


def test_it_says_how_it_is_taken_back(beta: NodeConfig) -> None:
    said = render_undo(beta, "/etc/zr/zr.toml", "/etc/zr/policies/main.toml", new_parent=True)
    assert "rm /etc/zr/policies/main.toml && zr reload" in said
    assert "zfs destroy back/zr" in said
    assert "-r" not in said.split()
    assert "policies" not in render_undo(beta, "/etc/zr/zr.toml", None, new_parent=False)


@pytest.mark.parametrize(
    ("roles", "enabled", "steps"),
    [
        ("[roles.radio]", "", ["enable --now zr-receive@more.service zr-host@back.service "
                               "zr-host@more.service"]),
        ("[roles.radio]", "zr-host@ zr-receive@", []),
        ("", "zr-host@back", ["disable --now zr-host@back.service"]),
        ("", "", []),
    ],
)  # fmt: skip
def test_the_host_worker_runs_exactly_where_there_are_roles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, roles: str, enabled: str, steps: list[str]
) -> None:
    usual = "zr-zfs@ zr-proof@ zr-receive@back zr.service"
    running = tuple(f"{usual} {enabled}".split())

    def run_command(argv: list[str], *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        known = argv[1] == "cat" or argv[-1].startswith(running)
        return subprocess.CompletedProcess(argv, 0 if known else 4, "", "")

    monkeypatch.setattr(prepare, "run_command", run_command)
    monkeypatch.setattr(prepare, "SYSTEMD", tmp_path)
    node = load(tmp_path, 'replicas = "back/zr"', pools='"back", "more"', more=roles)
    planned, notes = prepare.plan_units(node)
    assert [step.what for step in planned] == [f"run: systemctl {step}" for step in steps]
    assert not notes
