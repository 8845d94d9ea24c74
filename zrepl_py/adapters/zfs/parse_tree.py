"""Text of `zfs get all` → a tree of datasets. Pure."""

from collections.abc import Mapping

from zrepl_py.adapters.zfs.parse import unreadable
from zrepl_py.model.observation import Kind
from zrepl_py.model.tree import MOUNT_OPTIONS, TreeDataset

_LOCAL = ("local", "received")


def parse_tree(text: str) -> list[TreeDataset]:
    """Lines `name property value source`, parted by tabs; a value may have any."""
    said: dict[str, dict[str, str]] = {}
    local: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        name, *rest = line.split("\t", 2)
        if len(rest) != 2 or "\t" not in rest[1]:
            raise unreadable(line)
        value, _, source = rest[1].rpartition("\t")
        said.setdefault(name, {})[rest[0]] = value
        if source in _LOCAL:
            local.setdefault(name, {})[rest[0]] = value
    return [_dataset(name, said[name], local.get(name, {})) for name in sorted(said)]


def _dataset(name: str, said: Mapping[str, str], local: dict[str, str]) -> TreeDataset:
    """A property that does not apply is not there, or is `-`."""
    found = {word: value for word, value in said.items() if value not in ("-", "")}
    guid, kind = found.get("guid", ""), found.get("type", "")
    if not guid.isdecimal() or kind not in list(Kind):
        raise unreadable(f"{name}: guid {guid!r}, type {kind!r}")
    return TreeDataset(
        name,
        int(guid),
        Kind(kind),
        origin=found.get("origin"),
        mounted=found.get("mounted") == "yes",
        readonly=found.get("readonly") == "on",
        canmount=found.get("canmount", "on"),
        mountpoint=found.get("mountpoint", "none"),
        encryption_root=found.get("encryptionroot"),
        key_loaded=found.get("keystatus", "available") == "available",
        written_bytes=_number(found.get("written")),
        changed_at=_number(found.get("snapshots_changed")),
        used_bytes=_sum(found.get("usedbydataset"), found.get("usedbysnapshots")),
        options={word: found[word] for word in MOUNT_OPTIONS if word in found},
        local=local,
    )


def _sum(*words: str | None) -> int | None:
    numbers = [number for word in words if (number := _number(word)) is not None]
    return sum(numbers) if len(numbers) == len(words) else None


def _number(word: str | None) -> int | None:
    return int(word) if word is not None and word.isdecimal() else None
