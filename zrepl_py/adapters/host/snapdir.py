"""What is in a dataset's snapshots, seen with the caller's own rights through `.zfs/snapshot`?

The kernel checks permissions against the file's old owner and mode. Files are opened component by
component below a directory descriptor; a symbolic link anywhere on the way is refused, never
followed. Reads only. Looking into a snapshot lets the kernel mount it, which may take a moment.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from zrepl_py.adapters.files import ClosedAtExit
from zrepl_py.adapters.host.catalogcache import Shown
from zrepl_py.errors import Corrupt, Refused, Standing, ZrError

_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISCHR, "a character device"),
)


class Origin(Protocol):
    """One snapshot that can be read: a way to its root directory."""

    @property
    def snapshot(self) -> str:
        """The snapshot's name, for sentences."""

    def open(self) -> int:
        """A descriptor of the snapshot's root, readable. Errors: ZrError."""


@dataclass(frozen=True, slots=True)
class SnapshotDirectory:
    """A snapshot that the kernel shows below `.zfs/snapshot`."""

    root: str
    """The dataset's `.zfs/snapshot`."""
    snapshot: str
    mounted: bool = True
    """A snapshot must be a file system of its own (False only where `root` is not ZFS's)."""

    def open(self) -> int:
        """See Origin. Errors: snapshot-unreachable, no-rights, bad-name."""
        return _open_root(self.root, self.snapshot, self.mounted)


@dataclass(frozen=True, slots=True)
class OldFile:
    """A regular file in a snapshot, open for reading."""

    fd: int
    stat: os.stat_result
    directories: tuple[os.stat_result, ...]
    """Of the directories on the way, outermost first; the snapshot's root is not among them."""


@dataclass(frozen=True, slots=True)
class OldEntry:
    """Whatever stands at a path in a snapshot; `folder` is a descriptor of its directory."""

    folder: int
    stat: os.stat_result
    directories: tuple[os.stat_result, ...]
    """As in OldFile."""


def snapshot_root(mountpoint: str) -> str:
    """`/tank/audio` → `/tank/audio/.zfs/snapshot`."""
    return os.path.join(mountpoint, ".zfs", "snapshot")


def observe_snapshot_names(root: str) -> frozenset[str]:
    """Names of all snapshots, foreign ones too. Errors: snapshot-unreachable, no-rights."""
    try:
        return frozenset(os.listdir(root))
    except OSError as error:
        raise _unreachable(root, error) from error


def observe_shown(root: str) -> Shown | None:
    """All snapshots with their numbers, without looking into any; None where that cannot be."""
    try:
        with os.scandir(root) as entries:
            numbers = {entry.name: entry.inode() for entry in entries}
        # Of the mounted file system itself: asked of `.zfs`, OpenZFS 2.3.9 says EIO.
        return Shown(os.statvfs(os.path.join(root, "..", "..")).f_fsid, numbers)
    except OSError:
        return None


@contextlib.contextmanager
def open_old_entry(origin: Origin, inside: Sequence[str]) -> Iterator[OldEntry]:
    """What is `inside` (components; none means the snapshot's root), closed afterwards.

    Errors: Refused(no-such-file), Refused(unsafe-path), Standing(no-rights),
    Standing(snapshot-unreachable), Corrupt(io-error), those of the origin.
    """
    shown = "/".join(inside) or "/"
    with contextlib.ExitStack() as open_fds:
        folder = origin.open()
        open_fds.callback(os.close, folder)
        directories = []
        try:
            for component in inside[:-1]:
                # O_PATH: only the right to pass through is needed, not to list.
                folder = os.open(component, _DIRECTORY | os.O_PATH, dir_fd=folder)
                open_fds.callback(os.close, folder)
                directories.append(os.fstat(folder))
            name = inside[-1] if inside else "."
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            raise translate_open_error(error, origin.snapshot, shown) from error
        yield OldEntry(folder, found, tuple(directories))


@contextlib.contextmanager
def open_old_file(origin: Origin, inside: Sequence[str]) -> Iterator[OldFile]:
    """The regular file `inside`, closed afterwards.

    Errors: those of open_old_entry, Refused(not-a-file).
    """
    shown = "/".join(inside) or "/"
    with open_old_entry(origin, inside) as entry:
        check_regular(entry.stat, shown)
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(inside[-1], flags, dir_fd=entry.folder)
        except OSError as error:
            raise translate_open_error(error, origin.snapshot, shown) from error
        try:
            found = os.fstat(fd)
            check_regular(found, shown)
            yield OldFile(fd, found, entry.directories)
        finally:
            os.close(fd)


def check_regular(found: os.stat_result, shown: str) -> None:
    """Raise Refused(not-a-file) unless it is a regular file."""
    if not stat.S_ISREG(found.st_mode):
        raise Refused(
            "not-a-file",
            f"{shown} is {kind_of(found)} there, not a file.",
            "Name a file, or restore it with --to PATH instead of to standard output.",
        )


def kind_of(found: os.stat_result) -> str:
    """`a directory`, `a pipe`, …"""
    return next((text for test, text in _KINDS if test(found.st_mode)), "a file")


def translate_open_error(error: OSError, snapshot: str, shown: str) -> ZrError:
    """What went wrong on the way to a file in a snapshot."""
    if error.errno == errno.ENOENT:
        return Refused(
            "no-such-file",
            f"There is no {shown} in snapshot {snapshot}.",
            "Try another time, and check the spelling and the directory.",
        )
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return Refused(
            "unsafe-path",
            f"On the way to {shown} in snapshot {snapshot} there is a symbolic link or a file "
            "where a directory should be; zr does not follow links in snapshots.",
            "Give the path that the file really had.",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Standing(
            "no-rights",
            f"You had no right to read {shown} in snapshot {snapshot}.",
            "Ask its owner, or run this as root.",
        )
    if error.errno == errno.EIO:
        return Corrupt(
            "io-error",
            f"{shown} in snapshot {snapshot} cannot be read: the pool is damaged there.",
            "Restore it from the peer; run `zpool status -v` and keep the disks.",
        )
    return Standing(
        "snapshot-unreachable",
        f"{shown} in snapshot {snapshot} cannot be opened: {os.strerror(error.errno or 0)}.",
        "Check that the pool is imported and healthy.",
    )


def _open_root(root: str, snapshot: str, mounted: bool) -> int:
    """The snapshot's root directory; opening it lets the kernel mount it."""
    if snapshot in ("", ".", "..") or "/" in snapshot:
        raise Refused("bad-name", f"{snapshot!r} is not a snapshot's name.")
    try:
        above = os.open(root, os.O_RDONLY | _DIRECTORY)
    except OSError as error:
        raise _unreachable(root, error) from error
    try:
        fd = os.open(snapshot, os.O_RDONLY | _DIRECTORY, dir_fd=above)
        if mounted and os.fstat(fd).st_dev == os.fstat(above).st_dev:
            os.close(fd)
            raise Standing(
                "snapshot-unreachable",
                f"The kernel did not mount snapshot {snapshot} below {root}.",
                "In a container or a private mount namespace this cannot work; run it outside.",
            )
        return fd
    except OSError as error:
        raise _unreachable(os.path.join(root, snapshot), error) from error
    finally:
        os.close(above)


def _unreachable(path: str, error: OSError) -> ZrError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return Standing("no-rights", f"You may not look into {path}.", "Run this as root.")
    return Standing(
        "snapshot-unreachable",
        f"The snapshots cannot be reached: {path}: {os.strerror(error.errno or 0)}.",
        "Check that the dataset is mounted and its property `snapdir` is not `disabled`.",
    )


class HeldOrigin(ClosedAtExit):
    """An Origin that is opened once and stays open: the kernel mounts it once, and nothing can
    destroy the snapshot meanwhile."""

    def __init__(self, origin: Origin) -> None:
        self.snapshot = origin.snapshot
        self._origin = origin
        self._fd = -1

    def open(self) -> int:
        """See Origin."""
        if self._fd < 0:
            self._fd = self._origin.open()
        return os.dup(self._fd)

    def close(self) -> None:
        """Let go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
