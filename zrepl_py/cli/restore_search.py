"""Where is a file of which a person gave only the name?

In the current directory first. Then everywhere that is protected: in every dataset that has a
snapshot of zr from then, as far as the caller may look; as root also in the replicas kept here.
Several of the same name: they are listed, and nothing is done.
"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import click

from zrepl_py.adapters.host.mounts import Place, find_datasets
from zrepl_py.adapters.host.privatemount import MountedSnapshot
from zrepl_py.adapters.host.snapdir import (
    HeldOrigin,
    Origin,
    SnapshotDirectory,
    observe_snapshot_names,
    snapshot_root,
)
from zrepl_py.adapters.host.treewalk import Branch, Components, walk_branch
from zrepl_py.cli.restore_find import Found, Looking, find_in_copy, find_in_mounted, render_paths
from zrepl_py.cli.restore_missing import explain_missing, explain_missing_in_copy
from zrepl_py.core.copies import Copy, find_copies, find_likely_copies, old_path
from zrepl_py.core.restoring import is_bare
from zrepl_py.core.times import parse_time
from zrepl_py.core.versions import choose_snapshot
from zrepl_py.errors import Refused, ZrError

_MOST = 20
_ELSEWHERE = frozenset(
    ("not-on-zfs", "no-such-file", "no-snapshot", "no-directory", "snapshot-unreachable")
)
"""Why something may be in another place than the one that was said."""

T = TypeVar("T")
Match = Place | tuple[Copy, Components]


def find(words: str, look: Looking) -> Found:
    """What `words` (before the @) means. Errors: those of find_in_mounted and find_in_copy,
    Refused(several-files)."""
    try:
        return find_in_mounted(words, look)
    except ZrError as error:
        if error.reason not in _ELSEWHERE:
            raise
        found = _find_elsewhere(words, look)
        if found is None:
            raise _nowhere(words, error, look) from None
        return found


def find_named(
    words: str, look: Looking, find_dataset: Callable[[str, Looking], T | None]
) -> T | Found:
    """A dataset, or a file or directory. A dataset goes before a path, but a bare name is first of
    all a file's. Errors: those of find, and of `find_dataset`."""
    if not is_bare(words):
        return find_dataset(words, look) or find(words, look)
    try:
        return find(words, look)
    except ZrError:
        found = find_dataset(words, look)
        if found is None:
            raise
        return found


def _nowhere(words: str, error: ZrError, look: Looking) -> ZrError:
    """What to say where nothing was found anywhere: mostly what the first place said."""
    if error.reason != "not-on-zfs":
        return explain_missing(words, look, error)
    if is_bare(words):
        return Refused(
            "no-such-file",
            f"Nothing called {words} is in any snapshot from then that you may look into.",
            "Try another time, check the spelling, or give the whole path that it had.",
        )
    if copies := look.observe_copies():
        known = sorted({c.mountpoint for c in copies if c.mountpoint})
        return Refused(
            "no-such-file",
            f"{words} was neither on a ZFS dataset of this machine nor in a replica kept here.",
            f"The replicas were mounted at {render_paths(known[:_MOST])}. Give the whole path, or "
            "write DATASET/PATH, such as tank/audio/interview.wav.",
        )
    return explain_missing(words, look, error)


def _find_elsewhere(words: str, look: Looking) -> Found | None:
    copies = look.observe_copies()
    matches: list[Match] = list(find_copies(copies, words.rstrip("/") or "/"))
    if not matches and not words.startswith("/"):
        matches = list(find_copies(copies, os.path.abspath(words)))
    if not matches and words.startswith("/") and os.geteuid() == 0:
        return _find_likely(words, copies, look)
    if not matches and is_bare(words):
        if sys.stderr.isatty():
            click.echo(f"zr: {words} is not here; looking in every protected dataset …", err=True)
        matches = _search(words, look)
    if not matches:
        return None
    if len(matches) > 1:
        paths = [_path_of(m) for m in matches[:_MOST]]
        more = " and more" if len(matches) > _MOST else ""
        raise Refused(
            "several-files",
            f"There are several: {render_paths(paths)}{more}. Nothing was done.",
            "Give the whole path of the one that is meant.",
        )
    match = matches[0]
    if isinstance(match, Place):
        return find_in_mounted(match.path, look)
    copy, inside = match
    try:
        return find_in_copy(copy, inside, look)
    except Refused as error:
        raise explain_missing_in_copy(copy, inside, look, error) from None


def _find_likely(words: str, copies: tuple[Copy, ...], look: Looking) -> Found | None:
    """Where the place that a replica's dataset was mounted at is not known: the one that has it."""
    found: list[Found] = []
    for copy, inside in find_likely_copies(copies, words):
        try:
            found.append(replace(find_in_copy(copy, inside, look), path=words.rstrip("/")))
        except ZrError as error:
            if error.reason not in _ELSEWHERE:
                raise
    if len(found) > 1:
        names = ", ".join("/".join([f.dataset, *f.inside]) for f in found)
        raise Refused(
            "several-files",
            f"{words} may be one of several: {names}. Nothing was done.",
            "Name the one that is meant as DATASET/PATH, like these.",
        )
    return found[0] if found else None


def _path_of(match: Match) -> str:
    if isinstance(match, Place):
        return match.path
    copy, inside = match
    return f"{old_path(copy, inside)} (of {copy.source})"


def _search(name: str, look: Looking) -> list[Match]:
    found: list[Match] = []
    for match in _search_mounted(name, look):
        found.append(match)
        if len(found) > _MOST:
            return found
    if os.geteuid() == 0 and not found:
        for copy in look.observe_copies():
            found += [(copy, inside) for inside in _search_copy(name, copy, look)]
            if len(found) > _MOST:
                break
    return found


def _search_mounted(name: str, look: Looking) -> Iterator[Place]:
    for mount in find_datasets(look.mounts):
        root = snapshot_root(mount.point)
        zone = look.zone(mount.source)
        try:
            names = observe_snapshot_names(root)
            wanted = parse_time(look.moment, look.now, zone, names)
            chosen = choose_snapshot(names, wanted, zone)
        except ZrError as error:
            if error.reason not in (*_ELSEWHERE, "no-rights"):
                raise
            continue  # nothing of then is there, or nothing that the caller may see
        for inside in _names_in(name, mount.source, SnapshotDirectory(root, chosen.name)):
            path = os.path.join(mount.point, *inside)
            yield Place(mount.source, mount.point, inside, path)


def _search_copy(name: str, copy: Copy, look: Looking) -> Iterator[Components]:
    if copy.mountpoint is None:
        return
    names = {s.name: s.createtxg for s in look.observe_history(copy.stored).snapshots}
    zone = look.zone(copy.dataset)
    try:
        wanted = parse_time(look.moment, look.now, zone, names)
        chosen = choose_snapshot(names, wanted, zone, names)
    except Refused as error:
        if error.reason != "no-snapshot":
            raise
        return
    yield from _names_in(name, copy.dataset, MountedSnapshot(copy.stored, chosen.name))


def _names_in(name: str, dataset: str, origin: Origin) -> Iterator[Components]:
    """Paths of everything called `name` in a snapshot; what cannot be read is passed over."""
    with HeldOrigin(origin) as held:
        branch = Branch(held, dataset, (), ())
        try:
            for folder in walk_branch(branch, (), lambda _path, _error: None):
                for entry, _ in folder.entries:
                    if entry == name:
                        yield (*folder.path, entry)
        except ZrError:
            return
