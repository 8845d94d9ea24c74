"""What the world does beside zr: programs write files. Every write is also noted in the truth."""

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.truth import members_of
from zrepl_py.testing.model_zfs_state import ModelDataset, ModelPools

if TYPE_CHECKING:
    from tests.simulation.site import Site

LARGE_BYTES = 150_000
"""More than two records of the model's streams."""


class World:
    """Writers of the source's datasets."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self.random = Random(f"{site.seed}/world")
        self.writing = False
        self._written = 0
        self._quiet: set[int] = set()
        """guids of datasets to which nothing is written any more."""

    def make_datasets(self) -> None:
        """The source's tree, with a first file each."""
        pools = self.site.alpha.pools
        names = self.site.scenario.datasets
        raw = names[-1] if self.site.scenario.encrypted else ""
        for name in (*names, "data/scratch"):
            self.write(pools.make_dataset(f"tank/{name}", encrypted=name == raw))

    def start(self) -> None:
        """Write from now on."""
        self.writing = True
        for dataset in members_of(self.site.alpha.pools):
            self.write_now_and_then(dataset)
            if self.random.random() < 0.3:
                # What a fault left half done in its last transfer shows only if no other follows.
                moment = self.random.random() * self.site.scenario.window_seconds
                self.site.loop.after(moment, partial(self._quiet.add, dataset.guid))

    def stop(self) -> None:
        """Write no more."""
        self.writing = False

    def write_now_and_then(self, dataset: ModelDataset) -> None:
        """A writer for one dataset, until it is destroyed."""
        mean = self.site.scenario.write_seconds
        self.site.loop.after(self.random.expovariate(1 / mean), lambda: self._turn(dataset))

    def _turn(self, dataset: ModelDataset) -> None:
        if dataset.guid in self.site.truth.gone or dataset.guid in self._quiet:
            return
        if self.writing:
            for _ in range(self.random.choice((1, 1, 2, 3))):
                self.write(dataset)
            self.write_now_and_then(dataset)

    def write(self, dataset: ModelDataset) -> None:
        """One write() that returns."""
        self._written += 1
        path = f"f{self.random.randrange(8)}"
        content = f"write {self._written} of {dataset.name}".encode()
        if self.random.random() < 0.04:
            content = content.ljust(LARGE_BYTES, b".")
        self.site.alpha.pools.write(dataset.name, path, content)
        self.site.truth.write(dataset, path, content)


def rename_dataset(pools: ModelPools, old: str, new: str) -> None:
    """`zfs rename`: a dataset and everything below it."""
    datasets = pools.pools[old.split("/")[0]].datasets
    for name in [n for n in datasets if n == old or n.startswith(old + "/")]:
        moved = datasets.pop(name)
        moved.name = new + name[len(old) :]
        datasets[moved.name] = moved
