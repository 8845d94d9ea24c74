"""What people do beside zr, rightly or not: foreign snapshots, destroys, renames, new datasets."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.truth import own_versions
from tests.simulation.world import rename_dataset
from zrepl_py.testing.model_zfs_state import ModelDataset, Version

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site


class People:
    """Deeds, by the names of their faults."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self._count = 0
        self.deeds: dict[str, Callable[[Random], None]] = {
            "person-destroys": self._destroys,
            "person-releases": self._releases,
            "held-by-hand": self._holds,
            "properties": self._sets_property,
            "replica-destroyed": self._destroys_replica,
            "foreign-on-source": self._foreign_on_source,
            "foreign-on-replica": self._foreign_on_replica,
            "renamed": self._renames,
            "created": self._creates,
            "destroyed-dataset": self._destroys_dataset,
        }

    def _destroys(self, random: Random) -> None:
        """`zfs destroy` of any snapshot that nothing holds, of zr or not."""
        node = random.choice(self.site.nodes)
        datasets = self._datasets(node)
        if not datasets:
            return
        dataset = random.choice(datasets)
        free = [v for v in dataset.snapshots if not v.holds and not v.sends]
        own = own_versions(dataset)
        if is_replica(node, dataset) and own and own[-1] in free:
            free.remove(own[-1])  # a replica without its newest is refused by ZFS until rolled back
        if free:
            version = random.choice(free)
            dataset.snapshots.remove(version)
            self.site.truth.lost(node.node.name, version.guid)
            self.site.trace(node, "PERSON destroys", f"{dataset.name}@{version.name}", "")

    def _releases(self, random: Random) -> None:
        """`zfs release` and `zfs destroy` of a snapshot that zr holds on the source.

        Only where the bookmark (or that the target never had it) leaves a way to go on.
        """
        node = random.choice(self.site.sources)
        choices = [
            (dataset, version)
            for dataset in self.site.members_of(node)
            for version in own_versions(dataset)[:-1]
            if version.holds and not version.sends and self._replaceable(node, dataset, version)
        ]
        if choices:
            dataset, version = random.choice(choices)
            dataset.snapshots.remove(version)
            self.site.truth.lost(node.node.name, version.guid)
            what = f"{dataset.name}@{version.name}"
            self.site.trace(node, "PERSON releases and destroys", what, "")

    def _replaceable(self, node: "SimNode", dataset: ModelDataset, version: Version) -> bool:
        marked = {
            mark.name[:18] for mark in dataset.bookmarks.values() if mark.guid == version.guid
        }
        return all(
            f"zr_cursor_{target.node.short}" in marked
            or version.guid not in self.site.truth.arrived.get((target.node.name, dataset.guid), ())
            for target, _ in self.site.links_from(node)
        )

    def _holds(self, random: Random) -> None:
        """`zfs hold` of any snapshot, for ever."""
        datasets = self._datasets(random.choice(self.site.nodes))
        versions = [v for d in datasets for v in d.snapshots]
        if versions:
            random.choice(versions).holds.add("by-hand")

    def _sets_property(self, random: Random) -> None:
        """`zfs set`, or `zfs inherit`, of a property that belongs to the data."""
        dataset = random.choice(self.site.members_of(random.choice(self.site.sources)))
        value = random.choice(("", "128K", "1M", "16K"))
        dataset.local.pop("recordsize", None)
        if value:
            dataset.local["recordsize"] = value

    def _destroys_replica(self, random: Random) -> None:
        """`zfs destroy -r` of a replica on a target: it is sent whole again. Not of what was
        destroyed on its source: that is the last copy."""
        node = random.choice(self.site.targets)
        everything = node.pools.pools[node.pool].datasets
        datasets = [d for d in self._datasets(node) if is_replica(node, d)]
        if not datasets:
            return
        root = random.choice(datasets).name
        gone = [d for n, d in everything.items() if n == root or n.startswith(root + "/")]
        if any(self._is_last_copy(dataset) for dataset in gone):
            return
        for dataset in gone:
            self.site.truth.forget_replica(node.node.name, dataset)
        node.pools.destroy(root)
        self.site.trace(node, "PERSON destroys", root, "")

    def _is_last_copy(self, replica: ModelDataset) -> bool:
        own, truth = own_versions(replica), self.site.truth
        return bool(own) and truth.dataset_of.get(own[-1].guid) in truth.gone

    def _foreign_on_source(self, random: Random) -> None:
        node = random.choice(self.site.sources)
        self._foreign(node, [d for d in self._datasets(node) if not is_replica(node, d)], random)

    def _foreign_on_replica(self, random: Random) -> None:
        # ZFS refuses a raw increment over a foreign snapshot, so that needs a person afterwards.
        node = random.choice(self.site.targets)
        replicas = [d for d in self._datasets(node) if is_replica(node, d) and not d.encrypted]
        self._foreign(node, replicas, random)

    def _foreign(self, node: "SimNode", datasets: list[ModelDataset], random: Random) -> None:
        if datasets:
            self._count += 1
            name = f"{random.choice(datasets).name}@by-hand-{self._count}"
            node.pools.foreign_snapshot(name)
            self.site.trace(node, "PERSON snapshots", name, "")

    def _movable(self, node: "SimNode") -> list[str]:
        """What may be renamed and destroyed: not the roots that the policies name."""
        roots = {o.pool for o in self.site.orders} | {
            include.removesuffix("/**")
            for o in self.site.orders
            for include in o.policy.selection.include
        }
        roots |= {o.made[0] for o in self.site.orders} | {f"{o.pool}/own" for o in self.site.orders}
        return [d.name for d in self.site.members_of(node) if d.name not in roots]

    def _renames(self, random: Random) -> None:
        node = random.choice(self.site.sources)
        movable = self._movable(node)
        if movable:
            self._count += 1
            old = random.choice(movable)
            new = f"{old.rpartition('/')[0]}/moved{self._count}"
            rename_dataset(node.pools, old, new)
            self.site.trace(node, "PERSON renames", old, new)

    def _creates(self, random: Random) -> None:
        node, world = random.choice(self.site.sources), self.site.world
        parents = self.site.members_of(node)
        if len(parents) < 6:
            self._count += 1
            made = node.pools.make_dataset(f"{random.choice(parents).name}/new{self._count}")
            self.site.trace(node, "PERSON creates", made.name, "")
            world.write(node, made)
            world.write_now_and_then(node, made)

    def _destroys_dataset(self, random: Random) -> None:
        node = random.choice(self.site.sources)
        names = self._movable(node)
        if not names:
            return
        root = random.choice(names)
        for dataset in self.site.members_of(node):
            if dataset.name == root or dataset.name.startswith(root + "/"):
                self.site.truth.gone.add(dataset.guid)
        node.pools.destroy(root)
        self.site.trace(node, "PERSON destroys", root, "")

    def _datasets(self, node: "SimNode") -> list[ModelDataset]:
        """Members and replicas."""
        replicas = [
            d
            for d in node.pools.pools[node.pool].datasets.values()
            if is_replica(node, d) and own_versions(d)
        ]
        return self.site.members_of(node) + sorted(replicas, key=lambda d: d.name)


def is_replica(node: "SimNode", dataset: ModelDataset) -> bool:
    """Does the node keep it for another one?"""
    return dataset.name.startswith(f"{node.pool}/zr/")
