"""How do files come out of a rescue? Copied, compared by digest, and never over anything.

Each goes to DIR/MEMBER/PATH, so that what two datasets call the same does not meet. A file that is
there already with the same content is left alone: the same command goes on after an interruption.
What is there with another content is never touched: it is named at the end.
"""

import contextlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from zrepl_py.adapters.files import translate_file_error
from zrepl_py.adapters.host.destination import Destination, find_destination
from zrepl_py.adapters.host.filecopy import Progress
from zrepl_py.adapters.host.filepair import compare_files
from zrepl_py.adapters.host.restore import Order, perform_restore
from zrepl_py.adapters.host.restoretree import TreeOrder, check_room, perform_node, perform_tree
from zrepl_py.adapters.host.snapdir import HeldOrigin, Origin, open_old_entry, open_old_file
from zrepl_py.adapters.host.survey import survey_tree
from zrepl_py.adapters.host.treewalk import Branch, Components
from zrepl_py.cli.rescue_find import Aside, Rescue, name_volume_clone
from zrepl_py.errors import Passing, Refused, ZrError
from zrepl_py.model.observation import Kind


@dataclass(frozen=True, slots=True)
class Wanted:
    """Something that is to be copied out of one dataset of a rescue."""

    aside: Aside
    inside: Components
    size_bytes: int = 0


@dataclass
class Exported:
    """What came out."""

    paths: list[str] = field(default_factory=list)
    size_bytes: int = 0
    already: int = 0
    left: list[tuple[str, ZrError]] = field(default_factory=list)
    """(path, why it was not written)"""


def find_wanted(rescue: Rescue, words: Sequence[str]) -> list[Wanted]:
    """What `words`, each MEMBER/PATH, mean. Errors: Refused(no-such-file, not-a-file)."""
    return [_find(rescue, word) for word in words]


def _find(rescue: Rescue, word: str) -> Wanted:
    path = word.strip("/")
    fitting = [a for a in rescue.datasets if path == a.member or path.startswith(f"{a.member}/")]
    if not fitting:
        members = ", ".join(a.member for a in rescue.datasets)
        raise Refused(
            "no-such-file",
            f"{word} is in no dataset of the rescue {rescue.label}.",
            f"Write DATASET/PATH; its datasets are {members}.",
        )
    aside = max(fitting, key=lambda a: len(a.member))
    if aside.kind is Kind.VOLUME:
        raise Refused(
            "not-a-file",
            f"{aside.member} is a volume: there are no files in it to copy.",
            f"To look into it: {name_volume_clone(aside)}",
        )
    inside = tuple(c for c in path[len(aside.member) :].split("/") if c)
    with open_old_entry(aside.origin, inside):
        return Wanted(aside, inside)


def copy_out(wanted: Sequence[Wanted], folder: str, at: int, progress: Progress) -> Exported:
    """Copy each below `folder`, which is made where it is missing. Errors: Passing(no-space), those
    of opening a rescue; what stands against a single one is in Exported.left."""
    done = Exported()
    ensure_folder(folder, wanted)
    with contextlib.ExitStack() as stack:
        held: dict[str, Origin] = {}
        for one in wanted:
            name = one.aside.stored
            if name not in held:
                held[name] = stack.enter_context(HeldOrigin(one.aside.origin))
            path = os.path.join(folder, *one.aside.member.split("/"), *one.inside)
            try:
                _export_one(done, held[name], one, path, at, progress)
            except ZrError as error:
                if error.reason == "no-space":
                    raise
                done.left.append((path, error))
    return done


def ensure_folder(folder: str, wanted: Sequence[Wanted]) -> None:
    """The directories DIR/MEMBER are there, and there is room. Errors: no-space, no-rights."""
    try:
        for member in sorted({one.aside.member for one in wanted}):
            os.makedirs(os.path.join(folder, *member.split("/")), mode=0o700, exist_ok=True)
        room = os.statvfs(folder)
    except OSError as error:
        raise translate_file_error(error, folder) from error
    needed, free = sum(one.size_bytes for one in wanted), room.f_bavail * room.f_frsize
    if needed > free:
        raise Passing(
            "no-space",
            f"The files take {needed:,} bytes, but {free:,} are free at {folder}.",
            "Free some space there, or name another directory.",
        )


def _export_one(
    done: Exported, origin: Origin, one: Wanted, path: str, at: int, progress: Progress
) -> None:
    with open_old_entry(origin, one.inside) as entry:
        found = entry.stat
    if stat.S_ISDIR(found.st_mode):
        _export_tree(done, origin, one, path, at, progress)
        return
    if stat.S_ISREG(found.st_mode) and _is_there(origin, one.inside, path):
        done.already += 1
        return
    destination = find_destination(path, None)
    if stat.S_ISREG(found.st_mode):
        restored = perform_restore(Order(origin, one.inside, destination, at), progress)
        done.size_bytes += restored.size_bytes
    else:
        branch = Branch(origin, one.aside.member, one.inside, ())
        perform_node(TreeOrder((branch,), destination, at), progress)
    done.paths.append(path)


def _export_tree(
    done: Exported, origin: Origin, one: Wanted, path: str, at: int, progress: Progress
) -> None:
    if not one.inside:
        # DIR/MEMBER is there already: a whole dataset goes below the rescue's own name.
        destination = Destination(path, (), origin.snapshot)
    else:
        destination = find_destination(path, None)
    order = TreeOrder((Branch(origin, one.aside.member, one.inside, ()),), destination, at)
    check_room(order, survey_tree(order.branches))
    restored = perform_tree(order, progress)
    done.paths.append(restored.path)
    done.size_bytes += restored.done.size_bytes
    done.left += [(os.path.join(path, *inner), error) for inner, error in restored.done.left_out]


def _is_there(origin: Origin, inside: Components, path: str) -> bool:
    """Whether the file stands at `path` already, byte by byte. What stands there with another
    content is found by find_destination, and refused."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        now = os.fstat(fd)
        with open_old_file(origin, inside) as old:
            if not stat.S_ISREG(now.st_mode) or now.st_size != old.stat.st_size:
                return False
            return compare_files(old.fd, fd, lambda _: None).first_difference is None
    finally:
        os.close(fd)
