"""Which two states does `zr diff` compare? Each is in a snapshot, or is what is there now.

The first is found as `zr restore` finds it; the second is the same place at another time, and
never anything of the same name somewhere else.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace

from zrepl_py.adapters.host.snapdir import open_old_file, translate_open_error
from zrepl_py.adapters.host.treewalk import open_folder
from zrepl_py.cli.restore_find import Found, Looking, find_in_copy, find_in_mounted
from zrepl_py.cli.restore_search import find_named
from zrepl_py.core.restoring import could_be_dataset
from zrepl_py.errors import Refused, ZrError
from zrepl_py.model.observation import Kind


@dataclass(frozen=True, slots=True)
class State:
    """One of the two. `stat` None: nothing was there."""

    name: str
    """The snapshot's name, or `now`."""
    at: int | None
    stat: os.stat_result | None
    path: str
    found: Found | None = None
    """None: it is what stands at `path` now."""

    @property
    def is_directory(self) -> bool:
        """So its entries are compared."""
        return self.stat is not None and stat.S_ISDIR(self.stat.st_mode)


def find_states(words: str, moment: str | None, look: Looking) -> tuple[State, State, Found]:
    """The two, and where they are. Errors: those of restore's find; of the first one where it is in
    neither."""
    then = replace(look, moment=moment if moment is not None else "latest")
    try:
        first = find_named(words, look, _find_dataset)
    except ZrError as error:
        if error.reason != "no-such-file":
            raise
        try:
            second = find_named(words, then, _find_dataset)
        except ZrError:
            raise error from None
        return State(look.moment, None, None, second.path), _state(second), second
    if moment is None and not first.node:
        return _state(first), _observe_now(first), first
    try:
        return _state(first), _state(_again(first, then)), first
    except ZrError as error:
        if error.reason != "no-such-file":
            raise
        return _state(first), State(then.moment, None, None, first.path), first


def _find_dataset(words: str, look: Looking) -> Found | None:
    name = words.rstrip("/")
    if not could_be_dataset(words):
        return None
    for mount in look.mounts:
        if (mount.kind, mount.source, mount.root) == ("zfs", name, "/"):
            return find_in_mounted(mount.point, look)
    copies = [c for c in look.observe_copies() if name in (c.dataset, c.stored)]
    if not copies:
        return None
    if copies[0].kind is Kind.VOLUME:
        raise Refused("not-a-file", f"{name} is a volume: there are no files in it to compare.")
    if len(copies) > 1:
        raise Refused(
            "several-files",
            f"Several nodes have a dataset {name}.",
            f"Name the replica: {', '.join(c.stored for c in copies)}.",
        )
    return find_in_copy(copies[0], (), look)


def _again(first: Found, then: Looking) -> Found:
    """The same place at another time."""
    if not first.node:
        return find_in_mounted(first.path, then)
    for copy in then.observe_copies():
        if (copy.source, copy.dataset) == (first.node, first.dataset):
            return find_in_copy(copy, first.inside, then)
    raise Refused("no-such-file", f"The replica of {first.dataset} went away meanwhile.")


def _state(found: Found) -> State:
    return State(found.chosen.name, found.chosen.at, found.stat, found.path, found)


def _observe_now(first: Found) -> State:
    try:
        now: os.stat_result | None = os.lstat(first.path)
    except (FileNotFoundError, NotADirectoryError):
        now = None
    except OSError as error:
        raise translate_open_error(error, "now", first.path) from error
    return State("now", None, now, first.path)


@contextlib.contextmanager
def open_file(state: State) -> Iterator[int]:
    """A descriptor of the regular file; closed afterwards. Errors: those of open_old_file."""
    if state.found is not None:
        with open_old_file(state.found.origin, state.found.inside) as old:
            yield old.fd
        return
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    yield from _held(state, flags)


@contextlib.contextmanager
def open_tree(state: State) -> Iterator[int]:
    """A descriptor of the directory; closed afterwards. Errors: no-rights and others."""
    if state.found is None:
        yield from _held(state, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return
    top = state.found.origin.open()
    try:
        try:
            folder = open_folder(top, state.found.inside)
        except OSError as error:
            raise translate_open_error(error, state.name, state.path) from error
        try:
            yield folder
        finally:
            os.close(folder)
    finally:
        os.close(top)


def _held(state: State, flags: int) -> Iterator[int]:
    try:
        fd = os.open(state.path, flags)
    except OSError as error:
        raise translate_open_error(error, state.name, state.path) from error
    try:
        yield fd
    finally:
        os.close(fd)
