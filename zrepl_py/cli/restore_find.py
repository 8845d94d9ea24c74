"""Which snapshot has what a person asked for, and where does it stand there?

Looks on this machine: in the snapshots of mounted datasets, with the caller's own rights, and, as
root, in the replicas that this node keeps for others. Reads only.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import click

from zrepl_py.adapters.host.localzone import observe_local_zone
from zrepl_py.adapters.host.mounts import Mount, Place, find_below, locate
from zrepl_py.adapters.host.privatemount import MountedSnapshot
from zrepl_py.adapters.host.snapdir import (
    HeldOrigin,
    Origin,
    SnapshotDirectory,
    observe_snapshot_names,
    open_old_entry,
    snapshot_root,
)
from zrepl_py.adapters.host.treewalk import Branch, Components
from zrepl_py.config.policies import load_policies
from zrepl_py.core.copies import Copy, find_copies_below, old_path
from zrepl_py.core.restoring import printable
from zrepl_py.core.selection import is_selected
from zrepl_py.core.times import Wanted, parse_time
from zrepl_py.core.versions import Chosen, choose_companion, choose_snapshot
from zrepl_py.errors import Refused, ZrError
from zrepl_py.model.history import History
from zrepl_py.model.policy import Policy


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that belongs to the tree and will not come back."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a person meant, in one snapshot."""

    origin: Origin
    dataset: str
    """The dataset's name on the node that it is of."""
    node: str
    """That node, where this is a replica kept for it; empty for this machine's own."""
    path: str
    """Where it was, absolute."""
    inside: Components
    chosen: Chosen
    zone: ZoneInfo
    stat: os.stat_result
    branches: tuple[Branch, ...] = ()
    """For a directory: its own part and those of the datasets below it."""
    left_out: tuple[LeftOut, ...] = ()
    peer: str = ""
    """The node from whose copy it was fetched; empty where it was here."""


@dataclass
class Looking:
    """What a search needs: the time that was said, and the machine as it is now."""

    moment: str
    now: float
    policies: Sequence[Policy] | None
    """None: there are none, or they cannot be read; then the machine's zone counts."""
    mounts: Sequence[Mount]
    observe_copies: Callable[[], tuple[Copy, ...]]
    """The replicas that this node keeps; empty where it keeps none."""
    observe_history: Callable[[str], History]
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """Closes what was opened."""
    node: str | None = None
    """This node's name; None where zr.toml does not say it."""

    def hold(self, origin: Origin) -> Origin:
        """Open once, closed with `stack`."""
        return self.stack.enter_context(HeldOrigin(origin))

    def policy_of(self, dataset: str) -> Policy | None:
        """This node's policy that selects the dataset, if it exists."""
        own = (p for p in self.policies or () if self.node in (None, p.source))
        return next((p for p in own if is_selected(p.selection, dataset)), None)

    def policy_name_of(self, dataset: str) -> str:
        """Its name, or empty."""
        policy = self.policy_of(dataset)
        return policy.name if policy else ""

    def zone(self, dataset: str) -> ZoneInfo:
        """The zone of the dataset's policy, else the one that all share, else the machine's."""
        known = self.policies or ()
        own = [p.timezone for p in known if is_selected(p.selection, dataset)]
        zones = set(own or [p.timezone for p in known])
        return ZoneInfo(zones.pop()) if len(zones) == 1 else observe_local_zone()


def load_known_policies(directory: str) -> Sequence[Policy] | None:
    """The policies; a broken one must not stand between a person and a file: it is said."""
    if not os.path.isdir(directory):
        return None
    try:
        return load_policies(directory)
    except ZrError as error:
        zone = observe_local_zone()
        click.echo(f"zr: {error.message} Times are read in {zone.key}.", err=True)
        return None


def find_in_mounted(path: str, look: Looking) -> Found:
    """Where `path` lies in this machine's own snapshots. Errors: those of locate, parse_time,
    choose_snapshot, open_old_entry.

    Where the dataset has no snapshot that old, the directory may have belonged to the dataset
    above it then.
    """
    mounts = list(look.mounts)
    first: ZrError | None = None
    while True:
        try:
            place = locate(path, mounts)
            return _find_in_place(place, look)
        except Refused as error:
            if first is not None and error.reason == "not-on-zfs":
                raise first from None
            if error.reason != "no-snapshot":
                raise first or error from None
            first = first or error
            mounts = [m for m in mounts if m.source != place.dataset]


def _find_in_place(place: Place, look: Looking) -> Found:
    zone = look.zone(place.dataset)
    root = snapshot_root(place.mountpoint)
    names = observe_snapshot_names(root)
    wanted = parse_time(look.moment, look.now, zone, names)
    chosen = choose_snapshot(names, wanted, zone)
    origin = look.hold(SnapshotDirectory(root, chosen.name))
    with open_old_entry(origin, place.inside) as entry:
        found = entry.stat
    top = Branch(origin, place.dataset, place.inside, ())
    branches, left_out = _mounted_below(place, look, wanted, chosen, zone)
    return Found(
        origin,
        place.dataset,
        "",
        place.path,
        place.inside,
        chosen,
        zone,
        found,
        (top, *branches),
        tuple(left_out),
    )


def _mounted_below(
    place: Place, look: Looking, wanted: Wanted, lead: Chosen, zone: ZoneInfo
) -> tuple[list[Branch], list[LeftOut]]:
    """The parts of a directory that are datasets of their own, as far as they have snapshots."""
    branches: list[Branch] = []
    left_out: list[LeftOut] = []
    for mount in find_below(place.path, look.mounts):
        if mount.kind != "zfs" or mount.root != "/":
            left_out.append(LeftOut(mount.point, f"another file system ({mount.kind}) is there"))
            continue
        at = tuple(os.path.relpath(mount.point, place.path).split("/"))
        try:
            root = snapshot_root(mount.point)
            chosen = choose_companion(observe_snapshot_names(root), wanted, lead, zone)
            if chosen is None:
                why = f"dataset {mount.source} has no snapshot from then or before"
                left_out.append(LeftOut(mount.point, why))
                continue
            origin = look.hold(SnapshotDirectory(root, chosen.name))
            os.close(origin.open())
        except ZrError as error:
            left_out.append(LeftOut(mount.point, f"dataset {mount.source}: {error.message}"))
            continue
        branches.append(Branch(origin, mount.source, (), at))
    return branches, left_out


def find_in_copy(copy: Copy, inside: Components, look: Looking) -> Found:
    """Where something lies in a replica that this node keeps. Errors: as find_in_mounted, and
    those of MountedSnapshot."""
    zone = look.zone(copy.dataset)
    names = _names(look, copy)
    wanted = parse_time(look.moment, look.now, zone, names)
    chosen = choose_snapshot(names, wanted, zone, names)
    origin = look.hold(MountedSnapshot(copy.stored, chosen.name))
    with open_old_entry(origin, inside) as entry:
        found = entry.stat
    branches = [Branch(origin, copy.dataset, inside, ())]
    left_out = []
    for other, at in find_copies_below(look.observe_copies(), copy, inside):
        names = _names(look, other)
        companion = choose_companion(names, wanted, chosen, zone, names)
        where = old_path(other, ())
        if companion is None:
            why = f"the replica of {other.dataset} has no snapshot from then or before"
            left_out.append(LeftOut(where, why))
            continue
        below = look.hold(MountedSnapshot(other.stored, companion.name))
        try:
            os.close(below.open())
        except ZrError as error:
            left_out.append(LeftOut(where, f"dataset {other.dataset}: {error.message}"))
            continue
        branches.append(Branch(below, other.dataset, (), at))
    return Found(
        origin,
        copy.dataset,
        copy.source,
        old_path(copy, inside),
        inside,
        chosen,
        zone,
        found,
        tuple(branches),
        tuple(left_out),
    )


def _names(look: Looking, copy: Copy) -> dict[str, int]:
    """Snapshot's name → createtxg."""
    history = look.observe_history(copy.stored)
    return {s.name: s.createtxg for s in history.snapshots}


def render_paths(paths: Iterable[str]) -> str:
    """Some paths, for a sentence; they need not be UTF-8."""
    return ", ".join(printable(path) for path in paths)
