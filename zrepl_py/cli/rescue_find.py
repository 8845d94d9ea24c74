"""Which datasets are in a rescue, on what do they stand, and what is at their place now?

Looks at the pools itself, as root: what was set aside can be read also while the daemon is down.
Knows a node's own rescues (POOL/zr-rescue/LABEL) and those that another one has sent here
(POOL/zr-rescue-of/NODE/LABEL). Reads only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from zrepl_py.adapters.host.mounts import Mount
from zrepl_py.adapters.host.privatemount import MountedSnapshot
from zrepl_py.adapters.host.snapdir import Origin
from zrepl_py.core.explain import find_nearest
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.history import History
from zrepl_py.model.names import join_snapshot
from zrepl_py.model.observation import Dataset, Kind
from zrepl_py.model.rescue import (
    RESCUE_PARENT,
    SHIPPED_PARENT,
    parse_rescue_snapshot,
    render_rescue_snapshot,
)


class Pools(Protocol):
    """What is asked of ZFS: a part of ports/zfs.py."""

    def observe_datasets(self, root: str) -> list[Dataset]: ...
    def observe_history(self, dataset: str) -> History: ...
    def observe_origin(self, dataset: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Aside:
    """One dataset of a rescue."""

    member: str
    """What the group calls it: the name that it had on the node that founded the group."""
    stored: str
    """Where it is: `tank/zr-rescue/LABEL/audio`."""
    kind: Kind
    snapshot: str
    """The rescue's snapshot, after the @."""
    base: str | None
    """`dataset@name` that it has in common with the primary; None: nothing."""
    place: str | None
    """The dataset of this node that goes on from there."""

    @property
    def origin(self) -> Origin:
        """What was set aside, readable."""
        return MountedSnapshot(self.stored, self.snapshot)

    @property
    def base_origin(self) -> Origin | None:
        """What both had, readable."""
        dataset, _, name = (self.base or "").partition("@")
        return MountedSnapshot(dataset, name) if name else None


@dataclass(frozen=True, slots=True)
class Rescue:
    """All of one label."""

    label: str
    of: str
    """The node whose tail it is."""
    shipped: bool
    """It was sent here by the other node."""
    datasets: tuple[Aside, ...]


def find_rescue(node: NodeConfig, peers: Mapping[str, str], label: str, zfs: Pools) -> Rescue:
    """The rescue with this label: the node's own, else the one that was sent here. `peers`: first
    8 hex digits of a node's uuid → its name. Errors: Refused(no-rescue), those of ZFS."""
    known = list(_find_all(node, peers, zfs))
    found = sorted((r for r in known if r.label == label), key=lambda r: r.shipped)
    if found:
        return found[0]
    labels = sorted({rescue.label for rescue in known})
    near = find_nearest(label, labels)
    raise Refused(
        "no-rescue",
        f"There is no rescue {label} on this node"
        + (f"; did you mean {' or '.join(near)}?" if near else "."),
        f"Those that are here: {', '.join(labels) or 'none'}. `zr rescue list` says more.",
    )


def _find_all(node: NodeConfig, peers: Mapping[str, str], zfs: Pools) -> Iterator[Rescue]:
    for pool in node.pools:
        for parent in (RESCUE_PARENT, SHIPPED_PARENT):
            root = f"{pool}/{parent}"
            try:
                datasets = zfs.observe_datasets(root)
            except Standing as error:
                if error.reason not in ("dataset-missing", "pool-missing"):
                    raise
                continue
            yield from _group(node, peers, zfs, root, datasets)


def _group(
    node: NodeConfig, peers: Mapping[str, str], zfs: Pools, root: str, datasets: Sequence[Dataset]
) -> Iterator[Rescue]:
    shipped = root.endswith(f"/{SHIPPED_PARENT}")
    found: dict[tuple[str, str], list[Aside]] = {}
    for dataset in datasets:
        words = dataset.name.removeprefix(root).strip("/")
        source, _, words = words.partition("/") if shipped else ("", "", words)
        label, _, path = words.partition("/")
        if not path or parse_rescue_snapshot(render_rescue_snapshot(label)) is None:
            continue
        wanted = render_rescue_snapshot(label)
        history = zfs.observe_history(dataset.name)
        if any(snapshot.name == wanted for snapshot in history.snapshots):
            aside = _observe(node, zfs, dataset, wanted, path)
            found.setdefault((source, label), []).append(aside)
    for (source, label), asides in sorted(found.items()):
        of = peers.get(source, source) if shipped else node.name
        yield Rescue(label, of, shipped, tuple(asides))


def _observe(node: NodeConfig, zfs: Pools, dataset: Dataset, wanted: str, path: str) -> Aside:
    base = zfs.observe_origin(dataset.name)
    place = base.partition("@")[0] if base else None
    member = name_member(node, place or f"{dataset.name.partition('/')[0]}/{path}")
    return Aside(member, dataset.name, dataset.kind, wanted, base, place)


def name_member(node: NodeConfig, dataset: str) -> str:
    """`back/zr/alpha/tank/audio` → `tank/audio`; what is no replica is called as it is."""
    parent = node.replica_parent
    if parent is None or not dataset.startswith(f"{parent}/"):
        return dataset
    return dataset.removeprefix(f"{parent}/").partition("/")[2] or dataset


def find_present(aside: Aside, mounts: Sequence[Mount], zfs: Pools) -> str | Origin | None:
    """What stands at its place now: the directory where it is mounted, else its newest snapshot;
    None: nothing that could be looked into."""
    if aside.place is None:
        return None
    for mount in mounts:
        if (mount.kind, mount.source, mount.root) == ("zfs", aside.place, "/"):
            return mount.point
    try:
        newest = zfs.observe_history(aside.place).newest
    except Standing as error:
        if error.reason != "dataset-missing":
            raise
        return None
    return MountedSnapshot(aside.place, newest.name) if newest else None


def name_volume_clone(aside: Aside) -> str:
    """The command by which a person looks into a volume that was set aside."""
    pool = aside.stored.partition("/")[0]
    snapshot = join_snapshot(aside.stored, aside.snapshot)
    return f"zfs clone -o readonly=on -o volmode=dev {snapshot} {pool}/NAME"
