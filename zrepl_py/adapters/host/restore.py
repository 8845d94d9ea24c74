"""Bring one file back out of a snapshot, proven equal to what was read there.

Invariants: nothing existing is changed or lost; the file appears under its name only when it is
whole, on stable storage and compared; after an error or Ctrl-C nothing half-written remains. Works
with the caller's own rights only and needs no daemon.
"""

import contextlib
import errno
import os
from dataclasses import dataclass

from zrepl_py.adapters.files import translate_file_error
from zrepl_py.adapters.host.attributes import Loss, copy_attributes
from zrepl_py.adapters.host.destination import DIRECTORY, Destination, ensure_directories
from zrepl_py.adapters.host.filecopy import (
    Progress,
    SourceUnreadable,
    copy_with_digest,
    digest_of_stored,
    stream_with_digest,
)
from zrepl_py.adapters.host.newfile import NewFile, refuse_existing
from zrepl_py.adapters.host.snapdir import OldFile, Origin, open_old_file, translate_open_error
from zrepl_py.errors import Corrupt, Refused


@dataclass(frozen=True, slots=True)
class Order:
    """One file to restore."""

    origin: Origin
    inside: tuple[str, ...]
    destination: Destination
    at: int = 0
    """Now, in seconds since 1970: part of the name of what is kept in place."""
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back."""

    path: str
    size_bytes: int
    sha256: str
    losses: tuple[Loss, ...] = ()
    """What could not be restored."""
    kept: str = ""
    """Path of what was there before, or empty."""


def perform_restore(order: Order, progress: Progress) -> Restored:
    """Restore it; `progress` counts each byte twice, once copied and once compared.

    Errors: those of open_old_file, Refused(exists), Refused(mounted-there), Passing(no-space),
    Standing(no-rights), Standing(file-failed), Corrupt(io-error), Corrupt(restore-mismatch).
    """
    target = order.destination
    with open_old_file(order.origin, order.inside) as old:
        try:
            return _write(order, old, progress)
        except SourceUnreadable as unreadable:
            raise _unreadable(order.origin, order.inside, unreadable) from unreadable
        except FileNotFoundError as error:
            gone = f"{target.folder} went away, or has no room for the name {target.name}."
            raise Refused("no-directory", gone, "Use --to PATH with another place.") from error
        except OSError as error:
            if error.errno == errno.EEXIST:
                raise refuse_existing(target.path) from error
            raise translate_file_error(error, target.path) from error


def perform_output(
    origin: Origin, inside: tuple[str, ...], output_fd: int, progress: Progress
) -> Restored:
    """Write the file's content to a descriptor; what arrives there cannot be read again.

    Errors: those of open_old_file, BrokenPipeError, no-space, file-failed.
    """
    with open_old_file(origin, inside) as old:
        try:
            size, digest = stream_with_digest(old.fd, output_fd, progress)
        except SourceUnreadable as unreadable:
            raise _unreadable(origin, inside, unreadable) from unreadable
        except BrokenPipeError:
            raise
        except OSError as error:
            raise translate_file_error(error, "standard output") from error
    return Restored("-", size, digest)


def _unreadable(origin: Origin, inside: tuple[str, ...], error: SourceUnreadable) -> Exception:
    return translate_open_error(error.cause, origin.snapshot, "/".join(inside))


def _write(order: Order, old: OldFile, progress: Progress) -> Restored:
    target = order.destination
    with contextlib.ExitStack() as open_fds:
        folder = os.open(target.folder, DIRECTORY)
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
        losses = copy_attributes(old.fd, old.stat, new.fd, privileged=order.privileged)
        os.fsync(new.fd)
        kept = ""
        were = old.directories[len(old.directories) - len(target.missing) :]
        with ensure_directories(folder, target.missing, were) as last:
            if target.in_place:
                kept = new.appear_instead(last, target.name, order.at)
            else:
                new.appear(last, target.name)
    above = os.path.dirname(target.path)
    return Restored(target.path, size, digest, losses, os.path.join(above, kept) if kept else "")
