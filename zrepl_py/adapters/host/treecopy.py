"""Bring a whole tree back out of snapshots, proven equal to what was read there.

Invariants: nothing existing is changed; the tree appears under its name only when it is whole; what
cannot be read, or comes back only with `privileged`, is left out and named. An error or Ctrl-C
leaves only the staging (staging.py), with which the next run goes on.
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from zrepl_py.adapters.host.attributes import Loss, copy_attributes, copy_node_attributes
from zrepl_py.adapters.host.filebatch import Batch, sync_file_system
from zrepl_py.adapters.host.filecopy import Progress, SourceUnreadable, copy_with_digest
from zrepl_py.adapters.host.snapdir import open_old_entry, translate_open_error
from zrepl_py.adapters.host.staging import Staging
from zrepl_py.adapters.host.treewalk import Branch, Components, Folder, open_folder, walk_branch
from zrepl_py.core.restoring import printable
from zrepl_py.errors import ZrError

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_EXAMPLES = 1000


@dataclass
class TreeDone:
    """What became of a tree."""

    files: int = 0
    directories: int = 0
    others: int = 0
    size_bytes: int = 0
    kept_files: int = 0
    """Of `files`: had come back, proven, in an interrupted run."""
    left_out: list[tuple[Components, ZrError]] = field(default_factory=list)
    losses: Counter[str] = field(default_factory=Counter)
    """Kind of loss (attributes.Loss, or `device`) → how many entries have it."""
    examples: list[tuple[Components, Loss]] = field(default_factory=list)
    """The first thousand of them."""


class TreeCopy:
    """One run over a tree."""

    def __init__(
        self, branches: Sequence[Branch], staging: Staging, progress: Progress, *, privileged: bool
    ) -> None:
        self.done = TreeDone()
        self._branches = tuple(branches)
        self._staging = staging
        self._progress = progress
        self._privileged = privileged
        self._batch = Batch(staging, progress)
        self._folders: list[tuple[Branch, Components]] = []

    def run(self) -> TreeDone:
        """Everything but the top directory's own attributes, which come last of all.

        Errors: OSError of the target, Corrupt(restore-mismatch), those of a branch's top.
        """
        try:
            places = [b.at for b in self._branches]
            for branch in self._branches:
                several: dict[int, Components] = {}
                for folder in walk_branch(branch, places, self._leave_out):
                    self._restore_folder(branch, folder, several)
            self._batch.settle()
        finally:
            self._batch.drop()
        for branch, path in reversed(self._folders):
            if path:
                self.finish_folder(branch, path)
        sync_file_system(self._staging.top)
        return self.done

    def finish_folder(self, branch: Branch, path: Components) -> None:
        """Give a directory its attributes; nothing may be put into it afterwards. OSError."""
        inside = (*branch.inside, *path[len(branch.at) :])
        new = open_folder(self._staging.top, path)
        try:
            with open_old_entry(branch.origin, inside) as entry:
                old = open_folder(entry.folder, inside[-1:])
                try:
                    self._note(
                        path, copy_attributes(old, entry.stat, new, privileged=self._privileged)
                    )
                finally:
                    os.close(old)
        finally:
            os.close(new)

    def finish_top(self) -> None:
        """The tree's top directory: after this it is as it was."""
        self.finish_folder(self._branches[0], ())

    def _leave_out(self, path: Components, error: ZrError) -> None:
        self.done.left_out.append((path, error))

    def _note(self, path: Components, losses: Sequence[Loss]) -> None:
        for loss in losses:
            self.done.losses[loss.kind] += 1
            if len(self.done.examples) < _EXAMPLES:
                self.done.examples.append((path, loss))

    def _restore_folder(
        self, branch: Branch, folder: Folder, several: dict[int, Components]
    ) -> None:
        new = self._ensure_folder(folder.path)
        try:
            self._folders.append((branch, folder.path))
            self.done.directories += 1
            for name, found in folder.entries:
                path = (*folder.path, name)
                if stat.S_ISDIR(found.st_mode):
                    continue
                if not stat.S_ISREG(found.st_mode):
                    self._restore_node(folder, new, name, found)
                elif found.st_nlink > 1 and found.st_ino in several:
                    self._restore_link(several[found.st_ino], new, name)
                elif self._restore_file(branch, folder, new, name, found) and found.st_nlink > 1:
                    several[found.st_ino] = path
        finally:
            os.close(new)

    def _ensure_folder(self, path: Components) -> int:
        """The new directory, closed to others for the time; the ones above it too."""
        here = os.dup(self._staging.top)
        for component in path:
            try:
                try:
                    os.mkdir(component, 0o700, dir_fd=here)
                except FileExistsError:
                    os.chmod(component, 0o700, dir_fd=here)
                deeper = open_folder(here, (component,))
            finally:
                os.close(here)
            here = deeper
        return here

    def _restore_file(
        self, branch: Branch, folder: Folder, new: int, name: str, found: os.stat_result
    ) -> bool:
        path = (*folder.path, name)
        if self._is_proven(path, new, name, found):
            self.done.files += 1
            self.done.kept_files += 1
            self.done.size_bytes += found.st_size
            self._progress(2 * found.st_size)
            return True
        _remove(new, name)
        try:
            old = os.open(name, _READ, dir_fd=folder.fd)
        except OSError as error:
            self._leave_out(path, _unreadable(branch, path, error))
            return False
        try:
            size = self._copy_file(old, new, name, path)
        except SourceUnreadable as unreadable:
            _remove(new, name)
            self._leave_out(path, _unreadable(branch, path, unreadable.cause))
            return False
        finally:
            os.close(old)
        self.done.files += 1
        self.done.size_bytes += size
        return True

    def _copy_file(self, old: int, new: int, name: str, path: Components) -> int:
        fd = os.open(name, _WRITE, 0o600, dir_fd=new)
        try:
            seen = os.fstat(old)
            size, digest = copy_with_digest(old, fd, self._progress)
            self._note(path, copy_attributes(old, seen, fd, privileged=self._privileged))
        except BaseException:
            os.close(fd)
            raise
        self._batch.add(fd, path, seen, size, digest)
        return size

    def _is_proven(self, path: Components, new: int, name: str, found: os.stat_result) -> bool:
        known = self._staging.proven.get(path)
        if known is None or known.ino != found.st_ino:
            return False
        try:
            there = os.stat(name, dir_fd=new, follow_symlinks=False)
        except OSError:
            return False
        same = known.size_bytes == found.st_size == there.st_size
        return same and known.mtime_ns == found.st_mtime_ns == there.st_mtime_ns

    def _restore_link(self, first: Components, new: int, name: str) -> None:
        source = open_folder(self._staging.top, first[:-1])
        try:
            _remove(new, name)
            os.link(first[-1], name, src_dir_fd=source, dst_dir_fd=new, follow_symlinks=False)
        finally:
            os.close(source)
        self.done.files += 1

    def _restore_node(self, folder: Folder, new: int, name: str, found: os.stat_result) -> None:
        path = (*folder.path, name)
        _remove(new, name)
        losses = make_node(folder.fd, found, new, name, privileged=self._privileged)
        self._note(path, losses)
        if not any(loss.kind == "device" for loss in losses):
            self.done.others += 1


def make_node(
    old_fd: int,
    found: os.stat_result,
    new_fd: int,
    name: str,
    *,
    privileged: bool,
    new_name: str = "",
) -> tuple[Loss, ...]:
    """A symbolic link, pipe, socket or device again; a device only where `privileged`. OSError."""
    made = new_name or name
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=old_fd), made, dir_fd=new_fd)
    elif stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode):
        os.mknod(made, stat.S_IFMT(found.st_mode) | 0o600, dir_fd=new_fd)
    else:
        kind = "block" if stat.S_ISBLK(found.st_mode) else "character"
        number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        if not privileged:
            return (Loss("device", f"the {kind} device {number} was not made"),)
        try:
            os.mknod(made, stat.S_IFMT(found.st_mode) | 0o600, found.st_rdev, dir_fd=new_fd)
        except PermissionError:
            return (Loss("device", f"the {kind} device {number} can only be made by root"),)
    return copy_node_attributes(found, new_fd, made)


def _unreadable(branch: Branch, path: Components, error: OSError) -> ZrError:
    return translate_open_error(error, branch.origin.snapshot, printable("/".join(path)))


def _remove(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno == errno.EISDIR:
            os.rmdir(name, dir_fd=folder)
            return
        raise
