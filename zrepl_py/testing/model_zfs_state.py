"""The disks of a model machine: pools, datasets, versions, as a person or a program sees them.

State and the world's verbs (write a file, fill a pool, load a key), as opposed to zr's verbs
(model_zfs.py). Everything here outlives a crash of the machine. Like the real thing: identity is a
random guid, order is the txg, a file remembers in which txg it was born, and so an increment from
a bookmark needs nothing but the bookmark's txg. Deterministic for a given seed.
"""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from zrepl_py.errors import Bug
from zrepl_py.model.history import Snapshot
from zrepl_py.model.observation import Kind


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """What a path contained; replaced whole by every change."""

    content: bytes
    born: int
    mode: int = 0o644


Files = dict[str, File]


@dataclass(slots=True)
class Version:
    """A snapshot: its files never change."""

    name: str
    guid: int
    createtxg: int
    created_at: int
    files: Files
    changed_txg: int
    """When what it contains was last written."""
    holds: set[str] = field(default_factory=set)
    clones: int = 0
    sends: int = 0
    """How many sends of it are running."""
    _seen: Snapshot | None = field(default=None, compare=False, repr=False)

    def seen(self) -> Snapshot:
        """As an observation shows it: the same object every time."""
        if self._seen is None:
            self._seen = Snapshot(self.guid, self.createtxg, self.name, self.created_at)
        return self._seen


@dataclass(frozen=True, slots=True)
class Mark:
    """A bookmark."""

    name: str
    guid: int
    createtxg: int
    created_at: int


@dataclass(slots=True)
class Partial:
    """What a receive that was cut has left."""

    to_guid: int
    from_guid: int
    raw: bool
    listed: bool = False
    """Whether the stream said what there is; an increment without changes does not."""
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    sent: list[bool] = field(default_factory=list)
    """Whether the file's content is part of the stream; else it is that of the base."""
    contents: dict[int, bytearray] = field(default_factory=dict)
    at: tuple[int, int] = (1, 0)
    """(object, offset) from which to go on; objects count from 1, in the order of `names`."""
    bytes_received: int = 0

    @property
    def size_bytes(self) -> int:
        """Space it takes."""
        return sum(len(c) for c in self.contents.values())


@dataclass(slots=True)
class ModelDataset:
    """A file system or volume (a volume is one file called `disk`)."""

    name: str
    guid: int
    kind: Kind
    encrypted: bool = False
    key_loaded: bool = True
    mounted: bool = False
    changed_txg: int = 0
    files: Files = field(default_factory=dict)
    snapshots: list[Version] = field(default_factory=list)
    bookmarks: dict[str, Mark] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)
    """Properties that are set here, user properties too."""
    partial: Partial | None = None
    incomplete: bool = False
    """It consists of nothing but a first partial receive."""
    receiving: bool = False
    origin: Version | None = None
    _references: dict[File, int] = field(default_factory=dict)
    """File → how many snapshots have it."""
    _snapshots_bytes: int = 0
    _counted: dict[int, Version] = field(default_factory=dict)
    """The snapshots that these two are of: versions are only ever added or taken away."""
    _counted_state: tuple[int, ...] = (0, 0, 0)
    _used: tuple[Files, int] | None = None
    """The files of the last count (a change makes a new dictionary), and what it came to."""

    def snapshot(self, name: str) -> Version | None:
        """By name after the @."""
        for version in reversed(self.snapshots):  # mostly one of the newest is meant
            if version.name == name:
                return version
        return None

    def used_bytes(self) -> int:
        """Every file once, however many versions have it."""
        versions, partial = self.snapshots, self.partial
        state = (len(versions), versions[0].guid, versions[-1].guid) if versions else (0, 0, 0)
        used = self._used
        if used is None or used[0] is not self.files or state != self._counted_state:
            self._count(state)
            files, references = self.files, self._references
            rest = [len(file.content) for file in files.values() if file not in references]
            used = self._used = (files, self._snapshots_bytes + sum(rest))
        return used[1] + (partial.size_bytes if partial is not None else 0)

    def _count(self, state: tuple[int, ...]) -> None:
        """Bring the count of what the snapshots refer to up to date: only with what changed."""
        if state == self._counted_state:
            return
        versions, before, references = self.snapshots, self._counted, self._references
        if len(versions) > 1 and (len(before), versions[0].guid, versions[-2].guid) == (
            len(versions) - 1,
            *self._counted_state[1:],
        ):  # mostly so: one more than last time
            self._add(versions[-1])
            before[versions[-1].guid] = versions[-1]
            self._counted_state = state
            return
        now = {v.guid: v for v in versions}
        for guid in before.keys() - now.keys():
            for file in before[guid].files.values():
                references[file] -= 1
                if not references[file]:
                    del references[file]
                    self._snapshots_bytes -= len(file.content)
        for guid in now.keys() - before.keys():
            self._add(now[guid])
        self._counted, self._counted_state = now, state

    def _add(self, version: Version) -> None:
        """Count what one more snapshot refers to."""
        references = self._references
        for file in version.files.values():
            if file not in references:
                self._snapshots_bytes += len(file.content)
            references[file] = references.get(file, 0) + 1


@dataclass(slots=True)
class ModelPool:
    """A pool."""

    name: str
    guid: int
    size_bytes: int
    txg: int = 100
    health: str = "ONLINE"
    datasets: dict[str, ModelDataset] = field(default_factory=dict)

    def used_bytes(self) -> int:
        """Of all datasets."""
        return sum([d.used_bytes() for d in self.datasets.values()])

    def sync(self) -> int:
        """End the open txg; returns its number. What is written later is born in the next."""
        self.txg += 1
        return self.txg - 1


class ModelPools:
    """All pools of one model machine, and what the world does to them."""

    def __init__(
        self,
        pools: dict[str, int] | None = None,
        *,
        seed: int = 0,
        now: Callable[[], float] = lambda: 1_700_000_000.0,
    ) -> None:
        """`pools`: name → size in bytes; `now`: the machine's clock, for `creation`."""
        self.now = now
        self.lock = threading.RLock()
        self._random = random.Random(seed)
        self.pools: dict[str, ModelPool] = {}
        for name, size_bytes in (pools or {"tank": 1 << 30}).items():
            self.make_pool(name, size_bytes)

    def new_guid(self) -> int:
        """A random 64-bit number that is not 0."""
        return self._random.getrandbits(64) | 1

    def make_pool(self, name: str, size_bytes: int) -> None:
        """An empty pool with its root dataset."""
        pool = ModelPool(name, self.new_guid(), size_bytes)
        pool.datasets[name] = ModelDataset(
            name, self.new_guid(), Kind.FILESYSTEM, mounted=True, changed_txg=pool.txg
        )
        self.pools[name] = pool

    def pool_of(self, name: str) -> ModelPool | None:
        """The pool of a dataset's, snapshot's or bookmark's whole name."""
        first, slash, _ = name.partition("/")
        return self.pools.get(first if slash else first.partition("@")[0].partition("#")[0])

    def find(self, name: str) -> ModelDataset | None:
        """A dataset by name."""
        for pool in self.pools.values():  # one or two: quicker than to cut the name up
            found = pool.datasets.get(name)
            if found is not None:
                return found
        return None

    def dataset(self, name: str) -> ModelDataset:
        """A dataset by name; the world does not ask for others: Bug(model-misuse)."""
        found = self.find(name)
        if found is None:
            raise Bug("model-misuse", f"The model has no dataset {name}.")
        return found

    def version(self, name: str) -> Version | None:
        """A snapshot by its whole name."""
        dataset, _, snapshot = name.partition("@")
        for pool in self.pools.values():
            found = pool.datasets.get(dataset)
            if found is not None:
                return found.snapshot(snapshot)
        return None

    def ancestors(self, name: str) -> Iterator[ModelDataset]:
        """A dataset and those above it."""
        while name:
            found = self.find(name)
            if found is not None:
                yield found
            name = name.rpartition("/")[0]

    def descends(self, clone: ModelDataset, guid: int) -> bool:
        """Whether the version is what the clone was made of, or older than that."""
        above: ModelDataset | None = clone
        while above is not None and (origin := above.origin) is not None:
            above = self.owner(origin)
            for version in above.snapshots if above else ():
                if version.guid == guid:
                    return version.createtxg <= origin.createtxg
        return False

    def has_children(self, name: str) -> bool:
        """Whether anything is below a dataset."""
        return any(d.startswith(name + "/") for d in self.pools[name.split("/")[0]].datasets)

    def owner(self, version: Version) -> ModelDataset | None:
        """The dataset that has a snapshot."""
        everything = (d for p in self.pools.values() for d in p.datasets.values())
        return next((d for d in everything if version in d.snapshots), None)

    # What the world does.

    def make_dataset(
        self,
        name: str,
        kind: Kind = Kind.FILESYSTEM,
        *,
        encrypted: bool = False,
        mounted: bool = True,
        properties: dict[str, str] | None = None,
    ) -> ModelDataset:
        """Create a dataset below an existing one."""
        with self.lock:
            parent = self.dataset(name.rpartition("/")[0])
            pool = self.pools[name.split("/")[0]]
            made = ModelDataset(
                name,
                self.new_guid(),
                kind,
                encrypted=encrypted or parent.encrypted,
                mounted=mounted and kind is Kind.FILESYSTEM and self.has_mountpoint(name),
                changed_txg=pool.txg,
                local=dict(properties or {}),
            )
            pool.datasets[name] = made
            return made

    def write(self, dataset: str, path: str, content: bytes, mode: int = 0o644) -> None:
        """A write() that returned; no txg has to end for it to count."""
        with self.lock:
            found = self.dataset(dataset)
            pool = self.pools[dataset.split("/")[0]]
            found.files = {**found.files, path: File(content, pool.txg, mode)}
            found.changed_txg = pool.txg

    def remove(self, dataset: str, path: str) -> None:
        """unlink()."""
        with self.lock:
            found = self.dataset(dataset)
            found.files = {p: f for p, f in found.files.items() if p != path}
            found.changed_txg = self.pools[dataset.split("/")[0]].txg

    def foreign_snapshot(self, name: str) -> Version:
        """Somebody else's `zfs snapshot`."""
        with self.lock:
            dataset, _, snapshot = name.partition("@")
            return self.take(self.dataset(dataset), snapshot, self.pools[dataset.split("/")[0]])

    def take(self, dataset: ModelDataset, name: str, pool: ModelPool) -> Version:
        """A snapshot in its own txg; snapshot_changed takes several in one (take_in)."""
        return self.take_in(dataset, name, pool.sync())

    def take_in(self, dataset: ModelDataset, name: str, txg: int) -> Version:
        """A snapshot in a txg that was ended."""
        version = Version(
            name, self.new_guid(), txg, int(self.now()), dataset.files, dataset.changed_txg
        )
        dataset.snapshots.append(version)
        return version

    def clone(self, snapshot: str, name: str) -> None:
        """`zfs clone`."""
        with self.lock:
            origin = self.version(snapshot)
            if origin is None:
                raise Bug("model-misuse", f"The model has no {snapshot}.")
            of = self.dataset(snapshot.partition("@")[0])
            made = self.make_dataset(name, of.kind, encrypted=of.encrypted)
            made.files, made.origin, made.key_loaded = origin.files, origin, of.key_loaded
            made.changed_txg = origin.changed_txg
            origin.clones += 1

    def promote(self, clone: str) -> None:
        """`zfs promote`: what the clone was made of and all before it, with bookmarks, are the
        clone's now, and the one that had them is a clone of it."""
        with self.lock:
            made = self.dataset(clone)
            origin = made.origin
            owner = self.owner(origin) if origin else None
            if origin is None or owner is None:
                raise Bug("model-misuse", f"{clone} is no clone.")
            moved = [v for v in owner.snapshots if v.createtxg <= origin.createtxg]
            marks = [m for m in owner.bookmarks.values() if m.createtxg <= origin.createtxg]
            owner.snapshots = [v for v in owner.snapshots if v not in moved]
            made.snapshots = moved + made.snapshots
            for mark in marks:
                made.bookmarks[mark.name] = owner.bookmarks.pop(mark.name)
            made.origin, owner.origin = owner.origin, origin

    def rename(self, old: str, new: str) -> None:
        """`zfs rename` of a dataset and everything below it."""
        with self.lock:
            datasets = self.pools[old.split("/")[0]].datasets
            for name in [n for n in datasets if n == old or n.startswith(old + "/")]:
                moved = datasets.pop(name)
                moved.name = new + name[len(old) :]
                datasets[moved.name] = moved
                moved.mounted = moved.mounted and self.has_mountpoint(moved.name)

    def has_mountpoint(self, name: str) -> bool:
        """Not where `mountpoint=none` is inherited, as below a placeholder."""
        said = (d.local.get("mountpoint") for d in self.ancestors(name))
        return next((word for word in said if word), "") != "none"

    def destroy(self, name: str) -> None:
        """`zfs destroy -r`: a snapshot, or a dataset and all below it."""
        with self.lock:
            dataset, mark, snapshot = name.partition("@")
            if mark:
                found = self.dataset(dataset)
                found.snapshots = [v for v in found.snapshots if v.name != snapshot]
                return
            datasets = self.pools[dataset.split("/")[0]].datasets
            for each in [n for n in datasets if n == dataset or n.startswith(dataset + "/")]:
                gone = datasets.pop(each)
                if gone.origin is not None:
                    gone.origin.clones -= 1
