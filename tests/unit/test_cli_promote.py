"""`zr promote`, `switchover`, `rejoin`, `resolve`: what is asked, what is shown, how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from zrepl_py.cli import role_orders
from zrepl_py.cli.promote import promote
from zrepl_py.cli.rejoin import rejoin
from zrepl_py.cli.resolve import resolve
from zrepl_py.cli.switchover import switchover
from zrepl_py.errors import Passing, Refused, Standing, ZrError

from .cli_support import daemon, prepare, run
from .role_told import COMMAND, NEEDED, STATEMENT, Told, failure, role, serving


def test_alone_it_prints_the_report_and_the_command_and_changes_nothing(tmp_path: Path) -> None:
    config, told = prepare(tmp_path), Told([role()], [{"refusal": failure(NEEDED)}])
    with daemon(tmp_path, told.verbs):
        result = run(promote, "--config", config)
    assert result.exit_code == 3
    assert [order["order"] for order in told.ordered] == ["promote"]
    assert result.stdout.splitlines()[0].startswith("Lost would be what was written on alpha")
    assert f"\n    {COMMAND}\n" in result.stdout
    assert "By the clock in UTC" not in result.stdout, "it is said already"
    assert "Nothing was changed." in str(result.exception)


def test_a_living_primary_is_named_and_no_command_is_printed(tmp_path: Path) -> None:
    alive = Refused("peer-alive", "alpha answers.", "`zr switchover` on alpha.")
    config, told = prepare(tmp_path), Told([role(peer_state="primary")], refused=alive)
    with daemon(tmp_path, told.verbs):
        result = run(promote, "--config", config, "radio")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "zr switchover" in str(result.exception)


@pytest.mark.parametrize("left_out", ["--on", "--i-fenced", "--accept-loss", "--force", "radio"])
def test_a_part_of_the_command_is_not_enough(tmp_path: Path, left_out: str) -> None:
    words = list(STATEMENT)
    at = words.index(left_out)
    del words[at : at + (1 if left_out in ("--force", "radio") else 2)]
    config, told = prepare(tmp_path), Told([role()])
    with daemon(tmp_path, told.verbs):
        result = run(promote, "--config", config, *words)
    assert result.exit_code == 3
    assert told.ordered == []
    assert COMMAND in result.stdout
    assert ("GROUP" if left_out == "radio" else left_out) in str(result.exception)


def test_the_whole_command_shows_each_step_until_the_node_serves(tmp_path: Path) -> None:
    looks: list[dict[str, Any]] = [
        {"over": False, "steps": ["forced", "forbid-receive"]},
        {"over": False, "steps": ["mount"], "waits_for": "It is taking over."},
        {"over": True, "steps": ["promoted"]},
    ]
    starting = serving(services={"player": "changing"}, address="absent", step="start-services")
    files = ["/srv/audio", "/srv/db"]
    there = serving(services={"player": "running"}, address="here", mountpoints=files)
    config = prepare(tmp_path)
    told = Told([role(), starting, starting, there], looks)
    with daemon(tmp_path, told.verbs):
        result = run(promote, "--config", config, *STATEMENT)
    assert result.exit_code == 0, result.output
    assert told.ordered[0]["statement"] == {
        "group": "radio",
        "on": "beta",
        "fenced": "alpha",
        "accepted": "2026-11-21T09:14:23Z",
        "receipts_aside": False,
    }
    lines = [line.partition(" s  ")[2] for line in result.stderr.splitlines()]
    assert lines[0].startswith("A person has stated what may be lost")
    assert "the datasets are mounted" in lines
    assert "… It is taking over." in lines
    assert "services are started" in lines
    assert result.stdout.startswith("beta is the primary of radio (epoch 2-ab12cd34), after ")
    assert "The files are in /srv/audio, /srv/db." in result.stdout
    assert "Running: player. The address is on beta." in result.stdout


def test_an_address_that_another_machine_has_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role_orders, "PATIENCE_SECONDS", 0.3)
    config, told = prepare(tmp_path), Told([role(), serving(address="absent")])
    with daemon(tmp_path, told.verbs):
        result = run(promote, "--config", config, "--timeout", "1", *STATEMENT)
    assert result.exit_code == 4
    assert result.stderr.count("another machine may still have it") == 1


def test_json_has_the_steps_and_the_role(tmp_path: Path) -> None:
    config, told = prepare(tmp_path), Told([role(), serving()], [{"steps": ["mount"]}])
    with daemon(tmp_path, told.verbs):
        result = run(promote, "--config", config, "--json", *STATEMENT)
    said = json.loads(result.stdout)
    assert (said["format"], said["group"], said["steps"][0]["step"]) == (1, "radio", "mount")
    assert said["role"]["state"] == "primary-alone"
    assert result.stderr == ""


def test_a_stale_bound_prints_the_report_of_now(tmp_path: Path) -> None:
    stale = Refused("loss-bound-stale", "The bound is not the one of now.", "Read it again.")
    config, told = prepare(tmp_path), Told([role()], refused=stale)
    with daemon(tmp_path, told.verbs):
        result = run(promote, "--config", config, *STATEMENT)
    assert result.exit_code == 3
    assert COMMAND in result.stdout


def test_a_service_that_failed_leaves_a_primary_and_exit_5(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    told = Told([role(), serving(services={"player": "failed", "db": "running"})])
    with daemon(tmp_path, told.verbs):
        result = run(promote, "--config", config, *STATEMENT)
    assert result.exit_code == 5
    assert "its datasets are open. Does not run: player (failed)." in str(result.exception)


def test_what_a_person_must_mend_ends_it_and_what_passes_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role_orders, "PATIENCE_SECONDS", 0.1)
    passing = {"over": False, "error": failure(Passing("busy", "It is busy.", ""))}
    keyless = {"over": False, "error": failure(Standing("key-missing", "No key.", "Load it."))}
    config = prepare(tmp_path)
    told = Told([role()], [passing, passing, keyless, keyless, keyless])
    with daemon(tmp_path, told.verbs):
        result = run(promote, "--config", config, *STATEMENT)
    assert result.exit_code == 5
    assert "No key. Load it. It goes on by itself then" in str(result.exception)
    assert result.stderr.count("It is busy.") == 1


def test_the_deadline_says_how_far_it_is(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    told = Told([role(), role(state="promoting")], [{"over": False, "steps": ["mount"]}] * 100)
    with daemon(tmp_path, told.verbs):
        result = run(promote, "--config", config, "--timeout", "1", *STATEMENT)
    assert result.exit_code == 4
    assert "radio on beta is promoting. The last step: the datasets are mounted." in str(
        result.exception
    )


def test_ctrl_c_leaves_it_running_and_says_how_it_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: role_orders.Following, ident: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(role_orders.Following, "_look", interrupted)
    config, told = prepare(tmp_path), Told([role(here="alpha", peer="beta", state="primary")])
    with daemon(tmp_path, told.verbs):
        result = run(switchover, "--config", config)
    assert result.exit_code == 130
    assert "goes on without this command" in result.stderr
    assert "zr switchover radio --abort" in result.stderr


def test_the_first_epoch_and_going_on_alone_are_orders_of_their_own(tmp_path: Path) -> None:
    shown = [role(state="init"), serving(), serving(), role(state="unknown"), serving()]
    config, told = prepare(tmp_path), Told(shown)
    with daemon(tmp_path, told.verbs):
        assert run(promote, "--config", config, "--first").exit_code == 0
        assert run(promote, "--config", config, "--peer-is-down").exit_code == 0
        assert run(promote, "--config", config, "--first", "--force").exit_code == 2
    assert [order["order"] for order in told.ordered] == ["begin", "continue"]


def test_the_first_epoch_is_begun_where_the_data_are(tmp_path: Path) -> None:
    config, policy = prepare(tmp_path), tmp_path / "policies" / "station.toml"
    policy.write_text(policy.read_text().replace("Europe/Berlin", "Asia/Tokyo"))
    station = {"group": "station", "name": "station/tank"}
    told = Told([role(state="init", **station), role(**station)])
    with daemon(tmp_path, told.verbs):
        result = run(promote, "--config", config, "--first")
        report = run(promote, "--config", config, "--force")
    assert (result.exit_code, told.ordered) == (3, [])
    assert "Type it on alpha." in str(result.exception)
    assert "By the clock in Asia/Tokyo that is 2026-11-21 18:14:23." in report.stdout


def test_an_order_that_a_restart_has_forgotten_is_found_by_looking(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    told = Told([role(), role(state="unknown"), role(state="promoting"), serving()])

    def forgotten(group: str, id: int) -> None:
        raise Refused("no-order", "The daemon does not know of this order.", "It was restarted.")

    with daemon(tmp_path, told.verbs | {"role_look": forgotten}):
        result = run(promote, "--config", config, *STATEMENT)
    assert result.exit_code == 0, result.output
    assert "The daemon was restarted." in result.stderr


def alpha(state: str, **changed: Any) -> dict[str, Any]:
    return role(here="alpha", peer="beta", state=state, **changed)


def test_a_switchover_ends_when_the_other_node_serves(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    shown = [
        alpha("primary", peer_state="standby"),
        alpha("demoted", peer_state="promoting"),
        alpha("standby", peer_state="primary", epoch="2-ab12cd34"),
    ]
    told = Told(shown, [{"steps": ["switchover", "stop-services", "hand-over"]}])
    with daemon(tmp_path, told.verbs):
        result = run(switchover, "--config", config)
    assert result.exit_code == 0, result.output
    assert "it only goes forward from here, as it should" in result.stderr
    assert result.stdout.startswith("beta is the primary of radio now (epoch 2-ab12cd34)")


def test_a_switchover_waits_for_the_services_and_the_address_of_the_other_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role_orders, "PATIENCE_SECONDS", 0.0)
    config = prepare(tmp_path)
    there: dict[str, Any] = {"peer_state": "primary", "peer_address": "absent"}
    starting = alpha("standby", **there, peer_services={"player": "changing"})
    waiting = alpha("standby", **there, peer_services={"player": "running"})
    up = waiting | {"peer_address": "here"}
    told = Told([alpha("primary"), starting, starting, waiting, up])
    with daemon(tmp_path, told.verbs):
        result = run(switchover, "--config", config)
    assert result.exit_code == 0, result.output
    assert "… Does not run: player (changing)." in result.stderr
    assert "… The group's address is not on beta yet" in result.stderr
    assert "alpha follows. Running: player. The address is on beta. Nothing was lost." in (
        result.stdout
    )


def test_a_switchover_shows_why_the_other_node_does_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role_orders, "PATIENCE_SECONDS", 0.0)
    waits = alpha("standby", peer_state="promoting", peer_trouble="No key of back/secret.")
    up = alpha("standby", peer_state="primary", peer_trouble=None)
    config, told = prepare(tmp_path), Told([alpha("primary"), waits, waits, up])
    with daemon(tmp_path, told.verbs):
        result = run(switchover, "--config", config)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("… beta says: No key of back/secret.") == 1


def test_a_switchover_to_a_service_that_failed_there_is_exit_5(tmp_path: Path) -> None:
    failed = alpha("standby", peer_state="primary", peer_services={"player": "failed"})
    config, told = prepare(tmp_path), Told([alpha("primary"), failed])
    with daemon(tmp_path, told.verbs):
        result = run(switchover, "--config", config)
    assert (result.exit_code, result.stdout) == (5, "")
    assert "beta is the primary of radio, and its datasets are open. Does not run: player" in str(
        result.exception
    )


def test_a_switchover_that_runs_is_shown_not_ordered_again(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    told = Told([alpha("draining"), alpha("standby", peer_state="primary-alone")])
    with daemon(tmp_path, told.verbs):
        result = run(switchover, "--config", config)
    assert (result.exit_code, told.ordered) == (0, [])
    assert "runs already" in result.stderr


def test_a_switchover_that_was_given_up_is_no_success(tmp_path: Path) -> None:
    config, told = prepare(tmp_path), Told([alpha("primary")])
    with daemon(tmp_path, told.verbs):
        result = run(switchover, "--config", config)
    assert result.exit_code == 4
    assert "nothing was lost" in str(result.exception)


PLAN: dict[str, Any] = {
    "verdict": "possible",
    "services": ["postgresql", "player"],
    "address": "10.0.0.50",
    "holders": [{"pid": 4711, "command": "rsync", "dataset": "tank/audio", "how": ["fd"]}],
    "datasets": ["tank/audio", "tank/db"],
    "behind": {"tank/audio": 4},
}


def test_no_switchover_is_ordered_by_a_shell_that_it_would_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, inside = prepare(tmp_path), tmp_path / "audio" / "talks"
    inside.mkdir(parents=True)
    serves = alpha("primary", mountpoints=[str(tmp_path / "audio")])
    monkeypatch.chdir(inside)
    for shown, reason, ordered in (
        (serves, "working-directory", 0),
        (serves | {"mountpoints": [str(tmp_path / "aud")]}, "switchover-failed", 1),
    ):
        told = Told([shown])
        with daemon(tmp_path, told.verbs):
            result = run(switchover, "--config", config)
        assert isinstance(result.exception, ZrError)
        assert (result.exception.reason, len(told.ordered)) == (reason, ordered)
    with daemon(tmp_path, Told([serves]).verbs | {"role_plan": lambda group: PLAN}):
        result = run(switchover, "--config", config, "--dry-run")
    assert result.exit_code == 0
    *_, head, said = result.stdout.splitlines()
    assert (head, said.startswith(f"  Your shell stands in {inside}, ")) == (
        "To look at before:",
        True,
    )
    assert said.endswith("`cd /`, then type it again.")


def test_the_dry_run_lists_what_would_be_stopped(tmp_path: Path) -> None:
    config, told = prepare(tmp_path), Told([alpha("primary")])
    with daemon(tmp_path, told.verbs | {"role_plan": lambda group: PLAN}):
        result = run(switchover, "--config", config, "--dry-run")
    assert (result.exit_code, told.ordered) == (0, [])
    assert "stop here, in this order: player, postgresql" in result.stdout
    assert "rsync (pid 4711) in tank/audio: fd" in result.stdout
    assert "beta is behind with 1 dataset, at most 4 s" in result.stdout
    assert result.stdout.splitlines()[-1] == "Nothing is in the way."


def test_the_dry_run_ends_with_what_is_in_the_way(tmp_path: Path) -> None:
    behind = failure(Passing("standby-behind", "beta is too far behind.", "Wait."))
    config, told = prepare(tmp_path), Told([alpha("primary")])
    plan = PLAN | {"verdict": behind}
    with daemon(tmp_path, told.verbs | {"role_plan": lambda group: plan}):
        result = run(switchover, "--config", config, "--dry-run")
    assert result.exit_code == 4
    assert "Nothing is in the way" not in result.stdout


def test_rejoin_names_the_rescue(tmp_path: Path) -> None:
    rescue = {"label": "1-9f3a21cc-0b51e2aa", "members": ["tank/audio"], "bytes": 7,
              "shipped": False, "of": "alpha"}  # fmt: skip
    config = prepare(tmp_path)
    shown = [alpha("unknown"), alpha("unknown"), alpha("diverged")]
    told = Told([*shown, alpha("catching-up", rescues=[rescue])])
    with daemon(tmp_path, told.verbs | {"rescue_list": lambda group: [rescue]}):
        result = run(rejoin, "--config", config)
        again = run(rejoin, "--config", config)
    assert result.exit_code == again.exit_code == 0, result.output
    assert [order["order"] for order in told.ordered] == ["rejoin"]
    assert "kept in 1 rescue: zr rescue list radio" in result.stdout
    assert "It is catching up: wait until `zr status` here says" in result.stdout


def test_a_blocked_rejoin_is_a_persons_matter(tmp_path: Path) -> None:
    blocked = {"reason": "rescue-key", "sentence": "A key is outside.", "way_out": "Change it."}
    config, told = prepare(tmp_path), Told([alpha("rescuing", blocked=blocked)])
    with daemon(tmp_path, told.verbs):
        result = run(rejoin, "--config", config)
    assert (result.exit_code, told.ordered) == (5, [])


def test_resolve_is_typed_on_the_node_that_is_kept(tmp_path: Path) -> None:
    config, told = prepare(tmp_path), Told([role(state="split")] * 3 + [serving()])
    with daemon(tmp_path, told.verbs):
        assert run(resolve, "--config", config, "--keep", "alpha").exit_code == 3
        assert run(resolve, "--config", config, "--keep", "gamma").exit_code == 3
        assert told.ordered == []
        result = run(resolve, "--config", config, "--keep", "beta", "radio")
    assert (result.exit_code, told.ordered[0]["order"]) == (0, "resolve")


def test_without_a_group_that_has_roles_it_says_how_one_gets_them(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    with daemon(tmp_path, {"role_show": list}):
        result = run(promote, "--config", config)
    assert result.exit_code == 3
    assert "[roles.POLICY]" in str(result.exception)


def test_of_several_groups_one_must_be_named(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    two = [role(), role(group="tv", name="tv/tank")]
    with daemon(tmp_path, Told([role()]).verbs | {"role_show": lambda: two}):
        assert run(promote, "--config", config).exit_code == 2
        assert run(promote, "--config", config, "radios").exit_code == 3
