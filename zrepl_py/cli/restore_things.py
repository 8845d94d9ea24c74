"""`zr restore` of what was found: a file, a directory, or a link; to a place or standard output."""

import os
import stat
from collections import Counter
from dataclasses import dataclass, replace

import click

from zrepl_py.adapters.host.destination import Destination, find_destination
from zrepl_py.adapters.host.leftovers import find_leftovers
from zrepl_py.adapters.host.mounts import find_below, observe_mounts
from zrepl_py.adapters.host.renaming import refuse_mounted
from zrepl_py.adapters.host.restore import Order, Restored, perform_output, perform_restore
from zrepl_py.adapters.host.restoretree import (
    TreeOrder,
    TreeRestored,
    check_room,
    perform_node,
    perform_tree,
)
from zrepl_py.adapters.host.snapdir import open_old_file
from zrepl_py.adapters.host.staging import LOG_SUFFIX
from zrepl_py.adapters.host.survey import Survey, survey_tree
from zrepl_py.adapters.host.treecopy import TreeDone
from zrepl_py.cli.restore_find import Found, Looking
from zrepl_py.cli.restore_say import Answer, count_words, joined, show_progress, tell
from zrepl_py.core.restoring import printable, render_kept_name
from zrepl_py.errors import Corrupt, Refused, Standing, ZrError


@dataclass(frozen=True, slots=True)
class Wish:
    """How a person wants it."""

    to: str | None
    in_place: bool
    privileged: bool
    dry_run: bool
    as_json: bool


def write_output(found: Found, wish: Wish, output_fd: int) -> None:
    """The file's content to standard output; the sentence goes to standard error."""
    if wish.dry_run:
        with open_old_file(found.origin, found.inside) as old:
            done = Restored("-", old.stat.st_size, "")
    else:
        done = perform_output(found.origin, found.inside, output_fd, lambda _: None)
    tell(_answer_file(found, wish, done), as_json=False)


def restore_found(found: Found, look: Looking, wish: Wish) -> None:
    """Restore it to its place and say so. Errors: those of the adapters; Standing(no-rights) or
    Corrupt(io-error) after a tree of which something could not be read."""
    destination = _find_place(found, wish)
    order = TreeOrder(found.branches, destination, int(look.now), wish.privileged)
    _say_what_was_left(destination.folder, order.staging_name)
    if stat.S_ISREG(found.stat.st_mode):
        _restore_file(found, look, wish, destination)
    elif stat.S_ISDIR(found.stat.st_mode):
        _restore_tree(found, look, wish, order)
    else:
        order = TreeOrder(found.branches[:1], destination, int(look.now), wish.privileged)
        done = TreeRestored(destination.path, TreeDone())
        if not wish.dry_run:
            done = perform_node(order, lambda _: None)
        tell(_answer_node(found, wish, done), as_json=wish.as_json)


def _find_place(found: Found, wish: Wish) -> Destination:
    try:
        place = find_destination(found.path, wish.to, in_place=wish.in_place, remake=not found.node)
    except Refused as error:
        if error.reason == "no-directory" and wish.to is None and found.node:
            raise _refuse_place(found) from None
        raise
    if len(place.missing) >= max(1, len(found.inside)):
        # Directories of a dataset are made again, but not the place where it was mounted.
        raise _refuse_place(found)
    if wish.in_place and os.path.isdir(place.path):
        mounts = observe_mounts()
        real = os.path.realpath(place.path)
        if find_below(real, mounts) or any(m.point == real for m in mounts):
            raise refuse_mounted(place.path)
    return place


def _refuse_place(found: Found) -> Refused:
    where = f"on {found.node}" if found.node else "before"
    return Refused(
        "no-directory",
        f"{os.path.dirname(found.path)}, where it was {where}, is not a directory of this machine.",
        "Say where it shall go, for instance --to . for the current directory.",
    )


def _restore_file(found: Found, look: Looking, wish: Wish, destination: Destination) -> None:
    order = Order(found.origin, found.inside, destination, int(look.now), wish.privileged)
    size = found.stat.st_size
    if wish.dry_run:
        with open_old_file(found.origin, found.inside):
            pass
        done = Restored(destination.path, size, "", kept=_kept(destination, look))
    else:
        with show_progress(2 * size) as progress:
            done = perform_restore(order, progress)
    tell(_answer_file(found, wish, done), as_json=wish.as_json)


def _restore_tree(found: Found, look: Looking, wish: Wish, order: TreeOrder) -> None:
    survey = survey_tree(order.branches)
    check_room(order, survey)
    if wish.dry_run:
        answer = _answer_survey(found, order.destination, look, survey)
        tell(answer, as_json=wish.as_json)
        return
    try:
        with show_progress(2 * survey.size_bytes) as progress:
            done = perform_tree(order, progress)
    except BaseException as error:
        if not (isinstance(error, ZrError) and error.reason == "already-running"):
            _say_what_stays(order)
        raise
    tell(_answer_tree(found, wish, done), as_json=wish.as_json)
    _raise_for_left_out(done)


def _say_what_was_left(folder: str, besides: str) -> None:
    """Of earlier restores to this directory that were ended by force."""
    for one in find_leftovers(folder, besides):
        path = printable(one.path)
        if one.is_tree:
            words = "is what an earlier restore brought so far; the same command goes on from there"
            remove = f"rm -r {path} {path}{LOG_SUFFIX}"
        else:
            words, remove = "is left from a restore that was killed", f"rm {path}"
        click.echo(f"zr: {path} {words}. If you do not want it: {remove}", err=True)


def _say_what_stays(order: TreeOrder) -> None:
    if os.path.isdir(order.staging_path):
        path = printable(order.staging_path)
        click.echo(
            f"zr: what came back so far is in {path}, with a log beside it; the same command goes "
            "on from there. Remove both if you do not want it.",
            err=True,
        )


def _raise_for_left_out(restored: TreeRestored) -> None:
    """A tree that is not whole is there, but the exit code must say that it is not whole."""
    troubles = [error for _, error in restored.done.left_out]
    if not troubles:
        return
    worst = next((e for e in troubles if isinstance(e, Corrupt)), troubles[0])
    count = len(troubles)
    entries = "1 entry" if count == 1 else f"{count:,} entries"
    message = f"{entries} could not be read, and left out. {worst.message}"
    if isinstance(worst, Corrupt):
        raise Corrupt("io-error", message, worst.remedy)
    raise Standing("no-rights", message, "Run this as root for all of it.") from worst


def _answer_file(found: Found, wish: Wish, done: Restored) -> Answer:
    answer = _answer("file", found, done.path, done.size_bytes, f"{done.size_bytes:,} bytes")
    return replace(
        answer,
        proof=f"sha256 {done.sha256}",
        done=not wish.dry_run,
        sha256=done.sha256,
        kept=done.kept,
        examples=[("", loss) for loss in done.losses],
        losses=Counter(loss.kind for loss in done.losses),
    )


def _answer_node(found: Found, wish: Wish, restored: TreeRestored) -> Answer:
    amount = "a link" if stat.S_ISLNK(found.stat.st_mode) else "a special file"
    return replace(
        _answer("other", found, restored.path, 0, amount),
        done=not wish.dry_run,
        kept=restored.kept,
        examples=[("", loss) for _, loss in restored.done.examples],
        losses=restored.done.losses,
    )


def _answer_tree(found: Found, wish: Wish, restored: TreeRestored) -> Answer:
    done = restored.done
    amount = count_words(
        ((done.files, "file"), (done.directories, "directory"), (done.others, "other"))
    )
    earlier = f", {done.kept_files:,} of the files by an earlier run" if done.kept_files else ""
    answer = _tree(found, restored.path, done.size_bytes, f"{amount}, {done.size_bytes:,} bytes")
    return replace(
        answer,
        proof=f"every file compared{earlier}",
        done=not wish.dry_run,
        kept=restored.kept,
        counts={
            "files": done.files,
            "directories": done.directories,
            "others": done.others,
            "files_of_an_earlier_run": done.kept_files,
        },
        losses=done.losses,
        examples=[("/".join(path), loss) for path, loss in done.examples],
        left_out=(*answer.left_out, *_troubles(restored.path, done.left_out)),
    )


def _answer_survey(found: Found, destination: Destination, look: Looking, survey: Survey) -> Answer:
    amount = count_words(
        ((survey.files, "file"), (survey.directories, "directory"), (survey.others, "other"))
    )
    path, size = destination.path, survey.size_bytes
    answer = _tree(found, path, size, f"{amount}, {size:,} bytes")
    return replace(
        answer,
        done=False,
        kept=_kept(destination, look),
        counts={
            "files": survey.files,
            "directories": survey.directories,
            "others": survey.others,
        },
        left_out=(*answer.left_out, *_troubles(path, survey.troubles)),
    )


def _tree(found: Found, path: str, size: int, amount: str) -> Answer:
    left_out = tuple((part.path, part.why) for part in found.left_out)
    return replace(_answer("directory", found, path, size, amount), left_out=left_out)


def _answer(kind: str, found: Found, path: str, size: int, amount: str) -> Answer:
    """What is said of whatever was found."""
    return Answer(
        kind=kind,
        path=path,
        dataset=found.dataset,
        node=found.node,
        chosen=found.chosen,
        zone=found.zone,
        peer=found.peer,
        size_bytes=size,
        amount=amount,
    )


def _troubles(base: str, found: list[tuple[tuple[str, ...], ZrError]]) -> list[tuple[str, str]]:
    return [(joined(base, path), error.message) for path, error in found]


def _kept(destination: Destination, look: Looking) -> str:
    if not destination.in_place or not os.path.lexists(destination.path):
        return ""
    above, name = os.path.split(destination.path)
    return os.path.join(above, render_kept_name(name, int(look.now)))
