"""Text of `zfs list` and `zfs get` → a tree of datasets. Pure."""

from collections.abc import Mapping

from zrepl_py.adapters.zfs.parse import unreadable
from zrepl_py.model.observation import Kind
from zrepl_py.model.tree import TreeDataset

_NONE = ("-", "")


def parse_local(text: str) -> dict[str, dict[str, str]]:
    """Lines `name property value` → dataset → property → value."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        columns = line.split("\t", 2)
        if len(columns) != 3:
            raise unreadable(line)
        found.setdefault(columns[0], {})[columns[1]] = columns[2]
    return found


def parse_tree(text: str, local: Mapping[str, Mapping[str, str]]) -> list[TreeDataset]:
    """Lines of tree.COLUMNS, parted by tabs; the mount point, which may have any, comes last."""
    found = []
    for line in text.splitlines():
        columns = line.split("\t", 9)
        if len(columns) != 10 or not columns[1].isdecimal():
            raise unreadable(line)
        name, guid, kind, origin, mounted, readonly, canmount, root, key, point = columns
        found.append(
            TreeDataset(
                name,
                int(guid),
                Kind(kind),
                origin=None if origin in _NONE else origin,
                mounted=mounted == "yes",
                readonly=readonly == "on",
                canmount="on" if canmount in _NONE else canmount,
                mountpoint="none" if point in _NONE else point,
                encryption_root=None if root in _NONE else root,
                key_loaded=key in ("available", *_NONE),
                local=dict(local.get(name, {})),
            )
        )
    return sorted(found, key=lambda d: d.name)
