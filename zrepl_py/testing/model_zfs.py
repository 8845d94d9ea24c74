"""ModelZfs: ports/zfs.py on disks that are in memory (model_zfs_state.py).

Passes the same kit as the real adapters (testing/kits/zfs.py), so what is simulated on it holds on
OpenZFS as far as the kit goes. `send` and `receive` use real pipes; a single-threaded simulator
uses `stream_of` and `receive_stream`, which take and give bytes. A crash of the machine is: throw
the ModelZfs away, call ModelPools' state as it is, make another ModelZfs on it.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from zrepl_py.adapters.zfs.names import check_length, check_own, dataset_of, one_pool
from zrepl_py.adapters.zfs.placeholder import PLACEHOLDER_WORDS, missing_ancestors
from zrepl_py.adapters.zfs.programs import render_property_arguments
from zrepl_py.adapters.zfs.translate import WRONG_PARENT, judge_errno
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import check_dataset_name, join_snapshot
from zrepl_py.model.observation import (
    Dataset,
    Dependents,
    DestroyOutcome,
    Kind,
    PoolView,
    ResumePoint,
    SnapshotOutcome,
    Taken,
    Unchanged,
    Unfinished,
)
from zrepl_py.model.properties import CARRIED
from zrepl_py.testing.model_history import show_history
from zrepl_py.testing.model_zfs_keeps import find_dependents, keeps
from zrepl_py.testing.model_zfs_receive import receive_into
from zrepl_py.testing.model_zfs_send import base_of, order_of
from zrepl_py.testing.model_zfs_state import Mark, ModelDataset, ModelPool, ModelPools, Version
from zrepl_py.testing.model_zfs_streams import FromBytes, FromPipe, Order, cut, render_stream

_ENOENT, _EAGAIN, _EACCES, _EBUSY, _EEXIST, _EINVAL, _ENOSPC = 2, 11, 13, 16, 17, 22, 28
_NO_HOLDS: frozenset[str] = frozenset()


class ModelZfs:
    """One model machine's ZFS."""

    def __init__(self, pools: ModelPools) -> None:
        self.pools = pools

    # Observing.

    def observe_versions(self) -> dict[str, str]:
        """See the port."""
        return {"kernel": "2.3.9-model", "userland": "2.3.9-model", "adapter": "model"}

    def observe_pool(self, pool: str) -> PoolView:
        """See the port."""
        with self.pools.lock:
            found = self.pools.pools.get(pool)
            if found is None:
                raise judge_errno("program", _ENOENT, pool)
            if found.health == "SUSPENDED":
                return PoolView(pool, found.guid, found.health, 0, 0)
            free = max(0, found.size_bytes - found.used_bytes())
            return PoolView(pool, found.guid, found.health, found.size_bytes, free)

    def observe_datasets(self, root: str) -> list[Dataset]:
        """See the port."""
        with self.pools.lock:
            self._dataset(root)
            everything, prefix = self._pool(root).datasets, root + "/"
            below = [n for n in everything if n == root or n.startswith(prefix)]
            said = any("compression" in d.local for d in everything.values())
            return [self._view(everything[name], said) for name in sorted(below)]

    def observe_history(self, dataset: str) -> History:
        """See the port."""
        with self.pools.lock:
            return show_history(self._dataset(dataset))

    def observe_snapshot(self, snapshot: str) -> Snapshot | None:
        """See the port."""
        check_dataset_name(dataset_of(snapshot))
        with self.pools.lock:
            self._check_usable(snapshot)
            version = self.pools.version(snapshot)
            return version.seen() if version else None

    def observe_resume(self, dataset: str) -> ResumePoint | None:
        """See the port."""
        check_dataset_name(dataset)
        with self.pools.lock:
            self._check_usable(dataset)
            found = self.pools.find(dataset)
            if found is None or found.partial is None or found.receiving:
                return None
            p = found.partial
            return ResumePoint(p.to_guid, p.from_guid, *p.at, p.bytes_received, p.raw)

    def observe_holds(self, snapshots: Sequence[str]) -> dict[str, frozenset[str]]:
        """See the port."""
        with self.pools.lock:
            self._check_usable(*snapshots)
            there: dict[str, dict[str, Version]] = {}
            found = {}
            for name in snapshots:
                dataset, _, short = name.partition("@")
                versions = there.get(dataset)
                if versions is None:
                    known = self.pools.find(dataset)
                    versions = {v.name: v for v in known.snapshots} if known else {}
                    there[dataset] = versions
                version = versions.get(short)
                if version is not None:
                    found[name] = frozenset(version.holds) if version.holds else _NO_HOLDS
            return found

    def observe_dependents(self, snapshots: Sequence[str]) -> dict[str, Dependents]:
        """See the port."""
        with self.pools.lock:
            self._check_usable(*snapshots)
            return find_dependents(self.pools, snapshots)

    def observe_properties(self, dataset: str) -> dict[str, str]:
        """See the port."""
        with self.pools.lock:
            return {k: v for k, v in self._dataset(dataset).local.items() if k in CARRIED}

    def observe_origin(self, dataset: str) -> str | None:
        """See the port."""
        with self.pools.lock:
            origin = self._dataset(dataset).origin
            owner = self.pools.owner(origin) if origin else None
            return join_snapshot(owner.name, origin.name) if owner and origin else None

    # Changing.

    def snapshot_changed(
        self, datasets: Mapping[str, str | None], name: str
    ) -> dict[str, SnapshotOutcome]:
        """See the port."""
        if not datasets:
            return {}
        pool_name = one_pool(datasets)
        for dataset in datasets:
            check_length(f"{dataset}@{name}")
        with self.pools.lock:
            pool = self._pool(pool_name)
            self._check_usable(pool_name)
            unfinished = [n for n in sorted(datasets) if self._is_unfinished(n)]
            whole = [n for n in sorted(datasets) if n not in unfinished]
            changed = [n for n in whole if self._must_take(n, datasets[n], name)]
            if changed and pool.used_bytes() >= pool.size_bytes:
                raise judge_errno("snapshot", _ENOSPC, pool_name)
            txg = pool.sync()
            outcomes: dict[str, SnapshotOutcome] = {
                n: Unfinished() if n in unfinished else Unchanged() for n in datasets
            }
            for dataset in changed:
                made = self.pools.take_in(self._dataset(dataset), name, txg)
                outcomes[dataset] = Taken(made.guid, made.createtxg, made.created_at)
            return outcomes

    def _is_unfinished(self, dataset: str) -> bool:
        found = self.pools.find(dataset)
        return found is not None and found.incomplete

    def _must_take(self, dataset: str, last: str | None, name: str) -> bool:
        found = self._dataset(dataset)
        base = found.snapshot(last) if last else None
        if base is not None and found.changed_txg <= base.createtxg:
            return False
        if found.snapshot(name):
            raise judge_errno("snapshot", _EEXIST, f"{dataset}@{name}")
        return True

    def hold(self, snapshots: Sequence[str], tag: str) -> None:
        """See the port."""
        with self.pools.lock:
            self._check_usable(*snapshots)
            missing = [name for name in snapshots if self.pools.version(name) is None]
            for name in snapshots:
                version = self.pools.version(name)
                if version is not None:
                    version.holds.add(tag)
        if missing:
            raise judge_errno("hold", _ENOENT, missing[0])

    def release(self, snapshots: Sequence[str], tag: str) -> None:
        """See the port."""
        with self.pools.lock:
            self._check_usable(*snapshots)
            for name in snapshots:
                version = self.pools.version(name)
                if version is not None:
                    version.holds.discard(tag)

    def bookmark(self, source: str, bookmark: str) -> None:
        """See the port."""
        check_length(bookmark)
        with self.pools.lock:
            self._check_usable(bookmark)
            base = base_of(self.pools, source)
            if base is None or self.pools.find(dataset_of(bookmark)) is None:
                raise judge_errno("bookmark", _ENOENT, source)
            found = self._dataset(dataset_of(bookmark))
            if dataset_of(source) != found.name and not self.pools.descends(found, base.guid):
                raise judge_errno("bookmark", _EINVAL, source)
            name = bookmark.partition("#")[2]
            existing = found.bookmarks.get(name)
            if existing is not None and existing.guid != base.guid:
                raise judge_errno("bookmark", _EEXIST, bookmark)
            found.bookmarks[name] = Mark(name, base.guid, base.createtxg, base.created_at)

    def destroy_snapshots(self, snapshots: Mapping[str, int]) -> list[DestroyOutcome]:
        """See the port."""
        check_own(snapshots, "@")
        with self.pools.lock:
            self._check_usable(*snapshots)
            causes = {name: keeps(self.pools, name, guid) for name, guid in snapshots.items()}
            for name, cause in causes.items():
                if not cause:
                    dataset, _, version = name.partition("@")
                    found = self._dataset(dataset)
                    found.snapshots = [v for v in found.snapshots if v.name != version]
        return [DestroyOutcome(name, not cause, cause) for name, cause in causes.items()]

    def destroy_bookmarks(self, bookmarks: Mapping[str, int]) -> list[DestroyOutcome]:
        """See the port."""
        check_own(bookmarks, "#")
        outcomes = []
        with self.pools.lock:
            self._check_usable(*bookmarks)
            for name, guid in bookmarks.items():
                found = self.pools.find(dataset_of(name))
                key = name.partition("#")[2]
                mark = found.bookmarks.get(key) if found else None
                cause = "gone" if mark is None else "other-guid" if mark.guid != guid else ""
                if found is not None and not cause:
                    del found.bookmarks[key]
                outcomes.append(DestroyOutcome(name, not cause, cause))
        return outcomes

    # Streams.

    def send(
        self, snapshot: str, base: str | None, *, raw: bool, fd: int, resume: tuple[int, int] | None
    ) -> None:
        """See the port."""
        try:
            order = self._order(snapshot, base, raw, resume)
            with self._sending(order.to):
                for piece in render_stream(order):
                    view = memoryview(piece)
                    while view:
                        view = view[os.write(fd, view) :]
        except BrokenPipeError:
            raise cut() from None
        finally:
            os.close(fd)

    @contextmanager
    def _sending(self, version: Version) -> Iterator[None]:
        with self.pools.lock:
            version.sends += 1
        try:
            yield
        finally:
            with self.pools.lock:
                version.sends -= 1

    def stream_of(
        self, snapshot: str, base: str | None, *, raw: bool, resume: tuple[int, int] | None
    ) -> bytes:
        """What `send` would write, for a simulator that has no pipes."""
        return b"".join(render_stream(self._order(snapshot, base, raw, resume)))

    def _order(
        self, snapshot: str, base: str | None, raw: bool, resume: tuple[int, int] | None
    ) -> Order:
        with self.pools.lock:
            self._check_usable(snapshot)
            return order_of(self.pools, snapshot, base, raw=raw, resume=resume)

    def receive(
        self,
        snapshot: str,
        *,
        fd: int,
        to_guid: int,
        from_guid: int,
        raw: bool,
        origin: str | None = None,
    ) -> None:
        """See the port."""
        try:
            receive_into(
                self.pools,
                snapshot,
                FromPipe(fd),
                to_guid=to_guid,
                from_guid=from_guid,
                raw=raw,
                origin=origin,
            )
        finally:
            os.close(fd)

    def receive_stream(
        self, snapshot: str, stream: bytes, *, to_guid: int, from_guid: int, raw: bool
    ) -> None:
        """`receive` for a simulator that has no pipes."""
        receive_into(
            self.pools,
            snapshot,
            FromBytes(stream),
            to_guid=to_guid,
            from_guid=from_guid,
            raw=raw,
        )

    def abort_receive(self, dataset: str, to_guid: int) -> None:
        """See the port."""
        with self.pools.lock:
            self._check_usable(dataset)
            found = self.pools.find(dataset)
            if found is None or found.partial is None or found.partial.to_guid != to_guid:
                return
            if found.receiving:
                raise judge_errno("abort", 16, dataset)
            if found.incomplete and self.pools.has_children(dataset):
                raise judge_errno("abort", 17, dataset)
            found.partial = None
            if found.incomplete:
                del self._pool(dataset).datasets[dataset]

    def create_placeholder(self, dataset: str) -> None:
        """See the port."""
        with self.pools.lock:
            self._check_usable(dataset)
            exists: Callable[[str], bool] = lambda n: self.pools.find(n) is not None  # noqa: E731
            for name in missing_ancestors(dataset, exists):
                above = self.pools.find(name.rpartition("/")[0])
                if above is not None and above.kind is Kind.VOLUME:
                    raise judge_errno("create", WRONG_PARENT, name)
                if above is not None and not above.key_loaded:
                    raise judge_errno("create", _EACCES, name)
                self.pools.make_dataset(name, mounted=False, properties=PLACEHOLDER_WORDS)

    def set_user_properties(self, datasets: Sequence[str], values: Mapping[str, str]) -> None:
        """See the port."""
        render_property_arguments(datasets, values)
        with self.pools.lock:
            for found in [self._dataset(dataset) for dataset in datasets]:
                for name, value in values.items():
                    found.local.pop(name, None)
                    if value:
                        found.local[name] = value

    # Looking things up.

    def _view(self, dataset: ModelDataset, said: bool) -> Dataset:
        """`said`: compression is set somewhere."""
        above = [
            d.local.get("compression") for d in (self.pools.ancestors(dataset.name) if said else ())
        ]
        return Dataset(
            name=dataset.name,
            guid=dataset.guid,
            kind=dataset.kind,
            encrypted=dataset.encrypted,
            compressed=next((word for word in above if word), "on") != "off",
            mounted=dataset.mounted,
            user_properties={k: v for k, v in dataset.local.items() if k.startswith("zr:")},
        )

    def _pool(self, name: str) -> ModelPool:
        pool = self.pools.pool_of(name)
        if pool is None:
            raise judge_errno("program", _ENOENT, name)
        return pool

    def _dataset(self, name: str) -> ModelDataset:
        check_dataset_name(name)
        self._check_usable(name)
        found = self.pools.find(name)
        if found is None:
            raise judge_errno("property", _ENOENT, name)
        return found

    def _check_usable(self, *names: str) -> None:
        """A suspended pool answers nothing but its health."""
        if "SUSPENDED" not in [pool.health for pool in self.pools.pools.values()]:
            return
        for name in names:
            pool = self.pools.pool_of(name)
            if pool is not None and pool.health == "SUSPENDED":
                raise judge_errno("program", _EAGAIN, pool.name)
