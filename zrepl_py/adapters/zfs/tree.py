"""Trees: ports/datasets.py through the `zfs` command.

A change of roles is rare, so every verb forks, and looks before and after. Must never pass -f, -F,
-r or -R to a verb that changes something (`zfs snapshot -r` alone takes a whole tree in one txg;
rights.py takes one away from a whole tree).
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.adapters.zfs.listing import list_histories, list_many, list_written, sync_pool
from zrepl_py.adapters.zfs.names import check_length, dataset_of, pool_of
from zrepl_py.adapters.zfs.parse_tree import parse_tree
from zrepl_py.adapters.zfs.rescues import drop_rescue
from zrepl_py.adapters.zfs.rights import ReceiveRight
from zrepl_py.core.gate import (
    check_gate,
    check_is,
    check_whole,
    exists,
    missing,
    mountpoint_in_use,
    mountpoint_unreadable,
    plan_copied,
    plan_restored,
    unlike,
)
from zrepl_py.errors import Refused
from zrepl_py.model.history import History
from zrepl_py.model.names import check_dataset_name, join_snapshot
from zrepl_py.model.observation import Kind
from zrepl_py.model.properties import CLONED_PROPERTY
from zrepl_py.model.tree import TreeDataset

_TOGETHER = 6
"""Datasets of one `zfs set`, and how many of these run at a time: each dataset waits for a txg,
which may be the same one."""


class CommandDatasets:
    """One machine's datasets through its commands; see DatasetPort."""

    def __init__(self, right: ReceiveRight | None = None) -> None:
        self._right = right or ReceiveRight()

    def observe_tree(self, root: str) -> list[TreeDataset]:
        """See the port. One fork."""
        return self.observe_trees([root])

    def observe_trees(self, roots: Sequence[str]) -> list[TreeDataset]:
        """See the port. One fork for all."""
        return self._look(roots, ["-r"])

    def _look(self, names: Sequence[str], depth: Sequence[str] = ()) -> list[TreeDataset]:
        what = ["-Hp", *depth, "-t", "filesystem,volume", "-o", "name,property,value,source"]
        text, _ = list_many(["get", *what, "all"], names)
        return parse_tree(text)

    def observe_histories(self, datasets: Sequence[str]) -> dict[str, History]:
        """See the port. One fork for all."""
        return list_histories(datasets)

    def observe_written(self, since: Mapping[str, int]) -> dict[str, int | None]:
        """See the port. Three forks for all."""
        return list_written(since)

    def snapshot_tree(self, root: str, name: str) -> dict[str, int]:
        """See the port."""
        members = [d.name for d in self.observe_tree(root)]
        if not members:
            raise missing(root)
        there = self._snapshots(root, name)
        if not there:
            for member in members:
                check_length(join_snapshot(member, name))
            self._zfs(["snapshot", "-r", "--", join_snapshot(root, name)], root, "create")
            there = self._snapshots(root, name)
        check_whole(root, name, members, there)
        return there

    def _snapshots(self, root: str, name: str) -> dict[str, int]:
        argv = ["list", "-Hp", "-r", "-t", "snapshot", "-o", "name,guid", "--", root]
        rows = (line.split("\t") for line in self._zfs(argv, root).splitlines())
        found = ((*row[0].split("@", 1), row[1]) for row in rows)
        return {dataset: int(guid) for dataset, snapshot, guid in found if snapshot == name}

    def rename(self, dataset: str, guid: int, new: str) -> None:
        """See the port."""
        check_dataset_name(new)
        there = self._one(new)
        if there is not None:
            if there.guid == guid:
                return
            raise exists(new)
        self._that(dataset, guid)
        self._zfs(["rename", "-u", "--", dataset, new], dataset, "create")
        self._that(new, guid)

    def clone(self, snapshot: str, guid: int, dataset: str) -> None:
        """See the port."""
        there = self._one(dataset)
        if there is None:
            if self._guid(snapshot) != guid:
                raise Refused("not-that-dataset", f"{snapshot} is another snapshot by now.")
            of = self._one(dataset_of(snapshot))
            mounts = of is not None and of.kind is Kind.FILESYSTEM
            options = ["-o", "readonly=on", *(["-o", "canmount=noauto"] if mounts else [])]
            self._zfs(["clone", *options, "--", snapshot, dataset], dataset, "create")
            there = self._one(dataset)
        if there is None or there.origin is None or self._guid(there.origin) != guid:
            raise exists(dataset)
        if there.readonly and not there.mounted and CLONED_PROPERTY not in there.local:
            sync_pool(pool_of(dataset))
            argv = ["get", "-Hp", "-o", "value", "written", "--", dataset]
            own = self._zfs(argv, dataset).strip()
            self._zfs(["set", f"{CLONED_PROPERTY}={guid}:{own}", "--", dataset], dataset)

    def _guid(self, snapshot: str) -> int:
        argv = ["get", "-Hp", "-o", "value", "guid", "--", snapshot]
        return int(self._zfs(argv, snapshot, "bookmark").strip())

    def promote(self, dataset: str, guid: int) -> None:
        """See the port."""
        if self._that(dataset, guid).origin is not None:
            self._zfs(["promote", dataset], dataset, "create")
        if self._that(dataset, guid).origin is not None:
            raise unlike(dataset, "it is a clone still")

    def copy_properties(self, source: str, dataset: str, guid: int) -> None:
        """See the port."""
        found = self._one(source)
        if found is None:
            raise missing(source)
        self._set([self._that(dataset, guid)], [plan_copied(found.local)])

    def restore_properties(self, datasets: Mapping[str, int]) -> None:
        """See the port."""
        found = self._those(datasets)
        self._set(found, [plan_restored(d.local) for d in found])

    def set_gate(self, datasets: Mapping[str, int], values: Mapping[str, str]) -> None:
        """See the port."""
        found = self._those(datasets)
        self._set(found, [check_gate(d.kind, values) for d in found])

    def _set(self, found: Sequence[TreeDataset], values: Sequence[Mapping[str, str]]) -> None:
        """Some forks for each set of values, and a look in the end."""
        wanted, together = {}, dict[tuple[str, ...], list[str]]()
        for dataset, given in zip(found, values, strict=True):
            new = {n: v for n, v in given.items() if dataset.local.get(n) != v}
            if new:
                wanted[dataset.name] = new
                pairs = tuple(f"{name}={value}" for name, value in new.items())
                together.setdefault(pairs, []).append(dataset.name)
        jobs = [
            [*pairs, *names[start : start + _TOGETHER]]
            for pairs, names in together.items()
            for start in range(0, len(names), _TOGETHER)
        ]
        with ThreadPoolExecutor(_TOGETHER) as threads:
            all_ended = list(threads.map(lambda words: run(["zfs", "set", *words]), jobs))
        # "property may be set but unable to remount" is a failure that is none.
        failed = next(
            (judge_command("create", ended, words[-1])
             for words, ended in zip(jobs, all_ended, strict=True) if ended.code),
            None,
        )  # fmt: skip
        changed = {d.name: d.guid for d in found if d.name in wanted}
        for now in self._those(changed):
            new = wanted[now.name]
            if left := [name for name in new if now.local.get(name) != new[name]]:
                raise failed or unlike(now.name, f"{left[0]} is {now.local.get(left[0])!r} still")

    def mount(self, datasets: Mapping[str, int]) -> None:
        """See the port."""
        for found in self._those(datasets):
            if not found.mounted:
                check_mountpoint_free(found.name, found.mountpoint)
                self._mount(found)
        if left := [d.name for d in self._those(datasets) if not d.mounted]:
            raise unlike(left[0], "it is not mounted")

    def check_mountable(self, paths: Mapping[str, str]) -> None:
        """See the port. No fork."""
        for name, path in paths.items():
            check_mountpoint_free(name, path)

    def _mount(self, dataset: TreeDataset) -> None:
        self._zfs(["mount", "--", dataset.name], dataset.name, "create")

    def unmount(self, dataset: str, guid: int) -> None:
        """See the port."""
        if self._that(dataset, guid).mounted:
            self._zfs(["unmount", "--", dataset], dataset, "create")
        if self._that(dataset, guid).mounted:
            raise unlike(dataset, "it is mounted still")

    def load_key(self, dataset: str, guid: int) -> None:
        """See the port."""
        found = self._that(dataset, guid)
        root = found.encryption_root
        if root is not None and not found.key_loaded:
            self._zfs(["load-key", "--", root], root, "load-key")
            if not self._that(dataset, guid).key_loaded:
                raise unlike(dataset, "its key is not loaded")

    def allow_receive(self, parent: str) -> None:
        """See the port."""
        self._right.allow(parent)

    def forbid_receive(self, parent: str) -> None:
        """See the port."""
        self._right.forbid(parent)

    def observe_receive_right(self, parent: str) -> bool:
        """See the port."""
        return bool(self._right.observe(parent))

    def drop_rescue(self, dataset: str, guid: int) -> None:
        """See the port."""
        drop_rescue(dataset, guid)

    def _one(self, name: str) -> TreeDataset | None:
        return next(iter(self._look([name])), None)

    def _that(self, dataset: str, guid: int) -> TreeDataset:
        return self._those({dataset: guid})[0]

    def _those(self, datasets: Mapping[str, int]) -> list[TreeDataset]:
        """Each of them, parents first; none is another one by now."""
        found = {d.name: d for d in self._look(list(datasets))}
        return [check_is(found.get(name), name, datasets[name]) for name in sorted(datasets)]

    def _zfs(self, argv: Sequence[str], name: str, operation: str = "list") -> str:
        ended = run(["zfs", *argv])
        if ended.code != 0:
            raise judge_command(operation, ended, name)
        return ended.out


def check_mountpoint_free(dataset: str, path: str) -> None:
    """Standing(mountpoint-in-use) where a mount would hide files; mountpoint-unreadable."""
    try:
        hidden = os.listdir(path) if path.startswith("/") else []
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise mountpoint_unreadable(dataset, path, error.strerror or str(error)) from error
    if hidden:
        raise mountpoint_in_use(dataset, path, hidden[0])
