"""Wrong words on the command line, and Ctrl-C at any moment: one sentence, a documented exit code.

What needs a pool is in tests/lab/test_bad_input.py.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from zrepl_py.adapters.eventfiles import DIRECTORY
from zrepl_py.adapters.events import find_segments
from zrepl_py.cli.commands import zr
from zrepl_py.cli.main import main

from .cli_support import daemon, lane, prepare, status

COMMANDS = sorted(zr.commands)
ASKING = ["status", "snapshot", "replicate", "reload", "sync", "events", "doctor"]
"""Those that only ask or look: they may be run here, whoever runs the tests."""


def zr_says(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code, and what was said on standard error."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return int(ended.value.code or 0), said.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("words", [["--no-such-option"], ["--config"]])
def test_a_wrong_option_is_exit_2(
    command: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = zr_says(capsys, command, *words)
    assert code == 2
    assert "Error: " in said


@pytest.mark.parametrize("words", [["statsu"], ["policy", "chekc"], ["completion", "tcsh"], ["-x"]])
def test_a_wrong_command_is_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, said = zr_says(capsys, *words)
    assert code == 2
    assert "Error:" in said


@pytest.mark.parametrize(
    "words",
    [
        ["replicate", "--timeout", "0"],
        ["replicate", "--timeout", "-5"],
        ["replicate", "--timeout", "soon"],
        ["snapshot", "--timeout", "99999999999999999999"],
        ["snapshot", "one", "two"],
        ["events", "--lines", "-1"],
        ["events", "--event", "no-such-event"],
        ["status", "surplus"],
        ["policy", "explain"],
        ["policy", "explain", "a", "b"],
        ["doctor", "surplus"],
    ],
)
def test_wrong_values_are_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert zr_says(capsys, *words)[0] == 2


@pytest.mark.parametrize("command", ASKING)
def test_without_a_configuration_it_says_what_to_run(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if command == "doctor":
        return  # it is a finding there
    code, said = zr_says(capsys, command, "--config", str(tmp_path / "zr.toml"))
    assert code == 5
    assert said.startswith("zr: ")
    assert "zr init" in said


@pytest.mark.parametrize(
    "content", ["", "format = 99\n", "[[[", "format = 1\n[node]\nname = 3\n", "\x00", "format = 1"]
)
def test_a_broken_configuration_is_named(
    content: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "zr.toml"
    path.write_text(content)
    for command in ("status", "events"):
        code, said = zr_says(capsys, command, "--config", str(path))
        assert code == 5
        assert str(path) in said


@pytest.mark.parametrize("command", ["status", "snapshot", "replicate", "reload"])
def test_without_a_daemon_it_says_how_to_start_it(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, said = zr_says(capsys, command, "--config", prepare(tmp_path))
    assert code == 5
    assert "systemctl start zr" in said
    assert "Errno" not in said


def test_what_is_not_a_text_is_no_fault(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = prepare(tmp_path)
    odd = os.fsdecode(b"tank/\xff\xfe")
    code, _ = zr_says(capsys, "policy", "explain", "--config", config, odd)
    assert code == 3


def test_an_installation_that_is_not_whole_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zrepl_py.cli.commands", None)
    code, said = zr_says(capsys, "status")
    assert code == 70
    assert "not installed whole" in said


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if isinstance(zr.commands[c], click.Group)]
)
def test_a_group_alone_shows_its_commands(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = zr_says(capsys, command)
    assert code == 2
    assert "Commands:" in said


# --- Ctrl-C


def interrupted(
    config: str, words: list[str], after_seconds: float
) -> subprocess.CompletedProcess[str]:
    script = "import sys; from zrepl_py.cli.main import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *words, "--config", config],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    try:
        time.sleep(after_seconds)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.mark.parametrize(
    "words",
    [["status", "--watch"], ["replicate"], ["events", "--follow"]],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("after_seconds", [0.35, pytest.param(2.5, marks=pytest.mark.long)])
def test_ctrl_c_is_exit_130_and_one_line(
    words: list[str], after_seconds: float, tmp_path: Path
) -> None:
    config = prepare(tmp_path)
    (tmp_path / "state" / DIRECTORY).mkdir()
    assert not find_segments(tmp_path / "state" / DIRECTORY)
    late = lane(state="behind", in_sync=False, committed=None, lag_seconds=3)
    with daemon(tmp_path, {"status": lambda: status([late]), "replicate": lambda: None}):
        ended = interrupted(config, words, after_seconds)
    assert ended.returncode == 130, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line and "→" not in line]
    assert lines == ["zr: interrupted; nothing was left half-done."]
