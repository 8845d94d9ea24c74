"""What stands at a path in one snapshot? One look, with the caller's own rights.

Nothing is followed: a symbolic link on the way hides what is behind it, as for a restore. A look
never fails: what hinders it is a Hidden that says why. Reads only; opens no file.
"""

import contextlib
import os
import stat
from collections.abc import Sequence

from zrepl_py.adapters.host.snapdir import Origin, translate_open_error
from zrepl_py.adapters.host.statx import Facts, observe_facts
from zrepl_py.core.sights import Absent, Hidden, Sight, Stand, Way
from zrepl_py.errors import ZrError

_PASS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def look(origin: Origin, inside: Sequence[str]) -> Sight:
    """`inside`: components below the snapshot's root; none is the root itself."""
    try:
        folder = origin.open()
    except ZrError as error:
        return Hidden(error.reason, error.message)
    with contextlib.ExitStack() as open_fds:
        open_fds.callback(os.close, folder)
        return look_below(folder, inside, origin.snapshot)


def look_below(folder: int, inside: Sequence[str], snapshot: str) -> Sight:
    """The same below a directory's descriptor, which stays open. `snapshot`: for sentences."""
    shown = "/".join(inside) or "/"
    way: Way = ()
    with contextlib.ExitStack() as open_fds:
        try:
            facts = observe_facts("", folder)
            for depth, component in enumerate(inside):
                way = _way(depth, facts)
                facts = observe_facts(component, folder)
                if depth == len(inside) - 1:
                    break
                if stat.S_ISLNK(facts.mode):
                    return Hidden("unsafe-path", f"A symbolic link is on the way to {shown}.", way)
                if not stat.S_ISDIR(facts.mode):
                    return Absent(way)
                folder = os.open(component, _PASS, dir_fd=folder)
                open_fds.callback(os.close, folder)
        except FileNotFoundError:
            return Absent(way)
        except OSError as error:
            found = translate_open_error(error, snapshot, shown)
            return Hidden(found.reason, found.message, way if found.reason == "no-rights" else ())
    return stand_of(facts)


def stand_of(facts: Facts) -> Stand:
    """What is remembered of it."""
    return Stand(
        facts.inode,
        facts.born_ns,
        facts.size_bytes,
        facts.modified_ns,
        facts.changed_ns,
        facts.mode,
        facts.links,
    )


def _way(depth: int, facts: Facts) -> Way:
    return (depth, facts.inode, facts.born_ns, facts.changed_ns)
