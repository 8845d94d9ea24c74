"""ModelDatasets: ports/datasets.py on the model's disks; passes the same kit as the commands.

What the world does meanwhile is here too: who is in a file system (busy), and which keys can be
loaded without a person (`key_at_hand`).
"""

from collections.abc import Mapping

from zrepl_py.adapters.zfs.names import check_length, dataset_of
from zrepl_py.adapters.zfs.translate import judge_errno
from zrepl_py.core.gate import (
    check_gate,
    check_is,
    check_whole,
    exists,
    missing,
    plan_copied,
    plan_restored,
)
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.names import check_dataset_name, join_snapshot
from zrepl_py.model.observation import Kind
from zrepl_py.model.tree import TreeDataset
from zrepl_py.testing.model_zfs_state import ModelDataset, ModelPools

_ENOENT, _EACCES, _EBUSY = 2, 13, 16


class ModelDatasets:
    """One model machine's datasets; see DatasetPort."""

    def __init__(self, pools: ModelPools) -> None:
        self.pools = pools
        self.users: set[str] = set()
        """Datasets in which somebody works: they cannot be unmounted."""
        self.key_at_hand = True
        self.may_receive: set[str] = set()
        """Parents below which the receiving user may receive."""

    def observe_tree(self, root: str) -> list[TreeDataset]:
        """See the port."""
        check_dataset_name(root)
        with self.pools.lock:
            return [self._view(found) for found in self._below(root)]

    def observe_written(self, dataset: str, since_guid: int) -> int | None:
        """See the port."""
        with self.pools.lock:
            found = self.pools.find(check_dataset_name(dataset))
            if found is None:
                raise missing(dataset)
            base = next((v for v in found.snapshots if v.guid == since_guid), None)
            if base is None:
                return None
            if found.changed_txg <= base.createtxg:
                return 0
            born = [f for f in found.files.values() if f.born > base.createtxg]
            return sum(len(f.content) for f in born) or 1  # a removal is written too

    def snapshot_tree(self, root: str, name: str) -> dict[str, int]:
        """See the port."""
        with self.pools.lock:
            members = self._below(root)
            if not members:
                raise missing(root)
            there = {d.name: v.guid for d in members if (v := d.snapshot(name))}
            if not there:
                for member in members:
                    check_length(join_snapshot(member.name, name))
                txg = self.pools.pools[root.split("/")[0]].sync()
                return {d.name: self.pools.take_in(d, name, txg).guid for d in members}
            check_whole(root, name, [d.name for d in members], there)
            return there

    def rename(self, dataset: str, guid: int, new: str) -> None:
        """See the port."""
        check_dataset_name(new)
        with self.pools.lock:
            there = self.pools.find(new)
            if there is not None:
                if there.guid == guid:
                    return
                raise exists(new)
            self._that(dataset, guid)
            if self.pools.find(new.rpartition("/")[0]) is None:
                raise judge_errno("create", _ENOENT, dataset)
            if any(d.name in self.users and d.mounted for d in self._below(dataset)):
                raise judge_errno("create", _EBUSY, dataset)
            self.pools.rename(dataset, new)

    def clone(self, snapshot: str, guid: int, dataset: str) -> None:
        """See the port."""
        with self.pools.lock:
            made = self.pools.find(dataset)
            if made is None:
                version = self.pools.version(snapshot)
                if version is None:
                    raise judge_errno("bookmark", _ENOENT, snapshot)
                if version.guid != guid:
                    raise Refused("not-that-dataset", f"{snapshot} is another snapshot by now.")
                self.pools.clone(snapshot, dataset)
                made, of = self.pools.dataset(dataset), self.pools.dataset(dataset_of(snapshot))
                gate = check_gate(of.kind, {"readonly": "on", "canmount": "noauto"})
                made.local.update(gate)
                made.mounted = False
            if made.origin is None or made.origin.guid != guid:
                raise exists(dataset)

    def promote(self, dataset: str, guid: int) -> None:
        """See the port."""
        with self.pools.lock:
            found = self._that(dataset, guid)
            owner = self.pools.owner(found.origin) if found.origin else None
            if owner is None or found.origin is None:
                return
            moving = {v.name for v in owner.snapshots if v.createtxg <= found.origin.createtxg}
            if both := moving & {v.name for v in found.snapshots}:
                words = f"both have a snapshot @{min(both)}"
                raise judge_errno("create", None, dataset, words)
            self.pools.promote(dataset)

    def copy_properties(self, source: str, dataset: str, guid: int) -> None:
        """See the port."""
        with self.pools.lock:
            found = self.pools.find(source)
            if found is None:
                raise missing(source)
            self._that(dataset, guid).local.update(plan_copied(found.local))

    def restore_properties(self, dataset: str, guid: int) -> None:
        """See the port."""
        with self.pools.lock:
            found = self._that(dataset, guid)
            found.local.update(plan_restored(found.local))

    def set_gate(self, dataset: str, guid: int, values: Mapping[str, str]) -> None:
        """See the port."""
        with self.pools.lock:
            found = self._that(dataset, guid)
            found.local.update(check_gate(found.kind, values))

    def mount(self, dataset: str, guid: int) -> None:
        """See the port."""
        with self.pools.lock:
            view = self._view(self._that(dataset, guid))
            if not view.key_loaded:
                raise judge_errno("create", _EACCES, dataset)
            if view.kind is Kind.VOLUME or view.mountpoint == "none" or view.canmount == "off":
                raise judge_errno("create", None, dataset, "it has no mount point")
            self._that(dataset, guid).mounted = True

    def unmount(self, dataset: str, guid: int) -> None:
        """See the port."""
        with self.pools.lock:
            found = self._that(dataset, guid)
            inside = [d for d in self._below(dataset) if d.mounted]
            if found.mounted and (len(inside) > 1 or dataset in self.users):
                raise judge_errno("create", _EBUSY, dataset)
            found.mounted = False

    def load_key(self, dataset: str, guid: int) -> None:
        """See the port."""
        with self.pools.lock:
            root = self._root(self._that(dataset, guid))
            if root is None or root.key_loaded:
                return
            if not self.key_at_hand:
                raise judge_errno("create", _EACCES, root.name)
            root.key_loaded = True

    def observe_receive_right(self, parent: str) -> bool:
        """See the port."""
        if self.pools.find(check_dataset_name(parent)) is None:
            raise missing(parent)
        return any(f"{parent}/".startswith(f"{above}/") for above in self.may_receive)

    def allow_receive(self, parent: str) -> None:
        """See the port."""
        if self.pools.find(check_dataset_name(parent)) is None:
            raise missing(parent)
        self.may_receive.add(parent)

    def forbid_receive(self, parent: str) -> None:
        """See the port."""
        if self.pools.find(check_dataset_name(parent)) is None:
            raise missing(parent)
        self.may_receive.discard(parent)
        if self.observe_receive_right(parent):
            raise Standing("zfs-failed", f"There is a right from above {parent}.")

    def _below(self, root: str) -> list[ModelDataset]:
        pool = self.pools.pool_of(root)
        datasets = pool.datasets if pool else {}
        below = [n for n in datasets if n == root or n.startswith(root + "/")]
        return [datasets[name] for name in sorted(below)]

    def _that(self, dataset: str, guid: int) -> ModelDataset:
        found = self.pools.find(check_dataset_name(dataset))
        check_is(self._view(found) if found else None, dataset, guid)
        return self.pools.dataset(dataset)

    def _view(self, found: ModelDataset) -> TreeDataset:
        owner = self.pools.owner(found.origin) if found.origin else None
        root, volume = self._root(found), found.kind is Kind.VOLUME
        return TreeDataset(
            found.name,
            found.guid,
            found.kind,
            origin=join_snapshot(owner.name, found.origin.name) if owner and found.origin else None,
            mounted=found.mounted,
            readonly=self._said(found, "readonly") == "on",
            canmount="on" if volume else found.local.get("canmount", "on"),
            mountpoint="none" if volume else self._mountpoint(found),
            encryption_root=root.name if root else None,
            key_loaded=root is None or root.key_loaded,
            local=dict(found.local),
        )

    def _said(self, found: ModelDataset, name: str) -> str:
        said = (d.local.get(name) for d in self.pools.ancestors(found.name))
        return next((word for word in said if word), "")

    def _mountpoint(self, found: ModelDataset) -> str:
        for above in self.pools.ancestors(found.name):
            if word := above.local.get("mountpoint"):
                rest = found.name[len(above.name) :]
                return word + rest if word.startswith("/") else word
        return "/" + found.name

    def _root(self, found: ModelDataset) -> ModelDataset | None:
        """The encryption root: a clone's is its origin's, until it is promoted."""
        owner = self.pools.owner(found.origin) if found.origin else None
        if owner is not None:
            return self._root(owner)
        above = [d for d in self.pools.ancestors(found.name) if d.encrypted]
        return above[-1] if found.encrypted and above else None
