"""Where shall something that is restored appear, and how are the directories there made again?

Nothing existing is changed. Directories on the way are made with what they were, and taken away
again where the rest fails.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from zrepl_py.adapters.host.attributes import copy_directory_attributes
from zrepl_py.adapters.host.newfile import refuse_existing
from zrepl_py.errors import Refused

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Destination:
    """Where it shall appear."""

    folder: str
    """A directory that exists."""
    missing: tuple[str, ...]
    """Directories below `folder` that have to be made again."""
    name: str
    in_place: bool = False
    """What is there may be exchanged, and is kept."""

    @property
    def path(self) -> str:
        """Where it will be."""
        return os.path.join(self.folder, *self.missing, self.name)


def find_destination(
    path: str, to: str | None, *, in_place: bool = False, remake: bool = True
) -> Destination:
    """The old place (`path`, absolute), or `to` (a new path, or an existing directory).

    `remake`: missing directories of the old place may be made again. Errors: Refused(exists),
    Refused(no-directory).
    """
    folder, name = os.path.split(path)
    missing: tuple[str, ...] = ()
    if to is None:
        while remake and not os.path.lexists(folder):
            folder, component = os.path.split(folder)
            missing = (component, *missing)
    elif os.path.isdir(to) and not in_place:
        folder = os.path.abspath(to)
    else:
        folder, name = os.path.split(to.rstrip("/") if os.path.isdir(to) else to)
        folder = os.path.abspath(folder)
    destination = Destination(folder, missing, name, in_place)
    if not os.path.isdir(folder) or name in ("", ".", ".."):
        raise Refused(
            "no-directory",
            f"{folder if to is None else to} is not a directory.",
            "Make it first, or say with --to PATH where it shall appear.",
        )
    if not in_place and os.path.lexists(destination.path):
        raise refuse_existing(destination.path)
    return destination


@contextlib.contextmanager
def ensure_directories(
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
                here = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
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
