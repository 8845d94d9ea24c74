"""A small ZFS for the worker's tests: remembers calls, moves bytes, hangs when it is told to."""

import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.worker import PoolSockets, WorkerZfs
from zrepl_py.adapters.worker.client import Patience, Report
from zrepl_py.adapters.worker.listener import Listener
from zrepl_py.adapters.worker.server import INTERRUPT, WorkerServer
from zrepl_py.adapters.worker.verbs import Scope, Served, WorkerKind
from zrepl_py.errors import Passing, Refused, Standing
from zrepl_py.model.history import EMPTY, Bookmark, History, Snapshot
from zrepl_py.model.observation import (
    Dataset,
    Dependents,
    DestroyOutcome,
    Kind,
    PoolView,
    ResumePoint,
    SnapshotOutcome,
    Taken,
    Unchanged,
)

BIG = 2**64 - 1


class SmallZfs:
    """ZfsPort with fixed answers; `tank/missing` is missing, `tank/hang` hangs until released."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.received = b""
        self.released = threading.Event()
        self.hanging = threading.Semaphore(0)

    def _note(self, *call: object) -> None:
        self.calls.append(call)

    def observe_versions(self) -> dict[str, str]:
        return {"kernel": "2.3.9-1", "userland": "2.3.9-1", "adapter": "small"}

    def observe_pool(self, pool: str) -> PoolView:
        return PoolView(pool, BIG, "ONLINE", 2**40, 2**39)

    def observe_datasets(self, root: str) -> list[Dataset]:
        properties = {"zr:lane": "ü\udcff"}
        return [
            Dataset(root, 1, Kind.FILESYSTEM, mounted=True, user_properties=properties),
            Dataset(f"{root}/v", BIG, Kind.VOLUME, encrypted=True),
        ]

    def observe_history(self, dataset: str) -> History:
        if dataset == "tank/missing":
            raise Standing("dataset-missing", f"There is no {dataset}.", "Look for it.")
        if dataset == "tank/hang":
            self.hanging.release()
            self.released.wait(20)
        if dataset == "tank/broken":
            raise ZeroDivisionError("a fault of ours")
        if dataset == "tank/empty":
            return EMPTY
        return History(
            (Snapshot(BIG, 5, "zr_x", 1), Snapshot(3, 6, "other", 2)), (Bookmark(9, 1, "b", 0),)
        )

    def observe_snapshot(self, snapshot: str) -> Snapshot | None:
        return None if snapshot.endswith("@gone") else Snapshot(BIG, 5, "zr_x", 1)

    def observe_resume(self, dataset: str) -> ResumePoint | None:
        return ResumePoint(BIG, 0, 3, 4, 5, True) if dataset == "tank/partial" else None

    def observe_holds(self, snapshots: Sequence[str]) -> dict[str, frozenset[str]]:
        return {s: frozenset({"zr_base_1", "other"}) for s in snapshots}

    def observe_dependents(self, snapshots: Sequence[str]) -> dict[str, Dependents]:
        seen = Dependents(frozenset({"of a person"}), frozenset({"tank/x"}), True)
        return dict.fromkeys(snapshots, seen)

    def observe_properties(self, dataset: str) -> dict[str, str]:
        return {"quota": "5"}

    def observe_origin(self, dataset: str) -> str | None:
        return "tank/of@this" if dataset == "tank/clone" else None

    def snapshot_changed(
        self, datasets: Mapping[str, str | None], name: str
    ) -> dict[str, SnapshotOutcome]:
        self._note("snapshot_changed", dict(datasets), name)
        return {d: Unchanged() if s else Taken(BIG, 7, 8) for d, s in datasets.items()}

    def hold(self, snapshots: Sequence[str], tag: str) -> None:
        self._note("hold", list(snapshots), tag)

    def release(self, snapshots: Sequence[str], tag: str) -> None:
        self._note("release", list(snapshots), tag)

    def bookmark(self, source: str, bookmark: str) -> None:
        self._note("bookmark", source, bookmark)

    def destroy_snapshots(self, snapshots: Mapping[str, int]) -> list[DestroyOutcome]:
        self._note("destroy_snapshots", dict(snapshots))
        return [DestroyOutcome(s, False, "held") for s in snapshots]

    def destroy_bookmarks(self, bookmarks: Mapping[str, int]) -> list[DestroyOutcome]:
        self._note("destroy_bookmarks", dict(bookmarks))
        return [DestroyOutcome(b, True) for b in bookmarks]

    def send(
        self, snapshot: str, base: str | None, *, raw: bool, fd: int, resume: tuple[int, int] | None
    ) -> None:
        self._note("send", snapshot, base, raw, resume)
        try:
            if snapshot == "tank/endless@s":
                self._send_endlessly(fd)
            else:
                os.write(fd, b"stream of " + snapshot.encode())
        finally:
            os.close(fd)

    def _send_endlessly(self, fd: int) -> None:
        self.hanging.release()
        try:
            while True:
                os.write(fd, bytes(4096))
        except BrokenPipeError:
            raise Passing("stream-cut", "The reader went away.") from None

    def receive(
        self,
        snapshot: str,
        *,
        fd: int,
        to_guid: int,
        from_guid: int,
        raw: bool,
        origin: str | None = None,
    ) -> None:
        self._note("receive", snapshot, to_guid, from_guid, raw)
        try:
            if snapshot == "tank/refuse@s":
                raise Refused("unexpected-stream", "Not what was said.")
            while chunk := os.read(fd, 65536):
                self.received += chunk
            if snapshot == "tank/hang@s":
                self.hanging.release()
                self.released.wait(20)
        finally:
            os.close(fd)

    def abort_receive(self, dataset: str, to_guid: int) -> None:
        self._note("abort_receive", dataset, to_guid)

    def create_placeholder(self, dataset: str) -> None:
        self._note("create_placeholder", dataset)

    def set_user_properties(self, datasets: Sequence[str], values: Mapping[str, str]) -> None:
        self._note("set_user_properties", list(datasets), dict(values))


class RunningWorker:
    """A WorkerServer in this process."""

    def __init__(self, path: str, scope: Scope, zfs: Served, max_connections: int) -> None:
        signal.signal(INTERRUPT, lambda _number, _frame: None)
        self.server = WorkerServer(zfs, scope, MachineClock(), max_connections=max_connections)
        self.listener = Listener(path)
        self._stop_fd, self._stop_writer = os.pipe()
        self.thread = threading.Thread(
            target=self.server.serve, args=(self.listener.sock, [self._stop_fd])
        )
        self.thread.start()

    def stop(self, bound_seconds: float = 5.0) -> bool:
        os.close(self._stop_writer)
        self.thread.join(5)
        self.listener.stop_listening()
        ended = self.server.finish(bound_seconds)
        self.listener.close()
        os.close(self._stop_fd)
        return ended


@contextmanager
def running(
    directory: Path, zfs: SmallZfs, *, kind: WorkerKind = WorkerKind.ZFS, max_connections: int = 64
) -> Iterator[RunningWorker]:
    """A worker for the pool `tank` at `<directory>/<kind>.sock`."""
    worker = RunningWorker(
        str(directory / f"{kind}.sock"), Scope(kind, "tank"), zfs, max_connections
    )
    try:
        yield worker
    finally:
        zfs.released.set()
        worker.stop()


def proxy(
    directory: Path, patience: Patience | None = None, report: Report | None = None
) -> WorkerZfs:
    """The client of the workers in `directory`."""
    sockets = PoolSockets(str(directory / "zfs.sock"), str(directory / "receive.sock"))
    quick = Patience(call_seconds=5, finish_seconds=5)
    return WorkerZfs(
        {"tank": sockets}, patience=patience or quick, report=report or (lambda _e, _f: None)
    )


def raw_connection(path: Path) -> socket.socket:
    """A connection without any of our code on it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(5)
    sock.connect(str(path))
    return sock


def open_descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))
