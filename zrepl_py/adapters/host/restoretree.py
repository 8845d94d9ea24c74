"""Bring a directory (or a link, pipe, socket, device) back: stage it, then give it its name.

Invariants: see treecopy.py. The name is taken atomically, by RENAME_NOREPLACE, or in exchange for
what is there, which is kept. Free space is looked at before anything is written.
"""

import contextlib
import errno
import os
from dataclasses import dataclass

from zrepl_py.adapters.files import translate_file_error
from zrepl_py.adapters.host.destination import DIRECTORY, Destination, ensure_directories
from zrepl_py.adapters.host.filecopy import Progress
from zrepl_py.adapters.host.newfile import refuse_existing
from zrepl_py.adapters.host.renaming import rename_without_replacing, replace_and_keep
from zrepl_py.adapters.host.snapdir import open_old_entry
from zrepl_py.adapters.host.staging import Staging
from zrepl_py.adapters.host.survey import Survey
from zrepl_py.adapters.host.treecopy import TreeCopy, TreeDone, make_node
from zrepl_py.adapters.host.treewalk import Branch
from zrepl_py.core.restoring import render_staging_name
from zrepl_py.errors import Passing, Refused


@dataclass(frozen=True, slots=True)
class TreeOrder:
    """A tree to restore; the first branch is its top."""

    branches: tuple[Branch, ...]
    destination: Destination
    at: int = 0
    """Now, in seconds since 1970: part of the name of what is kept in place."""
    privileged: bool = False

    @property
    def staging_name(self) -> str:
        """Always the same for the same order, whenever it is given."""
        words = [self.destination.path, str(self.privileged)]
        for b in self.branches:
            words += [b.dataset, b.origin.snapshot, "/".join(b.inside), "/".join(b.at)]
        return render_staging_name(words)

    @property
    def staging_path(self) -> str:
        """Where it grows."""
        return os.path.join(self.destination.folder, self.staging_name)


@dataclass(frozen=True, slots=True)
class TreeRestored:
    """What came back."""

    path: str
    done: TreeDone
    kept: str = ""
    """Path of what was there before, or empty."""


def check_room(order: TreeOrder, survey: Survey) -> None:
    """Raise Passing(no-space) where what is to come cannot fit."""
    room = os.statvfs(order.destination.folder)
    free = room.f_bavail * room.f_frsize
    if os.path.isdir(order.staging_path):
        return  # a part is there already; what is missing is not counted here
    if survey.stored_bytes > free:
        raise Passing(
            "no-space",
            f"The tree takes at least {survey.stored_bytes:,} bytes, but {free:,} are free at "
            f"{order.destination.folder}.",
            "Free some space there, or restore to another place with --to.",
        )


def perform_tree(order: TreeOrder, progress: Progress) -> TreeRestored:
    """Restore a directory.

    Errors: those of TreeCopy and Staging, Refused(exists), Refused(mounted-there).
    """
    target = order.destination
    try:
        with contextlib.ExitStack() as stack:
            folder = os.open(target.folder, DIRECTORY)
            stack.callback(os.close, folder)
            staging = stack.enter_context(Staging(target.folder, folder, order.staging_name))
            copy = TreeCopy(order.branches, staging, progress, privileged=order.privileged)
            done = copy.run()
            kept = _appear(order, folder, staging, copy)
            staging.forget()
            os.fsync(folder)
    except FileNotFoundError as error:
        gone = f"{target.folder} went away, or has no room for a name of the tree."
        raise Refused("no-directory", gone, "Use --to PATH with another place.") from error
    except OSError as error:
        raise translate_file_error(error, target.path) from error
    return TreeRestored(target.path, done, kept)


def perform_node(order: TreeOrder, progress: Progress) -> TreeRestored:
    """Restore a single symbolic link, pipe, socket or device."""
    target, branch = order.destination, order.branches[0]
    progress(0)
    done = TreeDone()
    try:
        with contextlib.ExitStack() as stack:
            folder = os.open(target.folder, DIRECTORY)
            stack.callback(os.close, folder)
            entry = stack.enter_context(open_old_entry(branch.origin, branch.inside))
            staged = order.staging_name
            with contextlib.suppress(FileNotFoundError):
                os.unlink(staged, dir_fd=folder)  # of a run that was killed
            losses = make_node(
                entry.folder,
                entry.stat,
                folder,
                branch.inside[-1],
                privileged=order.privileged,
                new_name=staged,
            )
            if any(loss.kind == "device" for loss in losses):
                raise Refused(
                    "not-a-file",
                    f"{target.name} is a device there: {losses[0].words}.",
                    "Restore it as root with --privileged, if you know what it is for.",
                )
            done.others = 1
            done.examples = [((), loss) for loss in losses]
            try:
                with ensure_directories(folder, target.missing, _were(order)) as last:
                    kept = _rename(order, folder, staged, last)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(staged, dir_fd=folder)
                raise
    except OSError as error:
        raise translate_file_error(error, target.path) from error
    return TreeRestored(target.path, done, kept)


def _appear(order: TreeOrder, folder: int, staging: Staging, copy: TreeCopy) -> str:
    target = order.destination
    with ensure_directories(folder, target.missing, _were(order)) as last:
        there = os.stat(staging.name, dir_fd=folder, follow_symlinks=False)
        if not os.path.samestat(there, os.fstat(staging.top)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), staging.path)
        if not target.missing:
            copy.finish_top()
            return _rename(order, folder, staging.name, last)
        # To move a directory elsewhere one must be allowed to write into it, so this comes first.
        kept = _rename(order, folder, staging.name, last)
        copy.finish_top()
        return kept


def _rename(order: TreeOrder, folder: int, staged: str, last: int) -> str:
    target = order.destination
    if target.in_place:
        kept = replace_and_keep(folder, staged, last, target.name, order.at)
    else:
        kept = ""
        try:
            rename_without_replacing(folder, staged, last, target.name)
        except FileExistsError:
            raise refuse_existing(target.path) from None
    os.fsync(last)
    return os.path.join(os.path.dirname(target.path), kept) if kept else ""


def _were(order: TreeOrder) -> tuple[os.stat_result, ...]:
    """What the directories that have to be made again were."""
    missing = order.destination.missing
    if not missing:
        return ()
    branch = order.branches[0]
    with open_old_entry(branch.origin, branch.inside) as entry:
        return entry.directories[len(entry.directories) - len(missing) :]
