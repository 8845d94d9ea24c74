"""What is in a directory of a snapshot, all of it, without ever following a link?

Every directory is opened anew, component by component beneath the descriptor of the tree's top, so
depth costs no descriptors. Parents come before what is in them, names in order: two walks of the
same snapshot see the same. What cannot be looked into is told, and the walk goes on.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from zrepl_py.adapters.host.snapdir import Origin, open_old_entry, translate_open_error
from zrepl_py.core.restoring import printable
from zrepl_py.errors import ZrError

Components = tuple[str, ...]
Trouble = Callable[[Components, ZrError], None]
"""Told a path (components below the restored tree's top) and what stands against it."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Branch:
    """One dataset's part of a tree."""

    origin: Origin
    dataset: str
    """As people know it, for sentences."""
    inside: Components
    """The directory in its snapshot that is wanted; none is the dataset's root."""
    at: Components
    """Where that directory stands in the restored tree; none is the tree's top."""


@dataclass(frozen=True, slots=True)
class Folder:
    """One directory, open while it is dealt with."""

    path: Components
    """Below the restored tree's top."""
    fd: int
    stat: os.stat_result
    entries: tuple[tuple[str, os.stat_result], ...]
    """In order of their names."""


def walk_branch(
    branch: Branch, others: Collection[Components], trouble: Trouble
) -> Iterator[Folder]:
    """Every directory of a branch. `others`: where other branches stand, whose place is theirs."""
    skipped = frozenset(others) - {branch.at}
    with open_old_entry(branch.origin, branch.inside) as entry:
        top = open_folder(entry.folder, branch.inside[-1:])
    try:
        waiting: list[Components] = [()]
        while waiting:
            inner = waiting.pop()
            path = (*branch.at, *inner)
            try:
                fd = open_folder(top, inner)
            except OSError as error:
                trouble(path, _translate(branch, path, error))
                continue
            try:
                folder = Folder(path, fd, os.fstat(fd), _entries(branch, path, fd, trouble))
                deeper = [
                    (*inner, name)
                    for name, found in folder.entries
                    if stat.S_ISDIR(found.st_mode) and (*path, name) not in skipped
                ]
                waiting.extend(reversed(deeper))
                yield folder
            finally:
                os.close(fd)
    finally:
        os.close(top)


def open_folder(top: int, path: Sequence[str]) -> int:
    """A descriptor of the directory at `path` beneath `top`, following nothing. Raises OSError."""
    here = os.open(path[0] if path else ".", _FOLDER, dir_fd=top)
    for component in path[1:]:
        try:
            deeper = os.open(component, _FOLDER, dir_fd=here)
        finally:
            os.close(here)
        here = deeper
    return here


def _entries(
    branch: Branch, path: Components, fd: int, trouble: Trouble
) -> tuple[tuple[str, os.stat_result], ...]:
    found = []
    try:
        names = sorted(os.listdir(fd))
    except OSError as error:
        trouble(path, _translate(branch, path, error))
        names = []
    for name in names:
        try:
            found.append((name, os.stat(name, dir_fd=fd, follow_symlinks=False)))
        except OSError as error:
            trouble((*path, name), _translate(branch, (*path, name), error))
    return tuple(found)


def _translate(branch: Branch, path: Components, error: OSError) -> ZrError:
    return translate_open_error(error, branch.origin.snapshot, printable("/".join(path)) or "/")
