"""What does a rescue have that neither the common version nor the primary has?

Three states are compared: the version that both nodes had, what was set aside, and what stands at
its place now. What was added or changed in the rescue counts, unless the very same content is there
now: somebody has brought it back already. Reads only; the marker of the roles is left out.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from zrepl_py.adapters.host.filepair import compare_files
from zrepl_py.adapters.host.snapdir import HeldOrigin, Origin, translate_open_error
from zrepl_py.adapters.host.treepair import Tree, compare_trees
from zrepl_py.adapters.host.treewalk import Components, open_folder
from zrepl_py.cli.rescue_find import Aside
from zrepl_py.core.restoring import printable
from zrepl_py.core.treediff import Change, Difference, Entry
from zrepl_py.errors import ZrError

MARKER = ".zr"
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Only:
    """Something that only the rescue has: a file, a link, or another thing that is no directory."""

    change: Change
    path: Components
    old_path: Components
    size_bytes: int
    regular: bool
    also_changed: bool
    """What stands at that path now is not what both had: it was changed on both nodes."""


@dataclass
class Tail:
    """What one dataset of a rescue has alone."""

    only: list[Only] = field(default_factory=list)
    already: int = 0
    """Files that are there now, byte by byte."""
    removed: int = 0
    """Files of the common version that were removed in that time."""
    attributes: int = 0
    """Of which only owner, mode or the like was changed."""
    troubles: list[tuple[Components, ZrError]] = field(default_factory=list)
    """What could not be looked into."""

    @property
    def size_bytes(self) -> int:
        """Of what only the rescue has."""
        return sum(one.size_bytes for one in self.only)


def find_tail(aside: Aside, present: str | Origin | None, progress: Progress) -> Tail:
    """`present`: as rescue_find.find_present. Errors: those of opening one of the three."""
    with contextlib.ExitStack() as stack:
        rescue = _open(stack, aside.origin)
        base_origin = aside.base_origin
        base = _open(stack, base_origin) if base_origin else _open_empty(stack)
        now = _open_present(stack, present)
        shown = base_origin.snapshot if base_origin else "nothing"
        done = compare_trees(Tree(base, shown), Tree(rescue, aside.snapshot), progress)
        tail = Tail(troubles=done.troubles)
        for one in done.differences:
            if one.path[:1] != (MARKER,):
                _judge(tail, one, (base, rescue, now))
        return tail


def _judge(tail: Tail, one: Difference, tops: tuple[int, int, int | None]) -> None:
    base, rescue, now = tops
    if one.is_directory:
        return
    if one.change is Change.REMOVED:
        tail.removed += 1
    elif one.change is Change.MODIFIED and one.what == "attributes":
        tail.attributes += 1
    elif one.new is not None:
        try:
            there = now is not None and _is_same(rescue, now, one.path)
            both = now is not None and not there and not _is_same(base, now, one.path)
        except ZrError as error:
            tail.troubles.append((one.path, error))
            there = both = False
        if there:
            tail.already += 1
        else:
            tail.only.append(_only(one, one.new, both=both))


def _only(one: Difference, entry: Entry, *, both: bool) -> Only:
    regular = stat.S_ISREG(entry.mode)
    size = entry.size_bytes if regular else 0
    return Only(one.change, one.path, one.old_path, size, regular, both)


def _is_same(one: int, other: int, path: Components) -> bool:
    """Whether both have the same at `path`, by content; neither having anything is the same."""
    with _entry(one, path) as first, _entry(other, path) as second:
        if first is None or second is None:
            return first is second
        kinds = [stat.S_IFMT(found.st_mode) for _, found in (first, second)]
        if kinds[0] != kinds[1]:
            return False
        folders = first[0], second[0]
        if stat.S_ISLNK(kinds[0]):
            links = [os.readlink(path[-1], dir_fd=folder) for folder in folders]
            return links[0] == links[1]
        if not stat.S_ISREG(kinds[0]):
            return True
        if first[1].st_size != second[1].st_size:
            return False
        with contextlib.ExitStack() as stack:
            files = []
            for folder in folders:
                files.append(os.open(path[-1], _FILE, dir_fd=folder))
                stack.callback(os.close, files[-1])
            return compare_files(files[0], files[1], lambda _: None).first_difference is None


@contextlib.contextmanager
def _entry(top: int, path: Components) -> Iterator[tuple[int, os.stat_result] | None]:
    """A descriptor of its directory, and what stands there; None where there is nothing."""
    try:
        folder = open_folder(top, path[:-1])
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    except OSError as error:
        raise translate_open_error(error, "now", printable("/".join(path))) from error
    try:
        try:
            found = os.stat(path[-1], dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            yield None
            return
        yield folder, found
    finally:
        os.close(folder)


def _open(stack: contextlib.ExitStack, origin: Origin) -> int:
    fd = stack.enter_context(HeldOrigin(origin)).open()
    stack.callback(os.close, fd)
    return fd


def _open_empty(stack: contextlib.ExitStack) -> int:
    """Nothing in common: everything in the rescue is new."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="zr-nothing-"))
    fd = os.open(folder, _DIRECTORY)
    stack.callback(os.close, fd)
    return fd


def _open_present(stack: contextlib.ExitStack, present: str | Origin | None) -> int | None:
    if present is None:
        return None
    if not isinstance(present, str):
        return _open(stack, present)
    try:
        fd = os.open(present, _DIRECTORY)
    except OSError as error:
        raise translate_open_error(error, "now", present) from error
    stack.callback(os.close, fd)
    return fd
