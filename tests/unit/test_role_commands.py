"""The commands of the roles against the daemon's own verbs: two daemons over machines in memory."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import pytest
from click.testing import Result

from zrepl_py.cli.promote import promote
from zrepl_py.cli.rejoin import rejoin
from zrepl_py.cli.rescue import rescue
from zrepl_py.cli.switchover import switchover
from zrepl_py.errors import ZrError

from .cli_support import daemon, prepare, run
from .role_daemon_support import CLOCK, Daemon, Pair

pytestmark = pytest.mark.long

LIMIT = ("--timeout", "40")


def typed(pair: Pair, on: Daemon, here: Path, command: click.Command, *words: str) -> Result:
    """Run it at `on`'s control socket, while both daemons work."""
    folder = here / on.machine.here.name
    config = str(folder / "zr.toml")
    if not folder.exists():
        folder.mkdir()
        config = prepare(folder)
    with daemon(folder, on.verbs), ThreadPoolExecutor(1) as pool:
        done = pool.submit(run, command, *words, "--config", config)
        while not done.done():
            for each in (pair.alpha, pair.beta):
                each.send()
            CLOCK.sleep(0.05)
        return done.result()


def serves(result: Result, node: str) -> None:
    assert result.exit_code == 0, (result.output, result.exception)
    assert f"{node} is the primary of radio" in result.stdout


def test_from_the_first_epoch_to_a_death_and_the_return(tmp_path: Path) -> None:
    with Pair() as pair:
        alpha, beta = pair.alpha, pair.beta
        alpha.tick()
        pair.until(pair.both_looked)
        serves(typed(pair, alpha, tmp_path, promote, "--first", *LIMIT), "alpha")

        assert typed(pair, beta, tmp_path, switchover, "--dry-run").stdout == ""
        dry = typed(pair, alpha, tmp_path, switchover, "--dry-run")
        assert dry.exit_code == 0, (dry.output, dry.exception)
        assert "stop here, in this order: studio" in dry.stdout
        there = typed(pair, alpha, tmp_path, switchover, *LIMIT)
        serves(there, "beta")
        assert "the final snapshots are taken" in there.stderr
        there_now = "Running: studio. The address 192.0.2.10 is on beta. The files are in /tank/"
        assert there_now in there.stdout
        assert "it only goes forward from here, as it should" in there.stderr
        assert typed(pair, alpha, tmp_path, switchover).exit_code == 3
        serves(typed(pair, beta, tmp_path, switchover, *LIMIT), "alpha")

        alive = typed(pair, beta, tmp_path, promote)
        assert alive.exit_code == 3
        assert isinstance(alive.exception, ZrError)
        assert (alive.exception.reason, alive.stdout) == ("peer-alive", "")

        alpha.machine.write()
        alpha.stop()
        alpha.up = False
        alpha.machine.lose_power()
        report = typed(pair, beta, tmp_path, promote)
        assert report.exit_code == 3
        found = re.search(r"^    zr promote (.*)$", report.stdout, re.MULTILINE)
        assert found, report.output
        wrong = found[1].replace("--i-fenced alpha", "--i-fenced gamma").split()
        assert typed(pair, beta, tmp_path, promote, *wrong).exit_code == 3
        taken = typed(pair, beta, tmp_path, promote, *found[1].split(), *LIMIT)
        serves(taken, "beta")
        assert there_now in taken.stdout
        assert "the datasets are mounted" in taken.stderr
        twice = typed(pair, beta, tmp_path, promote, *found[1].split())
        assert (twice.exit_code, twice.stdout) == (3, "")
        assert "already the primary" in str(twice.exception)

        alpha.up = True
        alpha.restart(machine_boot="2")
        back = typed(pair, alpha, tmp_path, rejoin, *LIMIT)
        assert back.exit_code == 0, (back.output, back.exception)
        assert "What only it had is kept in 1 rescue" in back.stdout
        listed = typed(pair, alpha, tmp_path, rescue, "list", "--json")
        (kept,) = json.loads(listed.stdout)["rescues"]
        assert (kept["of"], len(kept["members"])) == ("alpha", 3)
        pair.site.check_nothing_lost()
        dropped = typed(pair, alpha, tmp_path, rescue, "drop", "--yes", kept["label"])
        assert dropped.exit_code == 0, (dropped.output, dropped.exception)
        listed = typed(pair, alpha, tmp_path, rescue, "list")
        assert listed.stdout == "There is no rescue on this node.\n"
        pair.site.check_nothing_lost()


def test_what_is_not_needed_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with Pair() as pair:
        pair.found()
        result = typed(pair, pair.alpha, tmp_path, rejoin, "radio")
        assert result.exit_code == 3
        assert isinstance(result.exception, ZrError)
        assert result.exception.remedy


def test_rescues_are_listed_as_the_daemon_sees_them(tmp_path: Path) -> None:
    with Pair() as pair:
        pair.found()
        result = typed(pair, pair.alpha, tmp_path, rescue, "list", "--json")
        assert json.loads(result.stdout) == {"format": 1, "rescues": []}
