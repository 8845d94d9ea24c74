"""Small durable files: atomic writes, limits, the node's state, clocks and deadlines."""

import json
import os
from pathlib import Path

import pytest

from zrepl_py.adapters.clock import Deadline, MachineClock
from zrepl_py.adapters.files import Lock, ensure_directory, read_limited, write_atomically
from zrepl_py.adapters.state import NodeState, load_state, store_state
from zrepl_py.errors import Corrupt, Refused, Standing, ZrError
from zrepl_py.model.site import Node

STATE = NodeState(Node("6f0d7c3e-2a0b-5c55-9d3c-7a7265706c79", "alpha"), "0-9f3a21cc")


def test_a_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for content, mode in ((b"one", 0o600), (b"", 0o644), (b"x" * 100_000, 0o600)):
        write_atomically(str(path), content, mode=mode)
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == mode
    assert os.listdir(tmp_path) == ["f"]


def test_a_write_that_fails_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    write_atomically(str(path), b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _fd: (_ for _ in ()).throw(OSError(5, "broken")))
        with pytest.raises(Corrupt):
            write_atomically(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]
    with pytest.raises(Standing):
        write_atomically(str(tmp_path / "missing" / "f"), b"x")


def test_reading_has_a_limit_and_follows_no_link(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert read_limited(str(path), 5) == b"12345"
    with pytest.raises(Corrupt) as caught:
        read_limited(str(path), 4)
    assert caught.value.reason == "file-too-large"
    assert read_limited(str(tmp_path / "none"), 5) is None
    (tmp_path / "link").symlink_to(path)
    for bad in ("link", "."):
        with pytest.raises(ZrError):
            read_limited(str(tmp_path / bad), 5)


def test_directories_are_made_and_locks_are_exclusive(tmp_path: Path) -> None:
    ensure_directory(str(tmp_path / "a" / "b"), 0o750)
    ensure_directory(str(tmp_path / "a" / "b"), 0o700)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o750
    path = str(tmp_path / "lock")
    with Lock(path, "It"), pytest.raises(Refused, match=f"pid {os.getpid()}"):
        Lock(path, "It")
    Lock(path, "It").close()
    os.symlink(path, tmp_path / "link")
    with pytest.raises(Standing):
        Lock(str(tmp_path / "link"), "It")


def test_the_state_comes_back(tmp_path: Path) -> None:
    path = str(tmp_path / "state.json")
    assert load_state(path) is None
    store_state(path, STATE)
    assert load_state(path) == STATE
    written = json.loads(Path(path).read_text())
    assert written["format"] == 1
    assert written["epoch"] == "0-9f3a21cc"


def written_state(**changes: object) -> str:
    node = {"type": "Node", "uuid": STATE.node.uuid, "name": "alpha"}
    return json.dumps({"format": 1, "node": node, "epoch": "0-9f3a21cc", **changes})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "7",
        "{",
        "{}",
        written_state(format="1"),
        written_state(epoch="x"),
        written_state(epoch=None),
        written_state(extra=1),
        written_state(node={"type": "Node", "uuid": "x", "name": "alpha"}),
        "\x00" * 100,
    ],
)
def test_a_damaged_state_is_kept_and_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)
    with pytest.raises(Corrupt) as caught:
        load_state(str(path))
    assert caught.value.reason == "state-damaged"
    assert path.read_text() == content


def test_a_newer_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"format": 2, "whatever": 1}))
    with pytest.raises(Refused) as caught:
        load_state(str(path))
    assert caught.value.reason == "newer-format"


def test_deadlines() -> None:
    clock = MachineClock()
    assert Deadline(clock, None).never
    assert Deadline(clock, None).remaining_seconds() is None
    assert not Deadline(clock, None).expired()
    soon = Deadline(clock, 0.02)
    assert not soon.expired()
    clock.sleep(0.03)
    clock.sleep(-1)
    assert soon.expired()
    assert abs(clock.now() - clock.now()) < 1
