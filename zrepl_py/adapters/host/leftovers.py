"""What did an earlier restore into this directory leave that was ended by force?

A hidden tree with its log (staging.py), from which the same command goes on; or a hidden file
(newfile.py), which is of no use. Whatever a restore that still runs works on is locked, and is not
spoken of. Looks only; removes nothing.
"""

import fcntl
import os
import re
from dataclasses import dataclass

from zrepl_py.adapters.host.staging import LOG_SUFFIX
from zrepl_py.core.restoring import STAGING_PREFIX

_NAME = re.compile(re.escape(STAGING_PREFIX) + r"[0-9a-f]{16}\Z")


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing of the caller's own that nothing works on."""

    path: str
    is_tree: bool
    """The same command goes on from it."""


def find_leftovers(folder: str, besides: str = "") -> list[Leftover]:
    """Those right in `folder`, by name; `besides`: the name of the one that is gone on with now.

    What cannot be looked at is left out."""
    try:
        names = sorted(n for n in os.listdir(folder) if _NAME.match(n) and n != besides)
    except OSError:
        return []
    found = []
    for name in names:
        path = os.path.join(folder, name)
        is_tree = os.path.isdir(path) and not os.path.islink(path)
        if _is_free(path + LOG_SUFFIX if is_tree else path):
            found.append(Leftover(path, is_tree))
    return found


def _is_free(path: str) -> bool:
    """It is the caller's own, and no process holds its lock."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
