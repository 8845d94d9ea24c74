"""Bring one file back out of a local snapshot, proven equal to what was read there.

Invariants: nothing existing is changed or replaced; the file appears under its name only when it is
whole, on stable storage and compared; after an error or Ctrl-C nothing half-written remains. Works
with the caller's own rights only and needs no daemon.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass

from zrepl_py.adapters.files import translate_file_error
from zrepl_py.adapters.host.attributes import copy_attributes, copy_directory_attributes
from zrepl_py.adapters.host.filecopy import (
    Progress,
    SourceUnreadable,
    copy_with_digest,
    digest_of_stored,
)
from zrepl_py.adapters.host.mounts import Place
from zrepl_py.adapters.host.newfile import NewFile, refuse_existing
from zrepl_py.adapters.host.snapdir import OldFile, open_old_file, translate_open_error
from zrepl_py.errors import Corrupt, Refused

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the file shall appear."""

    folder: str
    """A directory that exists."""
    missing: tuple[str, ...]
    """Directories below `folder` that have to be made again."""
    name: str

    @property
    def path(self) -> str:
        """Where the file will be."""
        return os.path.join(self.folder, *self.missing, self.name)


@dataclass(frozen=True, slots=True)
class Order:
    """One file to restore."""

    snapshots: str
    """The dataset's `.zfs/snapshot`."""
    snapshot: str
    inside: tuple[str, ...]
    destination: Destination
    mounted: bool = True
    """See open_old_file."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back."""

    path: str
    size_bytes: int
    sha256: str
    notes: tuple[str, ...]
    """What could not be restored, in half sentences."""


def find_destination(place: Place, to: str | None) -> Destination:
    """The file's old place, or `to` (a new path, or an existing directory).

    Errors: Refused(exists), Refused(no-directory).
    """
    if to is None:
        folder = os.path.dirname(place.path)
        missing: tuple[str, ...] = ()
        while not os.path.lexists(folder):
            folder, component = os.path.split(folder)
            missing = (component, *missing)
        destination = Destination(folder, missing, place.inside[-1])
    elif os.path.isdir(to):
        destination = Destination(os.path.abspath(to), (), place.inside[-1])
    else:
        folder, name = os.path.split(to)
        destination = Destination(os.path.abspath(folder), (), name)
    if not os.path.isdir(destination.folder) or destination.name in ("", ".", ".."):
        raise Refused(
            "no-directory",
            f"{destination.folder if to is None else to} is not a directory.",
            "Make it first, or use --to PATH with another one.",
        )
    if os.path.lexists(destination.path):
        raise refuse_existing(destination.path)
    return destination


def observe_size(order: Order) -> int:
    """Size in bytes of the file that would be restored; the errors of open_old_file."""
    with open_old_file(order.snapshots, order.snapshot, order.inside, mounted=order.mounted) as old:
        return old.stat.st_size


def perform_restore(order: Order, progress: Progress) -> Restored:
    """Restore it; `progress` counts each byte twice, once copied and once compared.

    Errors: those of open_old_file, Refused(exists), Passing(no-space), Standing(no-rights),
    Standing(file-failed), Corrupt(io-error), Corrupt(restore-mismatch).
    """
    target = order.destination
    with open_old_file(order.snapshots, order.snapshot, order.inside, mounted=order.mounted) as old:
        try:
            return _write(order, old, progress)
        except SourceUnreadable as unreadable:
            shown = "/".join(order.inside)
            raise translate_open_error(unreadable.cause, order.snapshot, shown) from unreadable
        except FileNotFoundError as error:
            gone = f"{target.folder} went away, or has no room for the name {target.name}."
            raise Refused("no-directory", gone, "Use --to PATH with another place.") from error
        except OSError as error:
            if error.errno == errno.EEXIST:
                raise refuse_existing(target.path) from error
            raise translate_file_error(error, target.path) from error


def _write(order: Order, old: OldFile, progress: Progress) -> Restored:
    target = order.destination
    with contextlib.ExitStack() as open_fds:
        folder = os.open(target.folder, _DIRECTORY)
        open_fds.callback(os.close, folder)
        new = open_fds.enter_context(NewFile(folder))
        size, digest = copy_with_digest(old.fd, new.fd, progress)
        os.fsync(new.fd)
        if size != old.stat.st_size or digest_of_stored(new.fd, progress) != digest:
            raise Corrupt(
                "restore-mismatch",
                f"What was written for {target.path} is not what the snapshot gave; it was thrown "
                "away.",
                "Check memory and disks of this machine; restore from the peer meanwhile.",
            )
        notes = copy_attributes(old.fd, old.stat, new.fd)
        os.fsync(new.fd)
        were = old.directories[len(old.directories) - len(target.missing) :]
        with _ensure_directories(folder, target.missing, were) as last:
            new.appear(last, target.name)
    return Restored(target.path, size, digest, notes)


@contextlib.contextmanager
def _ensure_directories(
    folder: int, names: tuple[str, ...], old: tuple[os.stat_result, ...]
) -> Iterator[int]:
    """Make directories again, with what they were; all are removed again where the body fails.

    Yields a descriptor of the innermost one. Until the body is done they are the caller's alone:
    with their old mode he may not be allowed to put anything into them.
    """
    made: list[tuple[int, str, int, os.stat_result]] = []
    with contextlib.ExitStack() as open_fds:
        here = folder
        try:
            for name, was in zip(names, old, strict=True):
                above = here
                try:
                    os.mkdir(name, 0o700, dir_fd=above)
                except FileExistsError:
                    ours = False  # made by somebody since we looked: it is theirs, and stays
                else:
                    ours = True
                here = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
                open_fds.callback(os.close, here)
                if ours:
                    made.append((above, name, here, was))
                    os.fsync(above)
            yield here
        except BaseException:
            for above, name, _, _ in reversed(made):
                with contextlib.suppress(OSError):
                    os.rmdir(name, dir_fd=above)
            raise
        for _, _, directory, was in reversed(made):
            with contextlib.suppress(OSError):  # it stays the caller's alone, which is safe
                copy_directory_attributes(was, directory)
