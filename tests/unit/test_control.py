"""The control socket: answers, failures that arrive as themselves, and calls that make no sense."""

import json
import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zrepl_py.adapters.control import ControlServer, call
from zrepl_py.errors import Refused, Standing


def refuse() -> None:
    raise Refused("no-policy", "There is no such policy.", "Known: station.")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "control.sock"
    server = ControlServer(made, {"echo": lambda **given: given, "refuse": refuse})
    yield made
    server.close()


def test_answers(path: Path) -> None:
    assert call(path, "echo", a=1, b="ü") == {"a": 1, "b": "ü"}


def test_a_failure_arrives_as_itself(path: Path) -> None:
    with pytest.raises(Refused) as failed:
        call(path, "refuse")
    assert (failed.value.reason, failed.value.remedy) == ("no-policy", "Known: station.")


@pytest.mark.parametrize(
    "line", [b"", b"no json\n", b"[]\n", b"{}\n", b'{"format": 2, "verb": "echo"}\n', b"\xff\n"]
)
def test_nonsense_is_refused_and_the_server_lives(path: Path, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(10)
        caller.connect(str(path))
        caller.sendall(line)
        caller.shutdown(socket.SHUT_WR)
        answer: dict[str, Any] = json.loads(caller.makefile("rb").readline())
    assert answer["failure"]["reason"] == "bad-call"
    assert call(path, "echo") == {}


def test_unknown_verbs_and_arguments_are_refused(path: Path) -> None:
    with pytest.raises(Refused, match="no verb"):
        call(path, "destroy")
    with pytest.raises(Refused):
        call(path, "refuse", surprise=1)


def test_without_a_daemon_the_remedy_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Standing) as failed:
        call(tmp_path / "nobody.sock", "status")
    assert failed.value.reason == "daemon-silent"
    assert "systemctl start zr" in failed.value.remedy


def test_who_asks_is_told_before_it_is_done(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    made = tmp_path / "control.sock"
    server = ControlServer(made, {"echo": dict}, lambda verb, user: heard.append((verb, user)))
    call(made, "echo")
    with pytest.raises(Refused):
        call(made, "destroy")
    server.close()
    assert heard == [("echo", pwd.getpwuid(os.geteuid()).pw_name)]


def test_a_closed_server_hears_nobody_any_more(tmp_path: Path) -> None:
    """Its descriptor's number may be the next server's, whose callers it must not take."""
    server = ControlServer(tmp_path / "s", {})
    server.close()
    assert not server._accepting.is_alive()
