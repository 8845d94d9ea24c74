"""The model's side: what people and programs can do to a model pool, and what they cannot.

The port itself is ModelZfs; here are only the rules of `zfs create`, `zfs rename` and the like.
"""

from collections.abc import Callable

from zrepl_py.model.observation import Kind
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelDataset, ModelPools
from zrepl_py.testing.model_zfs_streams import HEAD

from .world import Impossible


class ModelWorld:
    """See World."""

    header_bytes = HEAD.size

    def __init__(
        self,
        pools: ModelPools | None = None,
        make_port: Callable[[ModelPools], ModelZfs] = ModelZfs,
    ) -> None:
        self.pools = pools or ModelPools({"tank": 1 << 40})
        self.root = "tank/pair"
        self.pools.make_dataset(self.root)
        self.port = make_port(self.pools)

    def witness(self) -> None:
        """See World."""

    def create(self, name: str, kind: str) -> None:
        """See World."""
        self._check_room(name)
        encrypted = kind == "encrypted"
        self.pools.make_dataset(
            name, Kind.VOLUME if kind == "volume" else Kind.FILESYSTEM, encrypted=encrypted
        )

    def _check_room(self, name: str) -> None:
        parent = self.pools.find(name.rpartition("/")[0])
        if self.pools.find(name) or parent is None or parent.kind is Kind.VOLUME:
            raise Impossible(name)

    def _dataset(self, name: str) -> ModelDataset:
        found = self.pools.find(name)
        if found is None:
            raise Impossible(name)
        return found

    def destroy(self, name: str) -> None:
        """See World."""
        if "@" in name:
            version = self.pools.version(name)
            partial = self._dataset(name.partition("@")[0]).partial
            base = partial.from_guid if partial else 0
            if version is None or version.holds or version.clones or version.guid == base:
                raise Impossible(name)
        else:
            going = [self._dataset(name), *self._below(name)]
            mine = [v for d in going for v in d.snapshots]
            inside = [d.origin for d in going if d.origin is not None]
            if any(v.holds or v.clones > inside.count(v) for v in mine):
                raise Impossible(name)
        self.pools.destroy(name)

    def _below(self, name: str) -> list[ModelDataset]:
        datasets = self.pools.pools["tank"].datasets
        return [d for n, d in datasets.items() if n.startswith(name + "/")]

    def rename(self, old: str, new: str) -> None:
        """See World."""
        self._check_room(new)
        if new.startswith(old + "/"):
            raise Impossible(new)
        self._dataset(old)
        self.pools.rename(old, new)

    def clone(self, snapshot: str, name: str) -> None:
        """See World."""
        self._check_room(name)
        if self.pools.version(snapshot) is None:
            raise Impossible(snapshot)
        self.pools.clone(snapshot, name)

    def promote(self, dataset: str) -> None:
        """See World."""
        clone = self._dataset(dataset)
        owner = self.pools.owner(clone.origin) if clone.origin else None
        if owner is None or clone.origin is None:
            raise Impossible(dataset)
        moving = {v.name for v in owner.snapshots if v.createtxg <= clone.origin.createtxg}
        if moving & {v.name for v in clone.snapshots}:
            raise Impossible(dataset)
        self.pools.promote(dataset)

    def take(self, snapshot: str) -> None:
        """See World."""
        dataset, _, _ = snapshot.partition("@")
        if self._dataset(dataset).incomplete or self.pools.version(snapshot):
            raise Impossible(snapshot)
        self.pools.foreign_snapshot(snapshot)

    def set_property(self, dataset: str, name: str, value: str) -> None:
        """See World."""
        found = self._dataset(dataset)
        if found.kind is Kind.VOLUME and name == "recordsize":
            raise Impossible(name)
        local = found.local
        local.pop(name, None)
        if value:
            local[name] = value

    def load_key(self, dataset: str, loaded: bool) -> None:
        """See World."""
        found = self._dataset(dataset)
        if not found.encrypted or found.key_loaded == loaded:
            raise Impossible(dataset)
        found.key_loaded = loaded
        found.mounted = False

    def write(self, dataset: str, path: str, content: bytes) -> None:
        """See World."""
        found = self._writable(dataset)
        path = "disk" if found.kind is Kind.VOLUME else path
        mode = found.files[path].mode if path in found.files else 0o644
        self.pools.write(dataset, path, content, mode)

    def change_mode(self, dataset: str, path: str, mode: int) -> None:
        """See World."""
        found = self._writable(dataset)
        if path not in found.files:
            raise Impossible(path)
        self.pools.write(dataset, path, found.files[path].content, mode)

    def remove(self, dataset: str, path: str) -> None:
        """See World."""
        if path not in self._writable(dataset).files:
            raise Impossible(path)
        self.pools.remove(dataset, path)

    def _writable(self, dataset: str) -> ModelDataset:
        found = self._dataset(dataset)
        words = [d.local.get("readonly") for d in self.pools.ancestors(dataset)]
        read_only = next((w for w in words if w), "off") == "on"
        if read_only and (found.mounted or found.kind is Kind.VOLUME):
            raise Impossible(dataset)  # what is mounted for the moment only is mounted writable
        if found.incomplete or not found.key_loaded:
            raise Impossible(dataset)
        return found

    def read(self, snapshot: str) -> dict[str, tuple[int, bytes]]:
        """See World."""
        found = self._dataset(snapshot.partition("@")[0])
        version = self.pools.version(snapshot)
        if version is None or found.kind is Kind.VOLUME or not found.key_loaded:
            raise Impossible(snapshot)
        return {path: (file.mode, file.content) for path, file in version.files.items()}
