"""Trees: ports/datasets.py through the `zfs` command.

A change of roles is rare, so every verb forks, and looks before and after. Must never pass -f, -F,
-r or -R to a verb that changes something (`zfs snapshot -r` alone takes a whole tree in one txg).
"""

import os
from collections.abc import Mapping, Sequence

from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.adapters.zfs.names import check_length, dataset_of
from zrepl_py.adapters.zfs.parse_tree import parse_local, parse_tree
from zrepl_py.core.gate import (
    check_gate,
    check_is,
    check_whole,
    exists,
    missing,
    plan_copied,
    plan_restored,
    unlike,
)
from zrepl_py.errors import Refused, Standing, ZrError
from zrepl_py.model.names import check_dataset_name, join_snapshot
from zrepl_py.model.observation import Kind
from zrepl_py.model.tree import TreeDataset

COLUMNS = "name,guid,type,origin,mounted,readonly,canmount,encryptionroot,keystatus,mountpoint"


class CommandDatasets:
    """One machine's datasets through its commands; see DatasetPort."""

    def __init__(self, receive_user: str, delegated: Sequence[str]) -> None:
        """`delegated`: what the receiving user gets, the best first (`zfs allow`'s words)."""
        self._user = receive_user
        self._delegated = delegated

    def observe_tree(self, root: str) -> list[TreeDataset]:
        """See the port. Two forks."""
        return self._look(root, ["-r"])

    def _look(self, root: str, depth: Sequence[str]) -> list[TreeDataset]:
        check_dataset_name(root)
        what = ["-Hp", *depth, "-t", "filesystem,volume"]
        try:
            listed = self._zfs(["list", *what, "-o", COLUMNS, "--", root], root)
            got = ["get", *what, "-s", "local,received", "-o", "name,property,value", "all"]
            local = self._zfs([*got, "--", root], root)
        except Standing as error:
            if error.reason == "dataset-missing":
                return []
            raise
        return parse_tree(listed, parse_local(local))

    def observe_written(self, dataset: str, since_guid: int) -> int | None:
        """See the port. `written` lags until a txg has ended, so one is ended first."""
        check_dataset_name(dataset)
        argv = ["list", "-Hp", "-d", "1", "-t", "snapshot", "-o", "name,guid", "--", dataset]
        rows = (line.split("\t") for line in self._zfs(argv, dataset).splitlines())
        name = next((row[0] for row in rows if int(row[1]) == since_guid), None)
        if name is None:
            return None
        ended = run(["zpool", "sync", dataset.split("/")[0]])
        if ended.code != 0:
            raise judge_command("list", ended, dataset)
        since = f"written@{name.partition('@')[2]}"
        said = self._zfs(["get", "-Hp", "-o", "value", since, "--", dataset], dataset).strip()
        return int(said) if said.isdecimal() else None

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
        self._set(self._that(dataset, guid), plan_copied(found.local))

    def restore_properties(self, dataset: str, guid: int) -> None:
        """See the port."""
        found = self._that(dataset, guid)
        self._set(found, plan_restored(found.local))

    def set_gate(self, dataset: str, guid: int, values: Mapping[str, str]) -> None:
        """See the port."""
        found = self._that(dataset, guid)
        self._set(found, check_gate(found.kind, values))

    def _set(self, found: TreeDataset, values: Mapping[str, str]) -> None:
        wanted = {n: v for n, v in values.items() if found.local.get(n) != v}
        failed: ZrError | None = None
        if wanted:
            pairs = [f"{name}={value}" for name, value in wanted.items()]
            ended = run(["zfs", "set", *pairs, found.name])
            # "property may be set but unable to remount" is a failure that is none.
            failed = judge_command("create", ended, found.name) if ended.code else None
        now = self._that(found.name, found.guid).local
        if left := [name for name in wanted if now.get(name) != wanted[name]]:
            raise failed or unlike(found.name, f"{left[0]} is {now.get(left[0])!r} still")

    def mount(self, dataset: str, guid: int) -> None:
        """See the port."""
        found = self._that(dataset, guid)
        if not found.mounted:
            check_mountpoint_free(found)
            self._zfs(["mount", "--", dataset], dataset, "create")
        if not self._that(dataset, guid).mounted:
            raise unlike(dataset, "it is not mounted")

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
        check_dataset_name(parent)
        failed: ZrError | None = None
        for words in self._delegated:
            ended = run(["zfs", "allow", "-u", self._user, words, parent])
            if ended.code == 0 and self.observe_receive_right(parent):
                return
            failed = failed or judge_command("create", ended, parent)
        raise failed or unlike(parent, f"{self._user} may not receive there")

    def forbid_receive(self, parent: str) -> None:
        """See the port."""
        check_dataset_name(parent)
        if self.observe_receive_right(parent):
            self._zfs(["unallow", "-u", self._user, parent], parent, "create")
        if self.observe_receive_right(parent):
            raise unlike(parent, f"{self._user} may receive there still, by a right from above")

    def observe_receive_right(self, parent: str) -> bool:
        """See the port."""
        check_dataset_name(parent)
        words = f"user {self._user} "
        lines = self._zfs(["allow", parent], parent).splitlines()
        return any(words in line and "receive" in line for line in lines)

    def _one(self, name: str) -> TreeDataset | None:
        return next(iter(self._look(name, [])), None)

    def _that(self, dataset: str, guid: int) -> TreeDataset:
        return check_is(self._one(dataset), dataset, guid)

    def _zfs(self, argv: Sequence[str], name: str, operation: str = "list") -> str:
        ended = run(["zfs", *argv])
        if ended.code != 0:
            raise judge_command(operation, ended, name)
        return ended.out


def check_mountpoint_free(found: TreeDataset) -> None:
    """Standing(mountpoint-in-use) where a mount would hide files: ZFS does it without a word."""
    try:
        hidden = os.listdir(found.mountpoint) if found.mountpoint.startswith("/") else []
    except (FileNotFoundError, NotADirectoryError):
        return
    if hidden:
        raise Standing(
            "mountpoint-in-use",
            f"{found.mountpoint}, where {found.name} is to be mounted, contains {hidden[0]!r}.",
            "Move what is there out of the way; something wrote there while it was not mounted.",
        )
