"""Which dataset's snapshots have a file's history, and where in them is it?

As `zr restore` looks: a path on a mounted dataset, else a replica that this node keeps, else, for a
bare name, everything that is protected. But for a history the file need not be in any one snapshot.
"""

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.host.mounts import Mount, find_datasets, locate, observe_mounts
from zrepl_py.adapters.host.nametrace import find_named
from zrepl_py.adapters.host.snapshotlist import Catalog
from zrepl_py.adapters.host.timeline import Looker, Store, Timeline
from zrepl_py.adapters.zfs.command import CommandZfs
from zrepl_py.cli.restore_find import Looking, load_known_policies, render_paths
from zrepl_py.cli.restore_node import NO_POOL, KeptReplicas
from zrepl_py.core.copies import Copy, find_copies, find_likely_copies, old_path
from zrepl_py.core.restoring import is_bare, printable
from zrepl_py.core.sights import Hidden, Stand
from zrepl_py.errors import Corrupt, Passing, Refused, Standing, ZrError
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.observation import Kind

MOST_ENTRIES = 1_000_000
"""A search for a name looks at so many entries of a snapshot."""
MOST_FOUND = 20
_NOT_HERE = frozenset(("not-on-zfs", "no-such-file", "no-snapshot", "snapshot-unreachable"))
_KINDS = {"unsafe-path": Refused, "io-error": Corrupt}
_EXCUSED = NO_POOL | {"no-rights"}
"""Who may not list replicas looks without them."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Where a file's history is."""

    store: Store
    dataset: str
    """The dataset's name on the node that it is of."""
    node: str
    """That node, where this is a replica kept for it; empty for this machine's own."""
    path: str
    """Where the file is or was, absolute, on that node."""
    inside: tuple[str, ...]
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Seen:
    """And what was seen there."""

    subject: Subject
    catalog: Catalog
    timeline: Timeline

    @property
    def is_there(self) -> bool:
        """Whether any snapshot has something at the path."""
        return any(isinstance(sight, Stand) for sight in self.timeline.sights)


@contextlib.contextmanager
def looking(moment: str, policies: str, node: NodeConfig | None) -> Iterator[Looking]:
    """The machine as it is now; closes what was opened."""
    with contextlib.ExitStack() as stack:
        yield Looking(
            moment,
            MachineClock().now(),
            load_known_policies(policies),
            observe_mounts(),
            KeptReplicas(node.replica_parent if node else None, excused=_EXCUSED).observe,
            lambda dataset: CommandZfs().observe_history(dataset),
            stack,
        )


def observe_history(words: str, look: Looking, looker: Looker) -> Seen:
    """What `words` (a path, DATASET/PATH, or a bare name) means, and its history.

    Errors: not-on-zfs, no-such-file, no-snapshot, several-files, no-rights, those of the catalog.
    """
    if not words.strip():
        raise Refused("bad-name", "No file was named.", "Give a file, such as interview.wav.")
    first: ZrError | None = None
    for subjects in (_mounted, _kept, _searched):
        found: list[Seen] = []
        try:
            for subject in subjects(words, look, looker):
                found += _observe(subject, looker)
        except ZrError as error:
            if error.reason not in _NOT_HERE:
                raise
            first = first or (_explain(words, found[0]) if found else error)
        there = [seen for seen in found if seen.is_there]
        if len(there) > 1:
            paths = [f"{s.subject.path} (of {s.subject.node or s.subject.dataset})" for s in there]
            raise Refused(
                "several-files",
                f"There are several: {render_paths(paths)}.",
                "Give the whole path of the one that is meant, or write DATASET/PATH.",
            )
        if there:
            return there[0]
        first = first or (_explain(words, found[0]) if found else None)
    raise first or _unknown(words)


def _explain(words: str, seen: Seen) -> ZrError:
    """Why nothing was seen in any snapshot of the likeliest dataset."""
    subject, sights = seen.subject, seen.timeline.sights
    if not sights:
        return Refused(
            "no-snapshot",
            f"{subject.dataset} has no snapshots.",
            "Check with `zr status` that a policy covers it; older states may be on the peer.",
        )
    hidden = [sight for sight in sights if isinstance(sight, Hidden)]
    if hidden:
        message = f"{printable(subject.path)} cannot be seen: {hidden[-1].message}"
        kind = _KINDS.get(hidden[-1].reason, Standing)
        return kind(hidden[-1].reason, message, "Run this as root for all of it.")
    if seen.timeline.unknown:
        return Passing(
            "not-looked",
            f"{printable(words)} was in none of the snapshots of {subject.dataset} that were "
            f"looked into; {seen.timeline.unknown:,} were not.",
            "Run it again, it goes on there; or allow more at once, with --look N.",
        )
    if not subject.node and os.path.lexists(subject.path):
        return Refused(
            "no-snapshot",
            f"{printable(subject.path)} is in no snapshot yet: only this disk has it.",
            "Wait for the next one, or run `zr sync`: it returns when the other node has it too.",
        )
    return _unknown(words)


def _unknown(words: str) -> Refused:
    path, at, moment = words.rpartition("@")
    remedy = "Check the spelling, or give the whole path that it had."
    if at and path and moment:
        remedy += f" If {printable(moment)} is a time: give the file without it."
    message = f"{printable(words)} is in no snapshot that you may look into."
    return Refused("no-such-file", message, remedy)


def _observe(subject: Subject, looker: Looker) -> list[Seen]:
    try:
        catalog = looker.catalog(subject.store)
    except Standing as error:
        if error.reason != "dataset-missing":
            raise
        return []
    return [Seen(subject, catalog, looker.observe(subject.store, catalog, subject.inside))]


def _mounted(words: str, look: Looking, looker: Looker) -> Iterator[Subject]:
    """On this machine's own datasets; where one has no snapshots, in the one above, whose directory
    it may have been."""
    mounts: list[Mount] = list(look.mounts)
    while True:
        place = locate(words, mounts)
        store = Store(place.dataset, place.mountpoint)
        zone = look.zone(place.dataset)
        yield Subject(store, place.dataset, "", place.path, place.inside, zone)
        if looker.catalog(store).snapshots:
            return
        mounts = [m for m in mounts if m.source != place.dataset]


def _kept(words: str, look: Looking, _: Looker) -> Iterator[Subject]:
    """In the replicas that this node keeps for others."""
    copies = look.observe_copies()
    path = os.path.abspath(words)
    found = find_copies(copies, words.rstrip("/") or "/") or find_copies(copies, path)
    if not found and words.startswith("/"):
        found = find_likely_copies(copies, words)
    for copy, inside in found:
        yield _subject_of(copy, inside, look)


def _searched(words: str, look: Looking, looker: Looker) -> Iterator[Subject]:
    """A bare name, wherever the newest snapshots have it, as far as the caller may look."""
    if not is_bare(words):
        return
    if sys.stderr.isatty():
        click.echo(f"zr: {words} is not here; looking in every protected dataset …", err=True)
    found = 0
    for mount in find_datasets(look.mounts):
        store = Store(mount.source, mount.point)
        for inside in _names_in(store, words, looker):
            path = os.path.join(mount.point, *inside)
            yield Subject(store, mount.source, "", path, inside, look.zone(mount.source))
            found += 1
    if found or os.geteuid() != 0:
        return
    for copy in look.observe_copies():
        if copy.kind is not Kind.VOLUME:
            for inside in _names_in(Store(copy.stored, None), words, looker):
                yield _subject_of(copy, inside, look)


def _names_in(store: Store, name: str, looker: Looker) -> list[tuple[str, ...]]:
    try:
        snapshots = looker.catalog(store).snapshots
    except ZrError:
        return []
    if not snapshots:
        return []
    names = find_named(store.origin(snapshots[-1].name), name, MOST_ENTRIES)
    return list(itertools.islice(names, MOST_FOUND))


def _subject_of(copy: Copy, inside: tuple[str, ...], look: Looking) -> Subject:
    store, path = Store(copy.stored, None), old_path(copy, inside)
    return Subject(store, copy.dataset, copy.source, path, inside, look.zone(copy.dataset))
