"""What `zr status` shows of the daemon's answer, and how it is shown again and again."""

import json
from pathlib import Path

import pytest

from zrepl_py.cli.status import render_status, show
from zrepl_py.cli.status import status as command

from .cli_support import daemon, group, lane, prepare, run, status


def test_the_sentence_comes_first_then_each_dataset(tmp_path: Path) -> None:
    lanes = [lane(), lane("tank/b", state="behind", in_sync=False, lag_seconds=4000)]
    config = prepare(tmp_path)
    with daemon(tmp_path, {"status": lambda: status(lanes)}):
        result = run(command, "--config", config)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == "If this node died now, nothing would be lost."
    assert lines[2].split("  ")[0] == "DATASET"
    assert "LAST SNAPSHOT (Europe/Berlin)" in lines[2]
    assert "tank/audio  2026-11-21 10:13:42" in lines[3]
    assert lines[3].split()[-3:] == ["in", "sync", "unproven"]
    assert "1 h 6 min behind" in lines[4]


def test_json_is_the_daemons_answer(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    with daemon(tmp_path, {"status": lambda: status([lane()])}):
        result = run(command, "--config", config, "--json")
    assert json.loads(result.stdout) == status([lane()])


def test_troubles_and_datasets_without_a_target_are_said() -> None:
    shown = render_status(
        status(
            [lane(conflict="both sides were written", state="conflict", in_sync=False)],
            [
                group(
                    missing=["tank/nowhere"],
                    refused={"tank/long": "its name is too long"},
                    error={"kind": "Passing", "reason": "low-space", "message": "No room."},
                )
            ],
            unsent=["tank/alone"],
        )
    )
    assert "Policy station names tank/nowhere, which does not exist." in shown
    assert "tank/long is NOT protected: its name is too long" in shown
    assert "No snapshots of station/tank now: No room." in shown
    assert "tank/audio → beta: both sides were written" in shown
    assert "tank/alone" in shown


def test_a_target_shows_its_replicas() -> None:
    kept = {
        "dataset": "tank/audio",
        "source": "alpha",
        "replica": "back/zr/alpha/tank/audio",
        "newest": None,
        "proof": None,
    }
    shown = render_status(status([], [], replicas=[kept]))
    assert "REPLICA OF" in shown
    assert "unproven" in shown


def test_a_redraw_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", "6")
    show("\n".join("x" * 30 for _ in range(5)), live=True)
    drawn = capsys.readouterr().out
    assert drawn.startswith("\033[H")
    lines = drawn.removeprefix("\033[H").removesuffix("\033[J").splitlines()
    assert len(lines) == 5
    assert "6 more lines" in lines[-1]


def test_without_a_terminal_it_is_printed_again_whole(capsys: pytest.CaptureFixture[str]) -> None:
    show("one\ntwo", live=False)
    assert capsys.readouterr().out == "one\ntwo\n\n"
