"""The ZFS kit's site in memory."""

from zrepl_py.errors import Bug
from zrepl_py.model.observation import Kind
from zrepl_py.testing.model_datasets import ModelDatasets
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

_SMALL_BYTES = 64 << 20


class ModelSite:
    """A model machine with one pool; see ZfsSite."""

    def __init__(self, seed: int = 0) -> None:
        self.pools = ModelPools({"tank": 1 << 30}, seed=seed)
        self.port = ModelZfs(self.pools)
        self.datasets = ModelDatasets(self.pools)
        self.pool = "tank"
        self.pools.make_dataset("tank/kit")
        self._count = 0

    def fresh(self, word: str) -> str:
        """See ZfsSite."""
        self._count += 1
        return f"tank/kit/{self._count}-{word}"

    def make_filesystem(self, name: str) -> None:
        """See ZfsSite."""
        self.pools.make_dataset(name)

    def make_volume(self, name: str) -> None:
        """See ZfsSite."""
        self.pools.make_dataset(name, Kind.VOLUME)

    def make_encrypted(self, name: str) -> None:
        """See ZfsSite."""
        self.pools.make_dataset(name, encrypted=True)

    def unload_key(self, name: str) -> None:
        """See ZfsSite."""
        self.pools.dataset(name).key_loaded = self.pools.dataset(name).mounted = False
        self.datasets.key_at_hand = False

    def make_clone(self, snapshot: str, name: str) -> None:
        """See ZfsSite."""
        self.pools.clone(snapshot, name)

    def promote(self, clone: str) -> None:
        """See ZfsSite."""
        self.pools.promote(clone)

    def foreign_snapshot(self, name: str) -> None:
        """See ZfsSite."""
        self.pools.foreign_snapshot(name)

    def destroy(self, name: str) -> None:
        """See ZfsSite."""
        self.pools.destroy(name)

    def set_property(self, dataset: str, name: str, value: str) -> None:
        """See ZfsSite."""
        local = self.pools.dataset(dataset).local
        if value == "none":
            local.pop(name, None)
        else:
            local[name] = value

    def write(self, dataset: str, path: str, content: bytes) -> None:
        """See ZfsSite."""
        self.pools.write(dataset, path, content)

    def snapshot_beside_log(self, dataset: str, name: str) -> None:
        """See ZfsSite."""
        self.write(dataset, "synced", b"synced")
        self.port.snapshot_changed({dataset: None}, name)

    def change_mode(self, dataset: str, path: str, mode: int) -> None:
        """See ZfsSite."""
        self.pools.write(dataset, path, self.pools.dataset(dataset).files[path].content, mode)

    def remove(self, dataset: str, path: str) -> None:
        """See ZfsSite."""
        self.pools.remove(dataset, path)

    def write_volume(self, dataset: str, content: bytes) -> None:
        """See ZfsSite."""
        self.pools.write(dataset, "disk", content)

    def read(self, snapshot: str, path: str) -> bytes:
        """See ZfsSite."""
        version = self.pools.version(snapshot)
        if version is None:
            raise Bug("model-misuse", f"The model has no {snapshot}.")
        if path not in version.files:
            raise FileNotFoundError(path)
        return version.files[path].content

    def make_small_pool(self) -> str:
        """See ZfsSite."""
        self.pools.make_pool("small", _SMALL_BYTES)
        return "small"

    def fill(self, pool: str) -> None:
        """See ZfsSite."""
        free = _SMALL_BYTES - self.pools.pools[pool].used_bytes()
        self.pools.write(pool, "filler", bytes(free))

    def drop_small_pool(self, pool: str) -> None:
        """See ZfsSite."""
        del self.pools.pools[pool]
