"""What really happened, kept beside the model: contents, orders, who destroyed what.

The simulation's own bookkeeping, made from what the world wrote and from what commands did, never
from what the production code says. Datasets are told apart by their source's guid, snapshots by
theirs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation.scenario import Order
from tests.simulation.wanted import Label
from zrepl_py.model.names import parse_tick
from zrepl_py.testing.model_zfs_state import ModelDataset, Version

if TYPE_CHECKING:
    from tests.simulation.node import SimNode

Content = Mapping[str, bytes]


@dataclass
class Lineage:
    """All snapshots of ours that a source's dataset ever had, in the order of their taking."""

    guids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    """created_at of each."""
    place: dict[int, int] = field(default_factory=dict)
    """guid → index."""

    def add(self, guid: int, created_at: int) -> None:
        """The newest."""
        self.place[guid] = len(self.guids)
        self.guids.append(guid)
        self.labels.append(created_at)


@dataclass
class Truth:
    """The ledger of one simulated site."""

    live: dict[int, Content] = field(default_factory=dict)
    """Dataset's guid → what its files contain now."""
    writes: dict[int, list[tuple[float, str, bytes]]] = field(default_factory=dict)
    """Dataset's guid → every write: when it returned, the path, the content. An oracle file system
    is these, up to a moment."""
    content: dict[int, Content] = field(default_factory=dict)
    """Snapshot's guid → what its files contained when it was taken."""
    dataset_of: dict[int, int] = field(default_factory=dict)
    """Snapshot's guid → dataset's guid on the source."""
    secret: set[int] = field(default_factory=set)
    """guids of the source's datasets that are encrypted."""
    order_of: dict[int, Order] = field(default_factory=dict)
    """Dataset's guid → the order that means it."""
    label: dict[int, Label] = field(default_factory=dict)
    """Snapshot's guid → its time and name."""
    lineages: dict[int, Lineage] = field(default_factory=dict)
    """Dataset's guid → its own snapshots."""
    arrived: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    """(target, dataset's guid) → guids in the order in which the target committed them."""
    first_arrived: dict[tuple[str, int], float] = field(default_factory=dict)
    """The moment at which the first of these came."""
    heard: dict[tuple[str, int], float] = field(default_factory=dict)
    """The moment at which the source learned of that: later than it, or of an earlier replica. A
    restart forgets what no cursor tells."""
    destroyed: dict[tuple[str, int], str] = field(default_factory=dict)
    """(node, snapshot's guid) → `retention` or `person`."""
    by_hand: dict[str, dict[int, None]] = field(default_factory=dict)
    """Node → those of `destroyed` that are of a person, in their order: few, where the others
    are many."""
    allowed: set[int] = field(default_factory=set)
    """guids of snapshots that a person, asked by retention, allowed to go."""
    gone: set[int] = field(default_factory=set)
    """guids of the source's datasets that a person destroyed."""

    def write(self, dataset: ModelDataset, path: str, content: bytes, now: float) -> None:
        """The world wrote a file."""
        self.live[dataset.guid] = {**self.live.get(dataset.guid, {}), path: content}
        self.writes.setdefault(dataset.guid, []).append((now, path, content))

    def took(self, dataset: ModelDataset, version: Version, order: Order) -> None:
        """A snapshot of ours came to exist on a source."""
        self.order_of[dataset.guid] = order
        guid = version.guid
        if dataset.encrypted:
            self.secret.add(dataset.guid)
        self.content[guid] = self.live.get(dataset.guid, {})
        self.dataset_of[guid] = dataset.guid
        self.label[guid] = Label(version.created_at, version.name)
        self.lineages.setdefault(dataset.guid, Lineage()).add(guid, version.created_at)

    def labels(self, guids: Iterable[int]) -> list[Label]:
        """Snapshots of ours as a retention sees them."""
        return [self.label[guid] for guid in guids]

    def lost(self, node: str, guid: int) -> None:
        """A person destroyed a snapshot."""
        self.destroyed[node, guid] = "person"
        self.by_hand.setdefault(node, {})[guid] = None

    def found(self, node: str, guid: int) -> None:
        """It is there again, or for the first time."""
        if self.destroyed.pop((node, guid), None) is not None:
            self.by_hand.get(node, {}).pop(guid, None)

    def forget_replica(self, target: str, replica: ModelDataset) -> None:
        """A person destroyed a replica whole."""
        for version in replica.snapshots:
            self.lost(target, version.guid)
            dataset = self.dataset_of.get(version.guid)
            if dataset is not None:
                self.arrived.pop((target, dataset), None)

    def replica_of(self, target: "SimNode", dataset_guid: int) -> ModelDataset | None:
        """Where a target keeps what it committed of a source's dataset."""
        committed = set(self.arrived.get((target.node.name, dataset_guid), ()))
        for pool in target.pools.pools.values():
            for dataset in pool.datasets.values():
                if any(v.guid in committed for v in dataset.snapshots):
                    return dataset
        return None


def content_of(version: Version) -> dict[str, bytes]:
    """What a snapshot in the model contains."""
    return {path: file.content for path, file in version.files.items()}


def own_versions(dataset: ModelDataset) -> list[Version]:
    """Snapshots that zr took, oldest first."""
    return [v for v in dataset.snapshots if parse_tick(v.name)]
