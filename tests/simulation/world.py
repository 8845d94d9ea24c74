"""What the world does beside zr: programs write files. Every write is also noted in the truth.

Datasets differ as they do in life: into some something is written all the time, into others once a
day; where people sleep, nothing is written at night.
"""

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from zrepl_py.testing.model_zfs_state import ModelDataset, ModelPools

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

LARGE_BYTES = 150_000
"""More than two records of the model's streams."""
WAKING_HOURS = range(5, 20)
"""UTC."""


class World:
    """Writers of the sources' datasets."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self.random = Random(f"{site.seed}/world")
        self.writing = False
        self._written = 0
        self._quiet: set[int] = set()
        """guids of datasets to which nothing is written any more."""
        self._pauses: dict[int, float] = {}

    def make_datasets(self) -> None:
        """The sources' trees, with a first file each."""
        nodes = {node.node.name: node for node in self.site.nodes}
        raw = self.site.orders[0].made[-1] if self.site.scenario.encrypted else ""
        for order in self.site.orders:
            node = nodes[order.policy.source]
            for name in order.made:
                if node.pools.find(name) is None:
                    node.pools.make_dataset(name, encrypted=name == raw)
                self.write(node, node.pools.dataset(name))
            for name in order.policy.selection.exclude:
                self.write(node, node.pools.make_dataset(name))

    def start(self) -> None:
        """Write from now on."""
        self.writing = True
        for node in self.site.sources:
            for dataset in self.site.members_of(node):
                self.write_now_and_then(node, dataset)
                if self.random.random() < 0.3:
                    # What a fault left half done in its last transfer shows only if none follows.
                    moment = self.random.random() * self.site.scenario.window_seconds
                    self.site.loop.after(moment, partial(self._quiet.add, dataset.guid))

    def stop(self) -> None:
        """Write no more."""
        self.writing = False

    def write_now_and_then(self, node: "SimNode", dataset: ModelDataset) -> None:
        """A writer for one dataset, until it is destroyed."""
        if dataset.guid not in self._pauses:
            cadence = self.site.order_of(dataset.name).policy.every_seconds
            self._pauses[dataset.guid] = cadence * self.random.choice(self.site.scenario.pauses)
        self._next(node, dataset)

    def _next(self, node: "SimNode", dataset: ModelDataset) -> None:
        pause = self.random.expovariate(1 / self._pauses[dataset.guid])
        self.site.loop.after(pause, lambda: self._turn(node, dataset))

    def _turn(self, node: "SimNode", dataset: ModelDataset) -> None:
        if dataset.guid in self.site.truth.gone or dataset.guid in self._quiet or not self.writing:
            return
        if not self._asleep():
            for _ in range(self.random.choice((1, 1, 2, 3))):
                self.write(node, dataset)
        self._next(node, dataset)

    def _asleep(self) -> bool:
        hour = (self.site.scenario.starts_at + self.site.loop.now) // 3600 % 24
        return self.site.scenario.nights and hour not in WAKING_HOURS

    def write(self, node: "SimNode", dataset: ModelDataset) -> None:
        """One write() that returns."""
        self._written += 1
        path = f"f{self.random.randrange(8)}"
        content = f"write {self._written} of {dataset.name}".encode()
        if self.random.random() < 0.04:
            content = content.ljust(LARGE_BYTES, b".")
        node.pools.write(dataset.name, path, content)
        self.site.truth.write(dataset, path, content, self.site.loop.now)


def rename_dataset(pools: ModelPools, old: str, new: str) -> None:
    """`zfs rename`: a dataset and everything below it."""
    datasets = pools.pools[old.split("/")[0]].datasets
    for name in [n for n in datasets if n == old or n.startswith(old + "/")]:
        moved = datasets.pop(name)
        moved.name = new + name[len(old) :]
        datasets[moved.name] = moved
