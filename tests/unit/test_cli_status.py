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
    assert lines[3].split()[-3:] == ["beta", "in", "sync"]
    assert "1 h 6 min behind" in lines[4]
    assert result.stdout.count("unproven") == 1


def test_proofs_have_a_column_once_there_is_one() -> None:
    proof = {"verdict": "equal", "restored_seconds": 90, "compared_seconds": 90}
    shown = render_status(status([lane(proof=proof), lane("tank/b")]))
    lines = shown.splitlines()
    assert lines[2].endswith("LAST PROOF")
    assert lines[3].endswith("restored 1 min 30 s ago")
    assert lines[4].endswith("unproven")
    assert "All these copies" not in shown


def test_json_is_the_daemons_answer(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    with daemon(tmp_path, {"status": lambda: status([lane()])}):
        result = run(command, "--config", config, "--json")
    assert json.loads(result.stdout) == status([lane()])


def test_an_open_question_is_one_line_with_the_command_that_answers_it() -> None:
    allow = "zr retention apply tank/audio --plan 1f0c9a7be2d4"
    question = {
        "dataset": "tank/audio",
        "reason": "clock",
        "message": "The clock was set back 5h before zr_1.",
        "snapshots": 163,
        "plan": "1f0c9a7be2d4",
        "allow": allow,
    }
    shown = render_status(status([lane()]) | {"questions": [question]})
    (line,) = (line for line in shown.splitlines() if "asks" in line)
    assert "163 snapshots of tank/audio" in line
    assert "set back 5h" in line
    assert line.endswith(allow)
    assert "asks" not in render_status(status([lane()]) | {"questions": []})


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


def test_what_waits_and_what_is_thinned_is_said_once() -> None:
    room = {"state": "soon", "message": "90 snapshots wait for beta. Pool tank has 17 % free."}
    groups = [group(room=room), group(room=room), group(room=None), group(room={"message": None})]
    shown = render_status(status([lane()], groups))
    assert shown.count("90 snapshots wait for beta. Pool tank has 17 % free.") == 1


def test_a_target_shows_its_replicas() -> None:
    kept = {
        "dataset": "tank/audio",
        "source": "alpha",
        "replica": "back/zr/alpha/tank/audio",
        "newest": None,
        "proof": None,
        "refused": {"kind": "Passing", "reason": "low-space", "message": "No room."},
    }
    source = {
        "source": "alpha",
        "state": "silent",
        "heard_at": "2026-11-21T10:00:01+00:00",
        "silent_seconds": 300,
        "arrived_at": "2026-11-21T09:59:58+00:00",
        "arrived_seconds": 303,
    }
    shown = render_status(status([], [], replicas=[kept], sources=[source]))
    assert "REPLICA OF" in shown
    assert "unproven" in shown
    row = next(line for line in shown.splitlines() if line.startswith("alpha   2026"))
    times = ["2026-11-21 10:00:01", "2026-11-21 09:59:58"]
    assert row.split(maxsplit=1)[1].split("  ") == [*times, "silent for 5 min"]
    assert "tank/audio of alpha: the last stream was not received: No room." in shown


SILENT = {
    "target": "beta",
    "state": "silent",
    "heard_at": "2026-11-21T09:02:13+00:00",
    "silent_seconds": 14,
    "error": {"kind": "Passing", "reason": "peer-silent", "message": "No route to host."},
}


def test_a_silent_target_is_said_once_since_when_and_why() -> None:
    silence = {"kind": "Passing", "reason": "peer-silent", "message": "It was silent for 60 s."}
    lanes = [lane(f"tank/{n}", error=silence, failures=3) for n in range(30)]
    other = {"kind": "Standing", "reason": "zfs", "message": "Something else."}
    lanes += [lane(f"tank/x{n}", error=other, failures=3) for n in range(5)]
    shown = render_status(status(lanes, targets=[SILENT]))
    assert "beta has not answered since 2026-11-21 10:02:13: No route to host. Is it on" in shown
    assert "silent for 60 s" not in shown
    assert shown.count("Something else.") == 1
    assert "tank/x0, tank/x1, tank/x2 and 2 more → beta: Something else." in shown


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
