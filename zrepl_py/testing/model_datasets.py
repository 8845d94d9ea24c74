"""ModelDatasets: ports/datasets.py on the model's disks; passes the same kit as the commands.

What the world does meanwhile is here too: who is in a file system (busy), and which keys can be
loaded without a person (`key_at_hand`).
"""

from collections.abc import Mapping, Sequence

from zrepl_py.adapters.zfs.names import check_length, dataset_of
from zrepl_py.adapters.zfs.translate import judge_errno
from zrepl_py.core.gate import (
    check_gate,
    check_is,
    check_whole,
    exists,
    missing,
    mountpoint_in_use,
    not_a_rescue,
    plan_copied,
    plan_restored,
    rescue_busy,
)
from zrepl_py.errors import Refused
from zrepl_py.model.history import History
from zrepl_py.model.names import check_dataset_name, join_snapshot
from zrepl_py.model.observation import Kind
from zrepl_py.model.properties import CLONED_PROPERTY, PLACEHOLDER_PROPERTY
from zrepl_py.model.rescue import RESCUE_HOLD, find_rescue_label, render_rescue_snapshot
from zrepl_py.model.tree import TreeDataset
from zrepl_py.testing.model_history import show_history
from zrepl_py.testing.model_zfs_state import ModelDataset, ModelPools, Version

_ENOENT, _EACCES, _EBUSY = 2, 13, 16
LOG_HEADER_BYTES = 10_912


class ModelDatasets:
    """One model machine's datasets; see DatasetPort."""

    def __init__(self, pools: ModelPools) -> None:
        self.pools = pools
        self.users: set[str] = set()
        """Datasets in which somebody works: they cannot be unmounted."""
        self.key_at_hand = True
        self.occupied: set[str] = set()
        """Directories of the system in which something is."""
        self.may_receive: set[str] = set()
        """Parents below which the receiving user may receive."""
        self.may_not_receive: set[str] = set()
        """Of what is below those, where it may not."""
        self.may_make: set[str] = set()
        """Below which it may make a new one, and receive into nothing that is there."""
        self._changed: dict[int, tuple[tuple[int, ...], int]] = {}
        """guid of a dataset → its snapshots when they were looked at last, and since when."""

    def observe_tree(self, root: str) -> list[TreeDataset]:
        """See the port."""
        check_dataset_name(root)
        with self.pools.lock:
            return [self._view(found) for found in self._below(root)]

    def observe_trees(self, roots: Sequence[str]) -> list[TreeDataset]:
        """See the port."""
        found = {d.name: d for root in roots for d in self.observe_tree(root)}
        return [found[name] for name in sorted(found)]

    def observe_histories(self, datasets: Sequence[str]) -> dict[str, History]:
        """See the port."""
        with self.pools.lock:
            found = {name: self.pools.find(check_dataset_name(name)) for name in datasets}
            return {name: show_history(d) for name, d in found.items() if d is not None}

    def observe_written(self, since: Mapping[str, int]) -> dict[str, int | None]:
        """See the port."""
        with self.pools.lock:
            return {name: self._written(name, guid) for name, guid in since.items()}

    def _written(self, dataset: str, since_guid: int) -> int | None:
        found = self.pools.find(check_dataset_name(dataset))
        if found is None:
            raise missing(dataset)
        base = next((v for v in found.snapshots if v.guid == since_guid), None)
        return None if base is None else _count_written(found, base)

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
                made.local[CLONED_PROPERTY] = f"{guid}:{LOG_HEADER_BYTES}"
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

    def restore_properties(self, datasets: Mapping[str, int]) -> None:
        """See the port."""
        with self.pools.lock:
            for found in self._those(datasets):
                found.local.update(plan_restored(found.local))

    def set_gate(self, datasets: Mapping[str, int], values: Mapping[str, str]) -> None:
        """See the port."""
        with self.pools.lock:
            for found in self._those(datasets):
                found.local.update(check_gate(found.kind, values))

    def mount(self, datasets: Mapping[str, int]) -> None:
        """See the port."""
        with self.pools.lock:
            for found in self._those(datasets):
                view = self._view(found)
                if not view.key_loaded:
                    raise judge_errno("create", _EACCES, found.name)
                if view.kind is Kind.VOLUME or view.mountpoint == "none" or view.canmount == "off":
                    raise judge_errno("create", None, found.name, "it has no mount point")
                self._check_free(found.name, view.mountpoint)
                found.mounted = True

    def check_mountable(self, paths: Mapping[str, str]) -> None:
        """See the port."""
        for name, path in paths.items():
            self._check_free(name, path)

    def _check_free(self, name: str, path: str) -> None:
        if path in self.occupied:
            raise mountpoint_in_use(name, path, "stray")

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
        place = self._nearest(parent)
        if place != parent and place in self.may_make:
            return True
        parts = place.split("/")
        for place in ("/".join(parts[:n]) for n in range(len(parts), 0, -1)):
            if place in self.may_receive or place in self.may_not_receive:
                return place in self.may_receive
        return False

    def allow_receive(self, parent: str) -> None:
        """See the port."""
        place = self._nearest(parent)
        if place != parent:
            if not self.observe_receive_right(parent):
                self.may_make.add(place)
            return
        self.may_receive.add(parent)
        self.may_not_receive.discard(parent)
        self.may_make.discard(parent.rpartition("/")[0])

    def forbid_receive(self, parent: str) -> None:
        """See the port."""
        there = self._nearest(parent) == parent
        self.may_make.discard(parent.rpartition("/")[0])
        if not there:
            return
        for place in {p for p in self.may_receive if f"{p}/".startswith(f"{parent}/")}:
            self.may_receive.discard(place)
        if self.observe_receive_right(parent):
            self.may_not_receive.add(parent)

    def _nearest(self, dataset: str) -> str:
        """It, or where it is not there, what is above; never the pool's own."""
        if self.pools.find(check_dataset_name(dataset)) is not None:
            return dataset
        above = dataset.rpartition("/")[0]
        if "/" not in above or self.pools.find(above) is None:
            raise missing(dataset)
        return above

    def drop_rescue(self, dataset: str, guid: int) -> None:
        """See the port."""
        label = find_rescue_label(check_dataset_name(dataset))
        if label is None:
            raise not_a_rescue(dataset)
        with self.pools.lock:
            found = self.pools.find(dataset)
            if found is None:
                return
            wanted = found.snapshot(render_rescue_snapshot(label))
            if found.guid != guid or (found.snapshots and wanted is None):
                raise not_a_rescue(dataset)
            if wanted is not None:
                wanted.holds.discard(RESCUE_HOLD)
            used = any(v.holds or v.clones or v.sends for v in found.snapshots)
            if used or found.mounted or len(self._below(dataset)) > 1:
                raise rescue_busy(dataset, "error 16")
            if wanted is None and found.local.get(PLACEHOLDER_PROPERTY) != "on":
                raise not_a_rescue(dataset)
            if found.origin is not None:
                found.origin.clones -= 1
            del self.pools.pools[dataset.split("/")[0]].datasets[dataset]

    def _below(self, root: str) -> list[ModelDataset]:
        pool = self.pools.pool_of(root)
        datasets = pool.datasets if pool else {}
        below = [n for n in datasets if n == root or n.startswith(root + "/")]
        return [datasets[name] for name in sorted(below)]

    def _that(self, dataset: str, guid: int) -> ModelDataset:
        found = self.pools.find(check_dataset_name(dataset))
        check_is(self._view(found) if found else None, dataset, guid)
        return self.pools.dataset(dataset)

    def _those(self, datasets: Mapping[str, int]) -> list[ModelDataset]:
        return [self._that(name, datasets[name]) for name in sorted(datasets)]

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
            written_bytes=_count_all_written(found, found.snapshots[-1])
            if found.snapshots
            else None,
            changed_at=self._changed_at(found),
            used_bytes=found.used_bytes(),
            local=dict(found.local),
        )

    def _changed_at(self, found: ModelDataset) -> int | None:
        """To the second, as the real one."""
        now = tuple(version.guid for version in found.snapshots)
        before, at = self._changed.get(found.guid, ((), 0))
        if now != before:
            at = int(self.pools.now())
            self._changed[found.guid] = (now, at)
        return at or None

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


def _count_all_written(found: ModelDataset, base: Version) -> int:
    """With what making a clone wrote (CLONED_PROPERTY)."""
    made = f"{base.guid}:{LOG_HEADER_BYTES}"
    own = _count_written(found, base)
    return own + LOG_HEADER_BYTES if found.local.get(CLONED_PROPERTY) == made else own


def _count_written(found: ModelDataset, base: Version) -> int:
    """Bytes since then; a removal is written too."""
    if found.changed_txg <= base.createtxg:
        return 0
    born = [f for f in found.files.values() if f.born > base.createtxg]
    return sum(len(f.content) for f in born) or 1
