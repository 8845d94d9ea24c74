"""May root do what these settings say? Only if nobody but root could have written them.

The worker reads zr.toml itself, at each question: the daemon names a group and a service, never a
command. What is executed, and a compose file, must belong to root as well, with all directories
above: otherwise whoever may write there would be root.
"""

import os
import stat
from collections.abc import Iterator

from zrepl_py.config.node import load_node_config
from zrepl_py.errors import Standing
from zrepl_py.model.host import Hosting, ServiceKind

_WRITERS = stat.S_IWGRP | stat.S_IWOTH


class HostSettings:
    """What zr.toml says of a group, now."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, group: str) -> Hosting | None:
        """None where it says nothing. Errors: Standing(config, not-trusted)."""
        check_only_root_writes(self._path)
        hosting = load_node_config(self._path).roles.get(group)
        for path in sorted(set(_executed(hosting))) if hosting is not None else ():
            check_only_root_writes(path)
        return hosting


def _executed(hosting: Hosting) -> Iterator[str]:
    for service in hosting.services:
        if service.kind is ServiceKind.COMPOSE:
            yield service.target
        for argv in (service.start, service.stop, service.status):
            yield from argv[:1]


def check_only_root_writes(path: str) -> None:
    """The file, what it links to, and every directory above. Errors: Standing(not-trusted)."""
    real = os.path.realpath(path)
    for place in _with_parents(os.path.abspath(path)) + _with_parents(real):
        try:
            found = os.lstat(place)
        except OSError as error:
            raise _not_trusted(path, f"{place} cannot be looked at ({error.strerror})") from None
        if found.st_uid != 0:
            raise _not_trusted(path, f"{place} belongs to uid {found.st_uid}")
        # In a sticky directory nobody can replace what is root's.
        sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_mode & _WRITERS and not (sticky or stat.S_ISLNK(found.st_mode)):
            raise _not_trusted(path, f"{place} can be written by others than root")


def _with_parents(path: str) -> list[str]:
    found = [path]
    while path != "/":
        path = os.path.dirname(path)
        found.append(path)
    return found


def _not_trusted(path: str, why: str) -> Standing:
    return Standing(
        "not-trusted",
        f"{path} would be obeyed by root, but {why}.",
        "Give it, and the directories above, to root (chown root), and take the right to write "
        "from group and others (chmod go-w).",
    )
