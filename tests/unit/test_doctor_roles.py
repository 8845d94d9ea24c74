"""What would start by itself on a node with roles, and which replicas are none at the moment."""

import json
from pathlib import Path

import pytest

from tests.unit.cli_support import status
from tests.unit.test_cli_status import SILENT
from zrepl_py.adapters.doctor.containers import observe_restarts, parse_restarts
from zrepl_py.adapters.doctor.datasets import parse_placed
from zrepl_py.adapters.host.prepare import units_of
from zrepl_py.cli.audit_roles import find_members, find_served
from zrepl_py.core.audit import roles
from zrepl_py.core.audit.finding import Findings, Level
from zrepl_py.core.audit.seen import Placed, Unit
from zrepl_py.core.audit.service import judge_status
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.host import Hosting
from zrepl_py.model.policy import Policy, Selection
from zrepl_py.model.roles import State

RADIO = Policy("radio", "alpha", Selection(("tank/radio/**",)), 1, ("beta",))


def node(name: str, here: Path, *groups: str) -> NodeConfig:
    pools = ("tank",) if name == "alpha" else ("back", "more")
    parent = None if name == "alpha" else "back/zr"
    found = {group: Hosting(group) for group in groups}
    return NodeConfig(1, name, pools, replica_parent=parent, run_dir=str(here), roles=found)


def ids(findings: Findings) -> list[str]:
    return [finding.id for finding in findings]


@pytest.mark.parametrize(
    ("enabled", "found"),
    [
        ("enabled", ["service-at-boot"]),
        ("enabled-runtime", ["service-at-boot"]),
        ("generated", ["service-at-boot"]),
        ("disabled", []),
        ("static", []),
        ("masked", []),
        ("", []),
    ],
)
def test_a_service_that_starts_by_itself(enabled: str, found: list[str]) -> None:
    said = roles.judge_boot_units("radio", [Unit("player.service", True, "active", enabled, 0)])
    assert ids(said) == found
    assert all(one.remedy == "systemctl disable player.service" for one in said)


def test_containers_that_docker_starts() -> None:
    text = json.dumps(
        {"services": {"web": {"restart": "always"}, "db": {"restart": "unless-stopped"},
                      "job": {"restart": "on-failure"}, "once": {}}}
    )  # fmt: skip
    restarts = parse_restarts(text)
    assert restarts["once"] == "no"
    (found,) = roles.judge_boot_containers("radio", "/srv/radio.yml", restarts)
    assert found.id == "container-at-boot"
    assert "db, web of /srv/radio.yml" in found.sentence
    assert not roles.judge_boot_containers("radio", "/x", {"job": "on-failure", "once": "no"})


@pytest.mark.parametrize("text", ["", "[]", '{"services": 7}'])
def test_what_docker_says_may_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting value|names no services"):
        parse_restarts(text)


def test_without_the_file_nothing_starts(tmp_path: Path) -> None:
    assert observe_restarts(str(tmp_path / "none.yml")) == {}


def placed(name: str, kind: str = "filesystem", **properties: str) -> Placed:
    return Placed(name, kind, {"canmount": "on", **properties})


def test_before_the_first_primary_the_system_mounts() -> None:
    before = [placed("tank/radio"), placed("tank/radio/a", canmount="noauto")]
    assert not roles.judge_boot_mounts("radio", before)
    begun = parse_placed("tank/radio/b\ttype\t-\tfilesystem\ntank/radio/b\tzr:epoch\tlocal\t2-ab\n")
    (found,) = roles.judge_boot_mounts("radio", [*before, placed("tank/radio/v", "volume"), *begun])
    assert found.id == "mounted-at-boot"
    assert found.remedy.startswith("zfs set canmount=noauto tank/radio;")


def test_a_step_that_fails_is_said() -> None:
    failed = {"kind": "Standing", "reason": "mountpoint-in-use", "message": "/audio contains 'x'."}
    role = {"group": "radio", "state": "promoting", "error": failed}
    (found,) = roles.judge_progress([role, {**role, "error": None}])
    assert (found.id, found.level) == ("role-stuck", Level.ERROR)
    assert "/audio contains 'x'." in found.sentence
    (found,) = roles.judge_progress([{**role, "error": {**failed, "kind": "Passing"}}])
    assert (found.id, found.level) == ("role-waits", Level.WARNING)


def test_a_standby_that_could_not_mount_is_said() -> None:
    (found,) = roles.judge_mountpoints("radio", "/audio contains 'x'.")
    assert (found.id, found.level) == ("mountpoint-in-use", Level.ERROR)
    assert not roles.judge_mountpoints("radio", None)


@pytest.mark.parametrize(
    ("state", "epoch", "page"),
    [
        ("primary-alone", "2-ab12cd34", "alpha-came-back"),
        ("primary-alone", "1-9f3a21cc", "beta-was-off"),
        ("standby", "2-ab12cd34", "beta-was-off"),
        ("primary-alone", None, "beta-was-off"),
    ],
)
def test_a_silent_target_in_whose_place_this_node_serves(
    state: str, epoch: str | None, page: str
) -> None:
    one = {"state": state, "epoch": epoch, "peer": SILENT["target"]}
    (found,) = judge_status(status([], [], targets=[SILENT], roles=[one]))
    assert found.id == "target-silent"
    assert f"docs/runbooks/{page}.md" in found.remedy
    assert ("nothing is to be done here. When it is back" in found.remedy) is (
        page == "alpha-came-back"
    )


def test_members_are_found_on_either_node(tmp_path: Path) -> None:
    names = ["tank/radio/a", "tank/mail", "back/zr/alpha/tank/radio/a", "back/zr/alpha/tank/mail"]
    every = [placed(name) for name in names]
    assert [p.name for p in find_members(node("alpha", tmp_path), RADIO, every)] == [names[0]]
    assert [p.name for p in find_members(node("beta", tmp_path), RADIO, every)] == [names[2]]


@pytest.mark.parametrize("state", State)
def test_a_replica_that_is_served_is_none(tmp_path: Path, state: State) -> None:
    """By the daemon's word; where it is silent all are replicas."""
    here = node("beta", tmp_path, "radio")
    below = [placed("back/zr/alpha/tank/radio/a"), placed("back/zr/alpha/tank/mail")]
    assert find_served(here, [RADIO], below, []) == frozenset()
    served = state in {
        State.UNKNOWN, State.PRIMARY, State.PRIMARY_ALONE, State.DRAINING, State.PROMOTING,
        State.FENCED, State.SPLIT, State.FAULTED,
    }  # fmt: skip
    found = find_served(here, [RADIO], below, [{"group": "radio", "state": state.value}])
    assert found == ({"back/zr/alpha/tank/radio/a"} if served else frozenset())


def test_units_that_roles_need(tmp_path: Path) -> None:
    """A primary that has handed over receives, too: on every pool."""
    without, has = node("beta", tmp_path), node("beta", tmp_path, "r")
    assert not any("zr-host@" in unit for unit in units_of(without))
    assert [u for u in units_of(without) if "receive" in u] == ["zr-receive@back.service"]
    assert set(units_of(has)) - set(units_of(without)) == {
        "zr-receive@more.service", "zr-host@back.service", "zr-host@more.service",
    }  # fmt: skip
    assert units_of(has)[-1] == "zr.service"
