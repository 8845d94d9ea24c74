"""What is judged wrong or risky, and that nothing is called fine which was not seen."""

import json
from pathlib import Path

import pytest

from zrepl_py.cli.doctor import doctor, render_finding
from zrepl_py.core.audit.datasets import judge_foreign, judge_keys, judge_replicas
from zrepl_py.core.audit.finding import Findings, Level
from zrepl_py.core.audit.identity import (
    judge_allowed,
    judge_certificate,
    judge_key_file,
    judge_owner,
    judge_pins,
    judge_writable,
)
from zrepl_py.core.audit.pools import judge_pool, judge_room, judge_state_disk
from zrepl_py.core.audit.releases import judge_versions
from zrepl_py.core.audit.seen import (
    Allowed,
    Certificate,
    Clock,
    File,
    Leaf,
    Machine,
    Placed,
    Pool,
    Room,
    Unit,
    Versions,
)
from zrepl_py.core.audit.service import judge_sources, judge_status, judge_targets
from zrepl_py.core.audit.system import judge_byte_path, judge_clock, judge_units
from zrepl_py.model.policy import Policy, Selection

from .cli_support import daemon, group, lane, prepare, run, status
from .test_cli_status import SILENT

NOW = 1_795_250_000.0
DAY = 86_400.0


def ids(findings: Findings, level: Level | None = None) -> list[str]:
    return [f.id for f in findings if level is None or f.level is level]


# --- versions


@pytest.mark.parametrize(
    ("kernel", "encrypted", "found"),
    [
        ("2.3.9-0+deb13u1", True, ["zfs-embedded-send"]),
        ("2.3.2-2", True, ["zfs-encrypted-send", "zfs-embedded-send"]),
        ("2.3.2-2", False, ["zfs-embedded-send"]),
        ("2.2.0-1", False, ["zfs-zeroed-files", "zfs-no-append", "zfs-untried"]),
        ("2.2.8-1", True, ["zfs-no-append", "zfs-untried"]),
        ("2.1.11-1", False, ["zfs-too-old", "zfs-zeroed-files", "zfs-no-append", "zfs-untried"]),
        ("2.4.1-1", False, ["zfs-embedded-send", "zfs-untried"]),
        ("", False, ["zfs-not-loaded"]),
    ],
)
def test_known_bad_releases(kernel: str, encrypted: bool, found: list[str]) -> None:
    seen = Versions(kernel, kernel, True, "0.1.0", "0.1.0")
    assert ids(judge_versions(seen, encrypted=encrypted)) == found


def test_parts_that_do_not_fit_together() -> None:
    seen = Versions("2.3.9-0+deb13u1", "2.3.8-1", False, "0.2.0", "0.1.0")
    found = ids(judge_versions(seen, encrypted=False))
    assert {"binding-missing", "zfs-versions-differ", "daemon-version"} <= set(found)


# --- pools


def pool(state: str = "ONLINE", *leaves: Leaf, scrubbed_at: float | None = NOW) -> Pool:
    return Pool("tank", state, leaves, "No known data errors", scrubbed_at)


def test_a_faulted_leaf_counts_though_its_pool_says_online() -> None:
    faulted = Leaf("sda", "FAULTED", 3, 0, 0, "too many errors")
    assert ids(judge_pool(pool("ONLINE", faulted), NOW), Level.ERROR) == ["disk-failed"]


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (pool("ONLINE", Leaf("sda", "ONLINE", 0, 0, 0)), []),
        (pool("ONLINE", Leaf("sda", "ONLINE", 0, 0, 4)), ["disk-errors"]),
        (pool("DEGRADED", Leaf("sda", "ONLINE", 0, 0, 0)), ["pool-degraded"]),
        (pool("DEGRADED", Leaf("sda", "OFFLINE", 0, 0, 0)), ["disk-failed"]),
        (pool("SUSPENDED"), ["pool-suspended"]),
        (pool(scrubbed_at=None), ["never-scrubbed"]),
        (pool(scrubbed_at=NOW - 61 * DAY), ["scrub-old"]),
        (Pool("tank", "ONLINE", (), "2 data errors", NOW), ["pool-damaged"]),
    ],
)
def test_pools(seen: Pool, found: list[str]) -> None:
    assert ids(judge_pool(seen, NOW)) == found


@pytest.mark.parametrize(
    ("free", "found"), [(50, []), (15, []), (14, ["space-soon"]), (9, ["space-low"])]
)
def test_room(free: int, found: list[str]) -> None:
    assert ids(judge_room(Room("tank", free, 100, 10))) == found


def test_the_disk_of_the_journal() -> None:
    assert ids(judge_state_disk(Room("/var/lib/zr", 1 << 40, 1 << 41, 0))) == []
    assert ids(judge_state_disk(Room("/var/lib/zr", 1 << 20, 1 << 41, 0))) == ["state-disk-full"]


# --- machine


def unit(name: str, active: str = "active", enabled: str = "enabled", restarts: int = 0) -> Unit:
    return Unit(name, True, active, enabled, restarts)


@pytest.mark.parametrize(
    ("units", "answers", "found"),
    [
        ([unit("zr.service"), unit("zr-zfs@tank.service")], True, []),
        ([unit("zr.service", "failed")], False, ["unit-down"]),
        (
            [unit("zr.service", "inactive"), unit("zr-zfs@tank.service", "inactive")],
            True,
            ["daemon-by-hand"],
        ),
        ([unit("zr.service"), unit("zr-zfs@tank.service", "failed")], True, ["unit-down"]),
        ([unit("zr.service", enabled="disabled")], True, ["unit-disabled"]),
        ([unit("zr.service", restarts=9)], True, ["unit-restarts"]),
        ([Unit("zr.service", False, "inactive", "", 0)], False, ["unit-missing"]),
        (None, True, ["no-systemd"]),
    ],
)
def test_units(units: list[Unit] | None, answers: bool, found: list[str]) -> None:
    assert ids(judge_units(units, answers=answers)) == found


def test_clocks() -> None:
    assert ids(judge_clock(Clock(NOW, True, NOW - 5))) == []
    assert ids(judge_clock(Clock(NOW, None, None))) == []
    found = ids(judge_clock(Clock(NOW, False, NOW + 3600)))
    assert found == ["clock-unsynchronised", "clock-behind"]


def test_the_byte_path_is_always_said() -> None:
    assert ids(judge_byte_path(Machine(aes=True, kernel_tls=True))) == ["byte-path"]
    assert ids(judge_byte_path(Machine(aes=False, kernel_tls=False))) == ["byte-path", "no-aes"]


# --- identity and rights

OWN = Certificate("/etc/zr/node.pem", "", "alpha", "u-alpha", "aa", 0.0, 1e11)


def test_certificates() -> None:
    assert ids(judge_certificate(OWN, "u-alpha", NOW)) == []
    assert ids(judge_certificate(OWN, "u-other", NOW)) == ["certificate-node"]
    broken = Certificate("/etc/zr/node.pem", "it does not exist.")
    assert ids(judge_certificate(broken, "u-alpha", NOW)) == ["certificate-broken"]


def test_pins() -> None:
    beta = Certificate("/etc/zr/peers/beta.pem", "", "beta", "u-beta", "bb", 0.0, 1e11)
    old = Certificate("/x", "", "gamma", "u", "cc", 0.0, NOW + DAY)
    missing = Certificate("/y", "it does not exist.")
    assert ids(judge_pins({"beta": beta}, OWN, NOW)) == []
    pins = {"alpha": OWN, "delta": beta, "gamma": old, "beta": missing}
    assert ids(judge_pins(pins, OWN, NOW)) == [
        "pin-self",
        "pin-name",
        "certificate-dates",
        "pin-missing",
    ]


def test_files() -> None:
    assert ids(judge_key_file(File("/k", "zr", 0o600))) == []
    assert ids(judge_key_file(File("/k", "zr", 0o640))) == ["key-readable"]
    assert ids(judge_owner(File("/s", "root", 0o700), "zr")) == ["wrong-owner"]
    assert ids(judge_writable(File("/p", "root", 0o664))) == ["config-writable"]


@pytest.mark.parametrize(
    ("have", "append", "found"),
    [
        ("create,mount,receive:append", True, []),
        ("create,mount,receive", False, []),
        ("create,mount,receive", True, ["rights-wide"]),
        ("create,receive:append", True, ["rights-missing"]),
        ("create,mount,receive:append,destroy", True, ["rights-wide"]),
        ("", True, ["rights-missing"]),
    ],
)
def test_rights(have: str, append: bool, found: list[str]) -> None:
    allowed = Allowed("back/zr", {"zr-recv": frozenset(have.split(",")) - {""}})
    assert ids(judge_allowed(allowed, "zr-recv", append=append)) == found


# --- datasets


def placed(name: str, kind: str = "filesystem", **properties: str) -> Placed:
    usual = {"readonly": "on", "mounted": "no", "canmount": "on", "mountpoint": "none"}
    return Placed(name, kind, {**usual, **properties})


@pytest.mark.parametrize(
    ("replica", "found"),
    [
        (placed("back/zr/alpha/a"), []),
        (placed("back/zr/alpha/a", readonly="off"), ["replica-writable"]),
        (placed("back/zr/alpha/a", mounted="yes"), ["replica-mounted"]),
        (placed("back/zr/alpha/a", mountpoint="/srv"), ["replica-mountpoint"]),
        (placed("back/zr/alpha/a", mountpoint="/srv", canmount="noauto"), []),
        (placed("back/zr/alpha/v", "volume", volmode="default"), ["replica-volmode"]),
        (placed("back/zr/alpha/v", "volume", volmode="none"), []),
        (placed("back/zr/alpha/a", keystatus="unavailable"), ["replica-needs-key"]),
        (placed("back/zr/alpha", readonly="off"), []),  # a placeholder
    ],
)
def test_replicas(replica: Placed, found: list[str]) -> None:
    parent = placed("back/zr")
    empty = frozenset(("back/zr/alpha",))
    assert ids(judge_replicas("back/zr", [parent, replica], empty)) == found


def test_a_missing_parent_of_replicas() -> None:
    assert ids(judge_replicas("back/zr", [], frozenset())) == ["replica-parent-missing"]


def test_keys() -> None:
    sealed = placed("tank/a", keystatus="unavailable")
    found = ids(judge_keys([sealed, placed("tank/b")], {"tank/b": "/root/k"}))
    assert found == ["key-unloaded", "key-file-missing"]


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("autosnap_2026-11-21_00:00:00_daily", "sanoid"),
        ("syncoid_alpha_2026-11-21:10:00:00", "syncoid"),
        ("zrepl_20261121_100000_000", "zrepl"),
        ("zfs-auto-snap_hourly-2026-11-21-1017", "zfs-auto-snapshot"),
        ("bzfs_2026-11-21_10:00:00_daily", "bzfs"),
        ("2026-11-21-100000", "znapzend"),
        ("before-the-upgrade", None),
    ],
)
def test_other_tools_are_known_by_their_snapshots(name: str, tool: str | None) -> None:
    found = judge_foreign({"tank/a": [name], "tank/b": [name]}, replicas=frozenset())
    assert len(found) == (tool is not None)
    assert all(tool in f.sentence and "tank/a, tank/b" in f.sentence for f in found if tool)


def test_another_tool_on_a_replica_is_told_apart() -> None:
    found = judge_foreign({"back/zr/a": ["syncoid_x"]}, replicas=frozenset(("back/zr/a",)))
    assert ids(found) == ["foreign-on-replica"]


# --- the service


def test_the_daemons_own_words() -> None:
    lanes = [
        lane("a", conflict="both were written"),
        lane("b", error={"kind": "Passing", "reason": "busy", "message": "Busy."}, failures=2),
        lane("c", lag_seconds=9000),
        lane("d"),
    ]
    groups = [
        group(missing=["tank/x/**"], refused={"tank/long": "too long."}),
        group(error={"kind": "Passing", "reason": "low-space", "message": "No room."}),
        group(tick_age_seconds=900.0),
        group(members=[]),
    ]
    assert ids(judge_status(status(lanes, groups))) == [
        "pattern-missing",
        "not-protected",
        "tick-failing",
        "tick-late",
        "selects-nothing",
        "lane-conflict",
        "lane-failing",
        "lane-behind",
    ]


def test_a_silent_target_is_one_finding_not_one_for_each_dataset() -> None:
    silence = {"kind": "Passing", "reason": "peer-silent", "message": "Silent."}
    lanes = [lane(f"tank/{n}", error=silence, failures=3, in_sync=False) for n in range(30)]
    found = judge_status(status(lanes, targets=[SILENT]))
    assert ids(found, Level.ERROR) == ["target-silent"]
    assert "beta has not answered for 14 s" in found[0].sentence
    assert "30 of 30 datasets" in found[0].sentence
    assert "No route to host." in found[0].sentence
    answers = {**SILENT, "state": "answers"}
    assert ids(judge_status(status(lanes[:1], targets=[answers]))) == ["lane-failing"]


@pytest.mark.parametrize(
    ("state", "arrived", "found"),
    [
        ("silent", 303, ["source-silent"]),
        ("answers", 7, []),
        ("answers", 900, ["nothing-arrives"]),
        ("answers", None, []),
        ("unknown", 20, []),
    ],
)
def test_a_target_judges_its_source(state: str, arrived: int | None, found: list[str]) -> None:
    source = {
        "source": "alpha",
        "state": state,
        "heard_at": "2026-11-21T10:00:01+00:00",
        "silent_seconds": 300 if state == "silent" else None,
        "arrived_seconds": arrived,
    }
    policy = Policy("p", "alpha", Selection(("tank/a",)), 60, targets=("beta",))
    judged = judge_sources(status([], [], sources=[source]), [policy], "beta")
    assert ids(judged, Level.ERROR) == found
    assert all("alpha" in f.sentence and "zr doctor" in f.remedy for f in judged)
    roles = [{"state": "standby", "peer": "alpha"}]
    judged = judge_sources(status([], [], sources=[source], roles=roles), [policy], "beta")
    assert all("alpha-is-dead.md" in f.remedy for f in judged if f.id == "source-silent")
    served = status([], [], sources=[source | {"served": True}])
    assert judge_sources(served, [policy], "beta") == [], "nothing of it is to come"


@pytest.mark.parametrize(
    ("kind", "found"), [("Passing", "replica-waits"), ("Refused", "replica-refused")]
)
def test_a_refused_stream_is_a_finding_of_the_target(kind: str, found: str) -> None:
    refused = {"kind": kind, "reason": "low-space", "message": "No room."}
    replica = {"dataset": "tank/a", "source": "alpha", "refused": refused}
    judged = judge_status(status([], [], replicas=[replica, {**replica, "refused": None}]))
    assert ids(judged) == [found]
    assert "tank/a of alpha" in judged[0].sentence


def test_a_target_without_a_policy_is_not_told_to_write_one() -> None:
    source, target = judge_targets([], "alpha", [])[0], judge_targets([], "b", [], keeps=True)[0]
    assert source.id == target.id == "no-policy"
    assert "Write one" in source.remedy
    assert "Write" not in target.remedy
    assert "zr pair" in target.remedy


def test_targets() -> None:
    policy = Policy("p", "alpha", Selection(("tank/a",)), 60, targets=("beta", "gamma"))
    assert ids(judge_targets([policy], "alpha", ["beta"])) == ["target-unknown"]
    assert ids(judge_targets([policy], "beta", [])) == []
    alone = Policy("p", "alpha", Selection(("tank/a",)), 60)
    assert ids(judge_targets([alone], "alpha", [])) == ["no-target"]
    assert ids(judge_targets([], "alpha", [])) == ["no-policy"]


# --- the command


def test_the_worst_comes_first_and_errors_give_exit_5(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    with daemon(tmp_path, {"status": lambda: status([lane(conflict="evidence")])}):
        result = run(doctor, "--config", config, "--json")
    assert result.exit_code == 5
    findings = json.loads(result.stdout)["findings"]
    levels = [finding["level"] for finding in findings]
    assert levels == sorted(levels, key=["error", "warning", "note"].index)
    found = {finding["id"] for finding in findings}
    assert {"lane-conflict", "not-initialised", "pin-missing", "byte-path"} <= found
    assert "daemon-silent" not in found


def test_a_broken_configuration_is_a_finding_like_others(tmp_path: Path) -> None:
    result = run(doctor, "--config", str(tmp_path / "none.toml"))
    assert result.exit_code == 5
    assert "[config-wrong]" in result.stdout
    assert "[byte-path]" not in result.stdout
    first, *_, last = result.stdout.splitlines()
    assert first.startswith("ERROR")
    assert last.startswith("Good to know: ")
    assert "byte-path" in last
    verbose = run(doctor, "--config", str(tmp_path / "none.toml"), "--verbose")
    assert "[byte-path]" in verbose.stdout
    assert "Good to know" not in verbose.stdout


def test_a_finding_is_two_lines() -> None:
    finding = judge_room(Room("tank", 1, 100, 10))[0]
    head, remedy, rest = render_finding(finding).split("\n")
    assert head.startswith("ERROR    1 % of pool tank is free")
    assert head.endswith("[space-low]")
    assert remedy.startswith("         → ")
    assert rest == ""
