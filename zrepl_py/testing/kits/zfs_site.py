"""What the ZFS kit needs of a place to try things at: a ZfsPort, and the world around it.

Implementations: kits/zfs_model_site.py (in memory), kits/zfs_real_site.py (a pool, as root). All
names a site gives out are fresh, so the checks do not see each other.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from zrepl_py.errors import ZrError
from zrepl_py.model.history import Snapshot
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.zfs import ZfsPort

PATIENCE_SECONDS = 60.0


class ZfsSite(Protocol):
    """A machine to try ZFS on."""

    pool: str

    @property
    def port(self) -> ZfsPort:
        """What is tried."""

    @property
    def datasets(self) -> DatasetPort:
        """What is tried of ports/datasets.py."""

    def fresh(self, word: str) -> str:
        """A name for a dataset that does not exist, below one that does."""

    def make_filesystem(self, name: str) -> None:
        """Create it, writable."""

    def make_volume(self, name: str) -> None:
        """Create a volume of 16 MiB."""

    def make_encrypted(self, name: str) -> None:
        """Create an encryption root with its key loaded, writable."""

    def unload_key(self, name: str) -> None:
        """The key of an encryption root is not loaded any more."""

    def make_clone(self, snapshot: str, name: str) -> None:
        """`zfs clone`."""

    def promote(self, clone: str) -> None:
        """`zfs promote`."""

    def foreign_snapshot(self, name: str) -> None:
        """`zfs snapshot`, by somebody else."""

    def destroy(self, name: str) -> None:
        """`zfs destroy -r` of a dataset, snapshot or bookmark."""

    def set_property(self, dataset: str, name: str, value: str) -> None:
        """`zfs set`; also quota, compression."""

    def write(self, dataset: str, path: str, content: bytes) -> None:
        """A write() that returns without fsync; mounts what is not mounted, for the moment."""

    def snapshot_beside_log(self, dataset: str, name: str) -> None:
        """write(), fsync(), and `@name` while the file system is mounted: its intent log lives."""

    def change_mode(self, dataset: str, path: str, mode: int) -> None:
        """chmod(), without fsync."""

    def remove(self, dataset: str, path: str) -> None:
        """unlink(), without fsync."""

    def write_volume(self, dataset: str, content: bytes) -> None:
        """Direct write at the start of a volume."""

    def read(self, snapshot: str, path: str) -> bytes:
        """A file in a snapshot; raises FileNotFoundError."""

    def make_small_pool(self) -> str:
        """Another pool, of about 64 MiB; its name."""

    def fill(self, pool: str) -> None:
        """Nothing more can be written into a small pool."""

    def drop_small_pool(self, pool: str) -> None:
        """The small pool goes."""


Check = Callable[[ZfsSite], None]


def same(actual: object, expected: object, what: str) -> None:
    """AssertionError with both values unless they are equal."""
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def true(condition: object, what: str) -> None:
    """AssertionError unless `condition`."""
    if not condition:
        raise AssertionError(what)


@contextmanager
def refused(kind: type[ZrError], reason: str) -> Iterator[None]:
    """The block has to raise `kind` with `reason`, a sentence and a name in it."""
    try:
        yield
    except ZrError as error:
        check_error(error, kind, reason)
    else:
        raise AssertionError(f"expected {kind.__name__}({reason}), but nothing was raised")


def check_error(error: ZrError | None, kind: type[ZrError], reason: str) -> None:
    """AssertionError unless `error` is that one."""
    if error is None:
        raise AssertionError(f"expected {kind.__name__}({reason}), but nothing was raised")
    same((type(error).__name__, error.reason), (kind.__name__, reason), str(error))


@dataclass(frozen=True, slots=True)
class Moved:
    """How a transfer ended on both sides."""

    sent: ZrError | None
    received: ZrError | None

    def check(self) -> None:
        """Raise what the receiver, else the sender raised."""
        if self.received or self.sent:
            raise self.received or self.sent or AssertionError


@dataclass(frozen=True, slots=True)
class Leg:
    """One transfer: what is sent, where to, and what happens to it on the way."""

    source: str
    """Whole name of the snapshot."""
    target: str
    """Whole name of what it becomes."""
    to_guid: int
    base: str | None = None
    from_guid: int = 0
    raw: bool = False
    resume: tuple[int, int] | None = None
    cut_after_bytes: int | None = None
    flip_at_byte: int | None = None
    origin: str | None = None
    """Whole name of the snapshot that it becomes a clone of."""


def move(port: ZfsPort, leg: Leg) -> Moved:
    """Send and receive through two pipes and a relay that can cut and damage."""
    sent: list[ZrError] = []
    near_read, near_write = os.pipe()
    far_read, far_write = os.pipe()

    def sending() -> None:
        try:
            port.send(leg.source, leg.base, raw=leg.raw, fd=near_write, resume=leg.resume)
        except ZrError as error:
            sent.append(error)

    sender = threading.Thread(target=sending, daemon=True)
    relay = threading.Thread(target=_relay, args=(near_read, far_write, leg), daemon=True)
    sender.start()
    relay.start()
    received = None
    try:
        port.receive(
            leg.target,
            fd=far_read,
            to_guid=leg.to_guid,
            from_guid=leg.from_guid,
            raw=leg.raw,
            origin=leg.origin,
        )
    except ZrError as error:
        received = error
    for thread in (relay, sender):
        thread.join(PATIENCE_SECONDS)
        true(not thread.is_alive(), "a transfer did not end after its other end was closed")
    return Moved(sent[0] if sent else None, received)


@contextmanager
def sending(port: ZfsPort, snapshot: str) -> Iterator[None]:
    """A send of `snapshot`, larger than a pipe, that nobody reads until the block has ended."""
    read_end, write_end = os.pipe()

    def send() -> None:
        with suppress(ZrError):
            port.send(snapshot, None, raw=False, fd=write_end, resume=None)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        os.read(read_end, 1)  # it has begun
        yield
    finally:
        os.close(read_end)
        thread.join(PATIENCE_SECONDS)


def _relay(source: int, target: int, leg: Leg) -> None:
    seen = 0
    try:
        while piece := os.read(source, 65_536):
            if leg.flip_at_byte is not None and seen <= leg.flip_at_byte < seen + len(piece):
                damaged = bytearray(piece)
                damaged[leg.flip_at_byte - seen] ^= 0x10
                piece = bytes(damaged)
            if leg.cut_after_bytes is not None:
                piece = piece[: leg.cut_after_bytes - seen]
            seen += len(piece)
            view = memoryview(piece)
            while view:
                view = view[os.write(target, view) :]
            if leg.cut_after_bytes is not None and seen >= leg.cut_after_bytes:
                return
    except BrokenPipeError:
        return
    finally:
        os.close(target)
        os.close(source)


def snapshot(site: ZfsSite, dataset: str, name: str) -> Snapshot:
    """Take `@name` in any case and return it as the history shows it."""
    site.port.snapshot_changed({dataset: None}, name)
    found = next((s for s in site.port.observe_history(dataset).snapshots if s.name == name), None)
    if found is None:
        raise AssertionError(f"{dataset}@{name} is not in the history")
    return found


def names_of(site: ZfsSite, dataset: str) -> list[str]:
    """Names of the dataset's snapshots, oldest first."""
    return [s.name for s in site.port.observe_history(dataset).snapshots]


def replicate(site: ZfsSite, dataset: str, replica: str, name: str, *, raw: bool = False) -> None:
    """A full transfer of `dataset@name`, which exists."""
    guid = guid_of(site, dataset, name)
    move(site.port, Leg(f"{dataset}@{name}", f"{replica}@{name}", guid, raw=raw)).check()


def guid_of(site: ZfsSite, dataset: str, name: str) -> int:
    """The guid of a snapshot."""
    history = site.port.observe_history(dataset)
    return next(s.guid for s in history.snapshots if s.name == name)
