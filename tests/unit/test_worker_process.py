"""Worker processes: readiness, one per socket, a clean end, the warden that keeps them running."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.worker_support import proxy
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.worker.notify import notify
from zrepl_py.adapters.worker.proxy import PoolSockets
from zrepl_py.adapters.worker.spawn import start_workers, worker_specs
from zrepl_py.adapters.worker.warden import WorkerSpec
from zrepl_py.daemon import worker as entry
from zrepl_py.errors import Passing, Standing


def argv(path: Path, kind: str = "worker", *rest: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.unit.worker_process", kind, str(path), *rest)


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come true in time")


def answers(directory: Path) -> bool:
    remote = proxy(directory)
    try:
        return remote.observe_pool("tank").name == "tank"
    except Passing:
        return False
    finally:
        remote.close()


@contextmanager
def started(directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker that has said READY=1."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(str(directory / "notify"))
        ready.settimeout(20)
        environment = {**os.environ, "NOTIFY_SOCKET": str(directory / "notify")}
        process = subprocess.Popen(argv(directory / "zfs.sock"), env=environment)
        try:
            assert ready.recv(100) == b"READY=1"
            yield process
        finally:
            process.kill()
            process.wait()


def test_ready_then_one_per_socket_then_a_clean_end(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        assert answers(tmp_path)
        assert oct((tmp_path / "zfs.sock").stat().st_mode)[-3:] == "666"
        second = subprocess.run(argv(tmp_path / "zfs.sock"), capture_output=True, text=True)
        assert second.returncode == 3
        assert f"pid {process.pid}" in second.stderr
        assert answers(tmp_path)
        process.terminate()
        assert process.wait(10) == 0
        assert not (tmp_path / "zfs.sock").exists()


def test_a_killed_worker_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        process.kill()
    assert (tmp_path / "zfs.sock").exists()
    (tmp_path / "notify").unlink()
    with started(tmp_path):
        assert answers(tmp_path)


def test_sigterm_ends_in_time_though_a_stream_runs(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        remote = proxy(tmp_path)
        reader, writer = os.pipe()
        outcome: list[BaseException] = []

        def send() -> None:
            try:
                remote.send("tank/endless@s", None, raw=False, fd=writer, resume=None)
            except Passing as error:
                outcome.append(error)

        sender = threading.Thread(target=send)
        sender.start()
        os.read(reader, 1)
        began = time.monotonic()
        process.terminate()
        process.wait(10)
        assert time.monotonic() - began < 5
        sender.join(5)
        os.close(reader)
        assert [e.reason for e in outcome if isinstance(e, Passing)] == ["worker-gone"]


def test_a_socket_that_systemd_opened_is_used(tmp_path: Path) -> None:
    path = tmp_path / "zfs.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        shell = 'fd=$1; shift; exec 3<&$fd; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        process = subprocess.Popen(
            ("bash", "-c", shell, "sh", str(listening.fileno()), *argv(path)),
            pass_fds=[listening.fileno()],
        )
        try:
            assert answers(tmp_path)
            process.terminate()
            assert process.wait(10) == 0
            assert path.exists()
        finally:
            process.kill()
            process.wait()


def test_notify_without_systemd_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify("READY=1") is False
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert notify("READY=1") is False


def test_the_warden_restarts_and_ends_with_the_daemon(tmp_path: Path) -> None:
    specs = [WorkerSpec(str(tmp_path / "zfs.sock"), argv(tmp_path / "zfs.sock", "worker", "stdin"))]
    running = start_workers(specs, MachineClock(), deadline_seconds=20)
    try:
        assert answers(tmp_path)
        pid = int((tmp_path / "zfs.sock.lock").read_text())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: answers(tmp_path))
        assert int((tmp_path / "zfs.sock.lock").read_text()) != pid
    finally:
        running.stop()
    assert running.process.returncode == 0
    assert not (tmp_path / "zfs.sock").exists()


def test_a_killed_warden_leaves_no_worker_behind(tmp_path: Path) -> None:
    specs = [WorkerSpec(str(tmp_path / "zfs.sock"), argv(tmp_path / "zfs.sock", "worker", "stdin"))]
    running = start_workers(specs, MachineClock(), deadline_seconds=20)
    running.process.kill()
    running.process.wait()
    wait_until(lambda: not (tmp_path / "zfs.sock").exists())
    running.stop()


@pytest.mark.parametrize("killed", [True, False])
def test_a_lost_warden_is_told_but_not_one_that_was_stopped(tmp_path: Path, killed: bool) -> None:
    specs = [WorkerSpec(str(tmp_path / "zfs.sock"), argv(tmp_path / "zfs.sock", "worker", "stdin"))]
    running = start_workers(specs, MachineClock(), deadline_seconds=20)
    lost = threading.Event()
    running.watch(lost.set)
    if killed:
        running.process.kill()
    else:
        running.stop()
    assert lost.wait(5 if killed else 0.5) is killed
    wait_until(lambda: not (tmp_path / "zfs.sock").exists())
    running.stop()


def test_workers_that_do_not_start_are_reported(tmp_path: Path) -> None:
    specs = [WorkerSpec(str(tmp_path / "zfs.sock"), argv(tmp_path / "zfs.sock", "fails"))]
    with pytest.raises(Standing) as caught:
        start_workers(specs, MachineClock(), deadline_seconds=1.5)
    assert caught.value.reason == "worker-start"


def test_an_unknown_user_ends_the_warden_at_once(tmp_path: Path) -> None:
    spec = WorkerSpec(str(tmp_path / "zfs.sock"), argv(tmp_path / "x"), user="nobody-of-that-name")
    began = time.monotonic()
    with pytest.raises(Standing):
        start_workers([spec], MachineClock(), deadline_seconds=30)
    assert time.monotonic() - began < 15


def test_specs_are_what_the_entry_understands() -> None:
    kinds = ("zfs", "receive", "proof", "host")
    sockets = PoolSockets(*(f"/run/zr/{kind}/tank.sock" for kind in kinds))
    specs = worker_specs("tank", sockets, allow_uid=5, config="zr.toml")
    assert [spec.user for spec in specs] == [None, "zr-recv", None, None]
    assert entry._parser().parse_args(specs[-1].argv[3:]).config == os.path.abspath("zr.toml")
    for spec in specs:
        options = entry._parser().parse_args(spec.argv[3:])
        assert (options.pool, options.socket) == ("tank", spec.socket)
        assert options.allow_uid == [5]
        assert options.until_stdin_closes
    for bad in (
        ["zfs", "--pool", "a/b", "--socket", "s"],
        ["zfs", "--pool", "-x", "--socket", "s"],
    ):
        with pytest.raises(SystemExit) as caught:
            entry._parser().parse_args(bad)
        assert caught.value.code == 2
