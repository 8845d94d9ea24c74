"""Daemon and worker over a real socket: outcomes, errors, streams, deadlines, rights, counters."""

import contextlib
import json
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.unit.worker_support import (
    BIG,
    SmallZfs,
    open_descriptors,
    proxy,
    raw_connection,
    running,
)
from zrepl_py.adapters.worker import WorkerZfs
from zrepl_py.adapters.worker.client import Patience
from zrepl_py.adapters.worker.verbs import WorkerKind
from zrepl_py.errors import Bug, Passing, Refused, Standing
from zrepl_py.events import Event
from zrepl_py.ports.journal import Json
from zrepl_py.ports.zfs import ZfsPort


def exchange(path: Path, body: object) -> dict[str, object]:
    """One hand-made message and its answer."""
    with raw_connection(path) as sock:
        content = json.dumps(body).encode()
        sock.sendall(struct.pack(">I", len(content)) + content)
        (size,) = struct.unpack(">I", sock.recv(4))
        answer: dict[str, object] = json.loads(sock.recv(size))
        return answer


def test_every_verb_says_the_same_through_the_socket(tmp_path: Path) -> None:
    near, far = SmallZfs(), SmallZfs()
    with running(tmp_path, far):
        remote = proxy(tmp_path)
        ports: list[ZfsPort] = [near, remote]
        for verb, args in {
            "observe_versions": (),
            "observe_pool": ("tank",),
            "observe_datasets": ("tank/a",),
            "observe_history": ("tank/a",),
            "observe_snapshot": ("tank/a@gone",),
            "observe_resume": ("tank/partial",),
            "observe_holds": (("tank/a@s", "tank/b@s"),),
            "observe_dependents": (("tank/a@s", "tank/b@s"),),
            "observe_properties": ("tank",),
            "observe_origin": ("tank/clone",),
            "snapshot_changed": ({"tank/a": None, "tank/b": "zr_1"}, "zr_2"),
            "hold": (["tank/a@s"], "zr_base_1"),
            "release": (["tank/a@s"], "zr_base_1"),
            "bookmark": ("tank/a@s", "tank/a#b"),
            "destroy_snapshots": ({"tank/a@zr_1": BIG},),
            "destroy_bookmarks": ({"tank/a#zr_1": 7},),
            "abort_receive": ("tank/a", BIG),
            "create_placeholder": ("tank/a",),
            "set_user_properties": (["tank/a", "tank/b"], {"zr:x": ""}),
        }.items():
            here, there = (getattr(port, verb)(*args) for port in ports)
            assert here == there
            assert type(here) is type(there)
        assert near.calls == far.calls
        assert remote.observe_resume("tank/a") is None
        remote.close()


def test_a_connection_that_rested_for_long_is_as_good_as_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline of a message begins with the message: policies tick once a minute or an hour."""
    monkeypatch.setattr("zrepl_py.adapters.worker.server._MESSAGE_SECONDS", 0.05)
    with running(tmp_path, SmallZfs()):
        remote = proxy(tmp_path)
        for _ in range(3):
            assert remote.observe_pool("tank").guid == BIG
            time.sleep(0.2)
        remote.close()


def test_nothing_to_do_asks_nobody() -> None:
    remote = WorkerZfs({})
    assert remote.observe_holds([]) == {}
    assert remote.observe_dependents([]) == {}
    assert remote.snapshot_changed({}, "zr_1") == {}
    assert remote.destroy_snapshots({}) == remote.destroy_bookmarks({}) == []
    remote.hold([], "t")
    remote.release([], "t")
    with pytest.raises(Standing) as caught:
        remote.observe_pool("tank")
    assert caught.value.reason == "worker-missing"
    with pytest.raises(Bug):
        remote.hold(["a@s", "b@s"], "t")


def test_errors_arrive_as_themselves(tmp_path: Path) -> None:
    with running(tmp_path, SmallZfs()):
        remote = proxy(tmp_path)
        with pytest.raises(Standing) as caught:
            remote.observe_history("tank/missing")
        error = caught.value
        assert (error.reason, error.message) == ("dataset-missing", "There is no tank/missing.")
        assert error.remedy == "Look for it."
        with pytest.raises(Bug, match="ZeroDivisionError"):
            remote.observe_history("tank/broken")
        assert remote.observe_pool("tank").guid == BIG


def test_streams_go_to_their_workers_and_close_their_descriptors(tmp_path: Path) -> None:
    zfs, receiver = SmallZfs(), SmallZfs()
    before = open_descriptors()
    with running(tmp_path, zfs), running(tmp_path, receiver, kind=WorkerKind.RECEIVE):
        remote = proxy(tmp_path)
        reader, writer = os.pipe()
        remote.send("tank/a@s", "tank/a#b", raw=True, fd=writer, resume=(BIG, 5))
        assert zfs.calls == [("send", "tank/a@s", "tank/a#b", True, (BIG, 5))]
        remote.receive("tank/c@s", fd=reader, to_guid=BIG, from_guid=0, raw=False)
        assert receiver.received == b"stream of tank/a@s"
        assert receiver.calls == [("receive", "tank/c@s", BIG, 0, False)]
        remote.close()
    wait_until(lambda: open_descriptors() <= before)


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come true within 30 s")


def test_a_refused_stream_leaves_no_descriptor(tmp_path: Path) -> None:
    with running(tmp_path, SmallZfs()), running(tmp_path, SmallZfs(), kind=WorkerKind.RECEIVE):
        remote = proxy(tmp_path)
        before = open_descriptors()
        for snapshot in ("tank/refuse@s", "tank/a@b@c", "other/a@s"):
            reader, writer = os.pipe()
            with pytest.raises((Refused, Standing)):
                remote.receive(snapshot, fd=reader, to_guid=1, from_guid=0, raw=False)
            with pytest.raises(BrokenPipeError):
                os.write(writer, b"x")
            os.close(writer)
        remote.close()
        wait_until(lambda: open_descriptors() <= before)


def test_closing_the_reader_ends_a_send(tmp_path: Path) -> None:
    zfs = SmallZfs()
    with running(tmp_path, zfs):
        remote = proxy(tmp_path)
        reader, writer = os.pipe()
        threading.Timer(0.1, os.close, (reader,)).start()
        with pytest.raises(Passing) as caught:
            remote.send("tank/endless@s", None, raw=False, fd=writer, resume=None)
        assert caught.value.reason == "stream-cut"
        remote.close()


def test_a_stream_that_does_not_end_after_its_pipe_is_stuck(tmp_path: Path) -> None:
    zfs = SmallZfs()
    with running(tmp_path, zfs, kind=WorkerKind.RECEIVE):
        remote = proxy(tmp_path, Patience(finish_seconds=0.3))
        reader, writer = os.pipe()
        os.close(writer)
        with pytest.raises(Passing) as caught:
            remote.receive("tank/hang@s", fd=reader, to_guid=1, from_guid=0, raw=False)
        assert caught.value.reason == "worker-stuck"
        zfs.released.set()
        remote.close()


def test_a_stuck_worker_is_told_and_does_not_take_the_daemon_along(tmp_path: Path) -> None:
    zfs = SmallZfs()
    told: list[tuple[Event, Mapping[str, Json]]] = []
    with running(tmp_path, zfs):
        remote = proxy(
            tmp_path,
            Patience(call_seconds=0.2, hanging_calls=2),
            lambda event, fields: told.append((event, fields)),
        )
        path = str(tmp_path / "zfs.sock")
        for hanging in (1, 2):
            with pytest.raises(Passing, match="in time") as caught:
                remote.observe_history("tank/hang")
            assert caught.value.reason == "worker-stuck"
            assert remote.hanging_calls()[path] == hanging
            assert told[-1] == (Event.WORKER_STUCK, {"socket": path, "verb": "observe_history"})
            if hanging == 1:  # One slow call is not yet a stuck worker.
                assert remote.observe_pool("tank").name == "tank"
        began = time.monotonic()
        with pytest.raises(Passing, match="earlier calls"):
            remote.observe_pool("tank")
        assert time.monotonic() - began < 0.15
        zfs.released.set()
        wait_until(lambda: remote.hanging_calls()[path] == 0)
        assert remote.observe_pool("tank").name == "tank"
        remote.close()


def test_a_worker_that_went_away_is_found_again(tmp_path: Path) -> None:
    remote = proxy(tmp_path)
    with pytest.raises(Passing) as caught:
        remote.observe_pool("tank")
    assert caught.value.reason == "worker-gone"
    for _ in range(2):
        with running(tmp_path, SmallZfs()):
            assert remote.observe_pool("tank").name == "tank"
    with pytest.raises(Passing):
        remote.observe_pool("tank")
    remote.close()


def test_calls_run_at_the_same_time_up_to_the_bound(tmp_path: Path) -> None:
    zfs = SmallZfs()
    with running(tmp_path, zfs):
        remote = proxy(tmp_path, Patience(simultaneous_calls=3))
        threads = [
            threading.Thread(target=remote.observe_history, args=("tank/hang",)) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for _ in range(3):
            assert zfs.hanging.acquire(timeout=5)
        assert not zfs.hanging.acquire(timeout=0.3)
        zfs.released.set()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        remote.close()


def test_the_server_bounds_its_connections(tmp_path: Path) -> None:
    with running(tmp_path, SmallZfs(), max_connections=2):
        held = [raw_connection(tmp_path / "zfs.sock") for _ in range(2)]
        remote = proxy(tmp_path, Patience(call_seconds=0.3))
        with pytest.raises(Passing):
            remote.observe_pool("tank")
        for sock in held:
            sock.close()
        wait_until(lambda: not any(remote.hanging_calls().values()))
        assert remote.observe_pool("tank").name == "tank"
        remote.close()


def test_only_known_users_get_an_answer() -> None:
    if os.getuid() != 0:
        pytest.skip("only root can connect as somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp") as name, running(Path(name), SmallZfs()):
        os.chmod(name, 0o755)
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            code = 1
            with contextlib.suppress(OSError):
                sock = raw_connection(Path(name) / "zfs.sock")
                code = 0 if sock.recv(1) == b"" else 2
            os._exit(code)
        assert os.waitpid(child, 0)[1] == 0


def test_hand_made_nonsense_is_answered_or_hung_up(tmp_path: Path) -> None:
    with running(tmp_path, SmallZfs()):
        path = tmp_path / "zfs.sock"
        for body in (7, {}, {"format": 2, "verb": "observe_pool", "args": {"pool": "tank"}}):
            failure = exchange(path, body)["failure"]
            assert isinstance(failure, dict)
            assert failure["reason"] == "worker-version"
        for verb in ("", "receive", "__init__", "close", "destroy"):
            failure = exchange(path, {"format": 1, "verb": verb, "args": {}})["failure"]
            assert isinstance(failure, dict)
            assert failure["reason"] == "worker-forbidden"
        with raw_connection(path) as sock:
            sock.sendall(b"\xff" * 64)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
        assert proxy(tmp_path).observe_pool("tank").name == "tank"


def test_counters_count_calls(tmp_path: Path) -> None:
    with running(tmp_path, SmallZfs()), running(tmp_path, SmallZfs(), kind=WorkerKind.RECEIVE):
        remote = proxy(tmp_path)
        for _ in range(3):
            remote.observe_pool("tank")
        with pytest.raises(Standing):
            remote.observe_history("tank/missing")
        assert remote.observe_counters() == {
            "zfs:tank": {"forks": 0, "call:observe_pool": 3, "call:observe_history": 1},
            "receive:tank": {"forks": 0},
        }
        remote.close()


def test_stopping_waits_for_verbs_within_the_bound(tmp_path: Path) -> None:
    zfs = SmallZfs()
    with running(tmp_path, zfs) as worker:
        remote = proxy(tmp_path)
        caller = threading.Thread(target=remote.observe_history, args=("tank/hang",))
        caller.start()
        assert zfs.hanging.acquire(timeout=5)
        assert worker.server.finish(0.2) is False
        zfs.released.set()
        assert worker.server.finish(5) is True
        caller.join(5)
        remote.close()
