"""Placeholders: file systems that only exist so that replicas can stand below them. Pure."""

from collections.abc import Callable

from zrepl_py.adapters.zfs.translate import judge_errno
from zrepl_py.model.names import check_dataset_name
from zrepl_py.model.properties import PLACEHOLDER_PROPERTY

PLACEHOLDER_WORDS = {
    "canmount": "off",
    "mountpoint": "none",
    "readonly": "on",
    PLACEHOLDER_PROPERTY: "on",
}
"""For the command."""
PLACEHOLDER_NUMBERS: dict[str, int | bytes] = {
    "canmount": 0,
    "mountpoint": b"none",
    "readonly": 1,
    PLACEHOLDER_PROPERTY: b"on",
}
"""For libzfs_core, where properties with a fixed list of values are numbers."""


def missing_ancestors(dataset: str, exists: Callable[[str], bool]) -> list[str]:
    """`dataset` and those above it that do not exist, topmost first; the pool has to exist."""
    check_dataset_name(dataset)
    missing: list[str] = []
    name = dataset
    while not exists(name):
        missing.insert(0, name)
        name, found, _ = name.rpartition("/")
        if not found:
            raise judge_errno("create", 2, missing[0])
    return missing
