"""Under which name is a file in another snapshot, where it is not under the one that is known?

By inode and birth: first in the directory where it was, then everywhere, as far as the caller may
look. Directories are read, entries are not: only what has the inode is looked at. Follows no link.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from zrepl_py.adapters.host.looking import look_below
from zrepl_py.adapters.host.snapdir import Origin
from zrepl_py.adapters.host.treewalk import Components, open_folder
from zrepl_py.core.sights import Stand
from zrepl_py.errors import ZrError


@dataclass(frozen=True, slots=True)
class Trace:
    """What a search found."""

    name: Components | None
    """Where it is; None: not seen."""
    whole: bool
    """Whether everything could be searched; else it may be where nobody looked."""


def trace(origin: Origin, stand: Stand, near: Sequence[str], most_entries: int) -> Trace:
    """`near`: components of the directory to look in first; `most_entries`: look at so many."""
    try:
        top = origin.open()
    except ZrError:
        return Trace(None, whole=False)

    def fits(folder: int, entry: os.DirEntry[str]) -> bool:
        if entry.inode() != stand.inode:
            return False
        seen = look_below(folder, (entry.name,), origin.snapshot)
        return isinstance(seen, Stand) and seen.is_same_file(stand)

    search = _Search(top, fits, most_entries)
    try:
        found = search.in_folder(tuple(near)) if near else None
        found = found or next(search.everywhere(), None)
        return Trace(found, whole=search.whole)
    finally:
        os.close(top)


def find_named(origin: Origin, name: str, most_entries: int) -> Iterator[Components]:
    """Every path whose last component is `name`, as far as the caller may look."""
    try:
        top = origin.open()
    except ZrError:
        return
    try:
        yield from _Search(top, lambda _, entry: entry.name == name, most_entries).everywhere()
    finally:
        os.close(top)


@dataclass
class _Search:
    top: int
    fits: Callable[[int, os.DirEntry[str]], bool]
    """(descriptor of its directory, entry)"""
    left: int
    whole: bool = True

    def in_folder(self, path: Components) -> Components | None:
        """Only there; that it cannot be read means nothing yet."""
        before = self.whole
        found = next(self._matches(path, lambda _: None), None)
        self.whole = before
        return found

    def everywhere(self) -> Iterator[Components]:
        """In the whole snapshot, the topmost directories first."""
        waiting: list[Components] = [()]
        while waiting and self.left > 0:
            deeper: list[Components] = []
            for path in waiting:
                yield from self._matches(path, deeper.append)
            waiting = deeper
        self.whole = self.whole and not waiting

    def _matches(
        self, path: Components, deeper: Callable[[Components], None]
    ) -> Iterator[Components]:
        """What fits in one directory; the directories in it are told to `deeper`."""
        try:
            folder = open_folder(self.top, path)
        except OSError:
            self.whole = False
            return
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.left -= 1
                    if self.left < 0:
                        self.whole = False
                        return
                    if self.fits(folder, entry):
                        yield (*path, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        deeper((*path, entry.name))
        except OSError:
            self.whole = False
        finally:
            os.close(folder)
