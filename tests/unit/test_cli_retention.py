"""`zr retention plan` and `apply`, on the model of ZFS."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zrepl_py.cli import retention as command
from zrepl_py.cli import retention_find as finding
from zrepl_py.cli.retention import retention
from zrepl_py.core.audit.seen import Room
from zrepl_py.engine.commands import Engine
from zrepl_py.engine.prune import Doom, Pruned, prune
from zrepl_py.model.names import Epoch, TickName, render_cursor, render_tick
from zrepl_py.model.policy import Keep, Policy, Selection
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

from .cli_support import POLICY, daemon, prepare, run

START = 1_790_000_000 // 86_400 * 86_400
KEEP_FIVE = POLICY + "[retention.alpha]\nkeep_last = 5\n"
AUDIO = "tank/audio"


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> ModelPools:
    """tank/audio has ten snapshots of zr, every minute, and one of somebody else."""
    times = iter(range(START, START + 10_000 * 60, 60))
    made = ModelPools({"tank": 1 << 30}, now=lambda: next(times))
    for name in ("tank/services", AUDIO):
        made.make_dataset(name)
    zfs = ModelZfs(made)
    monkeypatch.setattr(finding, "CommandZfs", lambda: zfs)
    monkeypatch.setattr(command, "CommandZfs", lambda: zfs)
    monkeypatch.setattr(finding, "observe_names", lambda: ["tank", "tank/services", AUDIO])
    monkeypatch.setattr(finding, "observe_room", lambda pool, limit: Room(pool, 9, 10, limit))
    monkeypatch.setattr("zrepl_py.cli.retention.MachineClock", FarFuture)
    for seq in range(1, 11):
        take(made, seq)
    made.foreign_snapshot(f"{AUDIO}@mine")
    return made


class FarFuture:
    """A clock that is after every snapshot."""

    def now(self) -> float:
        return START + 1e9


def take(pools: ModelPools, seq: int) -> None:
    name = render_tick(TickName(Epoch(1, "9f3a21cc"), seq, START + 60 * seq))
    pools.take(pools.dataset(AUDIO), name, pools.pools["tank"])


def left(pools: ModelPools) -> list[str]:
    names = [v.name.split("_") for v in pools.dataset(AUDIO).snapshots]
    return [name[2] if len(name) > 2 else name[0] for name in names]


def node(here: Path, policy: str) -> str:
    config = prepare(here)
    (here / "policies" / "station.toml").write_text(policy)
    return config


def test_the_plan_shows_what_stays_and_goes_and_why(tmp_path: Path, pools: ModelPools) -> None:
    config = node(tmp_path, KEEP_FIVE)
    pools.dataset(AUDIO).snapshots[2].holds.add("of-a-person")
    result = run(retention, "plan", "--config", config, AUDIO)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "the newest 5 stays here" in lines[0]
    assert "GOES" in lines[2]
    assert "held: of-a-person" in lines[3]
    assert "not made by zr: never touched" in result.output
    assert "11 snapshots: 6 stay, 4 go, 1 are not zr's." in result.output
    assert left(pools) == [*map(str, range(1, 11)), "mine"]


def test_the_plan_as_json_has_every_reason(tmp_path: Path, pools: ModelPools) -> None:
    config = node(tmp_path, KEEP_FIVE)
    (facts,) = json.loads(run(retention, "plan", "--json", "--config", config).output)["datasets"]
    assert facts["counts"] == {"stays": 5, "goes": 5, "asked": 0, "foreign": 1}
    assert facts["snapshots"][9]["reasons"] == ["the newest", "keep_last = 5"]
    assert facts["retention"]["keep_last"] == 5
    assert len(facts["plan"]) == 12


def test_the_plan_names_clones_and_whom_the_daemon_knows_to_read(
    tmp_path: Path, pools: ModelPools
) -> None:
    config = node(tmp_path, KEEP_FIVE)
    one, two, three = pools.dataset(AUDIO).snapshots[:3]
    pools.clone(f"{AUDIO}@{one.name}", "tank/x")
    three.sends += 1
    readers = {str(two.guid): "a drill of the copy on beta"}
    with daemon(tmp_path, {"status": lambda: {"readers": readers}}):
        result = run(retention, "plan", "--all", "--config", config, AUDIO)
    lines = result.output.splitlines()
    assert "cloned: tank/x" in lines[2]
    assert lines[3].endswith("read by a drill of the copy on beta")
    assert "read by somebody: it is mounted, or being sent" in lines[4]
    without = run(retention, "plan", "--config", config, AUDIO)
    assert "drill" not in without.output, "what the daemon does ends with it"


def test_a_policy_can_be_tried_before_it_counts(tmp_path: Path, pools: ModelPools) -> None:
    config = node(tmp_path, KEEP_FIVE)
    tried = tmp_path / "tried.toml"
    tried.write_text(KEEP_FIVE.replace("keep_last = 5", "keep_last = 3"))
    result = run(retention, "plan", "--config", config, "--policy", str(tried), AUDIO)
    assert "2 snapshots more would go, and 0 snapshots that now go would stay." in result.output
    assert "nothing would change" in run(
        retention, "plan", "--config", config, "--policy", f"{tmp_path}/policies/station.toml"
    ).output  # fmt: skip


def test_apply_does_exactly_the_plan_that_was_shown(tmp_path: Path, pools: ModelPools) -> None:
    config = node(tmp_path, KEEP_FIVE)
    shown = json.loads(run(retention, "plan", "--json", "--config", config).output)
    digest = shown["datasets"][0]["plan"]
    for seq in (11, 12):  # ticks go on while a person reads
        take(pools, seq)
    refused = run(retention, "apply", "--config", config, AUDIO, "--plan", "0123456789ab")
    assert refused.exit_code == 3
    assert "is not the plan" in str(refused.exception)
    dry = run(retention, "apply", "--config", config, AUDIO, "--plan", digest, "--dry-run")
    assert (dry.exit_code, len(left(pools))) == (0, 13)
    result = run(retention, "apply", "--config", config, AUDIO, "--plan", digest)
    assert "5 snapshots destroyed" in result.output
    assert left(pools) == ["6", "7", "8", "9", "10", "mine", "11", "12"]


def test_what_somebody_holds_while_a_person_thinks_stays_and_is_named(
    tmp_path: Path, pools: ModelPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = node(tmp_path, KEEP_FIVE)
    held = pools.dataset(AUDIO).snapshots[1]

    def think(*_: object, **__: object) -> bool:
        held.holds.add("of a person")
        return True

    monkeypatch.setattr("click.confirm", think)
    result = run(retention, "apply", "--config", config, AUDIO)
    assert "4 snapshots destroyed" in result.output
    assert f"left: {AUDIO}@{held.name}: held: of a person" in result.output
    assert "2" in left(pools)


def test_apply_says_of_each_snapshot_what_became_of_it(
    tmp_path: Path, pools: ModelPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More stay than the few that the daemon's event names; and it is ZFS that says no, after the
    last look, so only one more look knows whose holds they are."""
    config = node(tmp_path, KEEP_FIVE.replace("= 5", "= 2"))
    shown = json.loads(run(retention, "plan", "--json", "--config", config).output)
    old = pools.dataset(AUDIO).snapshots[:8]

    def late(dooms: Mapping[str, Doom]) -> Engine[Pruned]:
        for number, snapshot in enumerate(old[:6]):
            snapshot.holds.add(f"late {number}")
        pools.clone(f"{AUDIO}@{old[6].name}", "tank/x")
        pools.destroy(f"{AUDIO}@{old[7].name}")
        return prune(dooms)

    monkeypatch.setattr(command, "prune", late)
    digest = shown["datasets"][0]["plan"]
    words = ("apply", "--config", config, AUDIO, "--plan", digest)
    facts = json.loads(run(retention, *words, "--json").output)
    causes = [f"held: late {n}" for n in range(6)] + ["cloned: tank/x"]
    assert facts["destroyed"] == 0
    assert [s["cause"] for s in facts["snapshots"]] == [*causes, ""]
    assert [s["fate"] for s in facts["snapshots"]] == ["stays"] * 7 + ["gone"]
    assert facts["left"] == [
        f"{AUDIO}@{s.name}: {why}" for s, why in zip(old, causes, strict=False)
    ]


def test_apply_prints_a_line_for_each_that_stays(
    tmp_path: Path, pools: ModelPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = node(tmp_path, KEEP_FIVE.replace("= 5", "= 1"))
    old = pools.dataset(AUDIO).snapshots[:8]

    def think(*_: object, **__: object) -> bool:
        for snapshot in old[:7]:
            snapshot.holds.add("of a person")
        pools.destroy(f"{AUDIO}@{old[7].name}")
        return True

    monkeypatch.setattr("click.confirm", think)
    lines = run(retention, "apply", "--config", config, AUDIO).output.splitlines()
    end = lines.index(f"{AUDIO}: 1 snapshot destroyed, 1 snapshot had gone before.")
    assert lines[end + 1 :] == [f"  left: {AUDIO}@{s.name}: held: of a person" for s in old[:7]]


def test_apply_asks_a_person_and_takes_no_for_an_answer(
    tmp_path: Path, pools: ModelPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = node(tmp_path, KEEP_FIVE)
    refused = run(retention, "apply", "--config", config, AUDIO)
    assert refused.exit_code != 0
    assert len(left(pools)) == 11
    monkeypatch.setattr("click.confirm", lambda *_, **__: True)
    assert "5 snapshots destroyed" in run(retention, "apply", "--config", config, AUDIO).output
    assert left(pools) == ["6", "7", "8", "9", "10", "mine"]


def test_what_the_daemon_asks_about_is_shown_with_the_command(
    tmp_path: Path, pools: ModelPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = node(tmp_path, POLICY + "[retention.alpha]\ndaily = 5\n")
    monkeypatch.setattr(FarFuture, "now", lambda _: START - 86_400.0)
    result = run(retention, "plan", "--config", config, AUDIO)
    assert "9 would go when you allow it" in result.output
    assert "The daemon asks first: The newest snapshot is" in result.output
    assert "zr retention apply tank/audio --plan " in result.output
    digest = result.output.rsplit(" ", 1)[1].strip()
    run(retention, "apply", "--config", config, AUDIO, "--plan", digest)
    assert left(pools) == ["10", "mine"]


def test_a_dataset_that_no_policy_means_is_refused(tmp_path: Path, pools: ModelPools) -> None:
    result = run(retention, "plan", "--config", node(tmp_path, KEEP_FIVE), "tank/audoi")
    assert result.exit_code == 3
    assert "did you mean tank/audio?" in str(result.exception)


def test_the_plan_spares_what_waits_for_a_target() -> None:
    """Beta has the second one, and is away."""
    made = ModelPools({"tank": 1 << 30}, now=lambda: START)
    made.make_dataset("tank/services")
    made.make_dataset(AUDIO)
    zfs = ModelZfs(made)
    for seq in range(1, 11):
        take(made, seq)
    second = made.dataset(AUDIO).snapshots[1]
    zfs.bookmark(f"{AUDIO}@{second.name}", f"{AUDIO}#{render_cursor('000000b1', second.guid)}")
    policy = Policy("p", "alpha", Selection(("tank/**",)), 60, ("beta",))
    meant = finding.Meant(AUDIO, "alpha", AUDIO, policy, Keep(last=1))
    around = finding.Around({"000000b1": "beta"}, zfs.observe_pool("tank"))
    seen = finding.look_through(zfs, meant, around, {}, FarFuture().now())
    going = [v.snapshot.guid for v in (*seen.removal.doomed, *seen.removal.withheld)]
    assert going == [v.guid for v in made.dataset(AUDIO).snapshots[:1]]


@pytest.mark.parametrize(("roles", "targets"), [({}, ()), ({"p": None}, ("alpha",))])
def test_what_was_received_waits_for_its_founder_where_roles_may_have_turned(
    monkeypatch: pytest.MonkeyPatch, roles: dict[str, None], targets: tuple[str, ...]
) -> None:
    made = ModelPools({"back": 1 << 30}, now=lambda: START)
    for name in ("back/zr", "back/zr/alpha", "back/zr/alpha/tank", f"back/zr/alpha/{AUDIO}"):
        made.make_dataset(name)
    zfs = ModelZfs(made)
    zfs.set_user_properties([f"back/zr/alpha/{AUDIO}"], {"zr:lane": "its"})
    monkeypatch.setattr(finding, "CommandZfs", lambda: zfs)
    monkeypatch.setattr(finding, "observe_names", list)
    policy = Policy("p", "alpha", Selection(("tank/**",)), 60, ("beta",))
    beta: Any = SimpleNamespace(name="beta", replica_parent="back/zr", roles=roles)
    (meant,) = finding.find_meant(beta, [policy], AUDIO)
    assert meant.is_replica
    assert meant.targets == targets
