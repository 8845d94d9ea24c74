"""Who is who: nodes, targets, lanes, groups."""

import uuid
from dataclasses import dataclass
from functools import lru_cache

_LANES = uuid.UUID("6f0d7c3e-2a0b-5c55-9d3c-7a7265706c79")
_GROUPS = uuid.UUID("0c4b1f02-6a0f-5d0e-8a55-7a7267726f75")


@dataclass(frozen=True, slots=True)
class Node:
    """A machine: its uuid is its identity, its name is for people."""

    uuid: str
    name: str

    @property
    def short(self) -> str:
        """The first 8 hex digits of the uuid: what bookmarks and holds carry."""
        return self.uuid.replace("-", "")[:8]


@dataclass(frozen=True, slots=True)
class Lane:
    """One dataset's way to one target. `uuid` survives a rename: it hangs on the dataset's guid."""

    uuid: str
    dataset: str
    target: Node
    raw: bool
    """Raw stream (`-w`), exactly where the dataset is encrypted; frozen for the lane's life."""
    squeezable: bool = False
    """ZFS sends it uncompressed, so zstd on the wire may pay; never for a raw stream."""
    parent: str = ""
    """uuid of the lane of the nearest dataset above it that is sent too; see wire.Begin."""
    label: str = ""
    """What the target is told that it is called, where that is not the dataset's name: a member's
    name in a group that has roles."""
    epoch: str = ""
    """Of the group, where it has roles; else the node's own counts."""

    @property
    def turned(self) -> bool:
        """It goes the other way than its policy says: its target founded the group."""
        return self.label not in ("", self.dataset)

    @property
    def called(self) -> str:
        """The dataset, as the target knows it."""
        return self.label or self.dataset


@lru_cache(maxsize=4096)
def lane_uuid(source_node: str, dataset_guid: int, target_node: str) -> str:
    """Derived, so that no state can be lost: uuid5 of (source, dataset's guid, target)."""
    return str(uuid.uuid5(_LANES, f"{source_node}/{dataset_guid:016x}/{target_node}"))


def group_uuid(founder_node: str, group: str) -> str:
    """A group that has roles, by the node whose policy founded it and its name (`radio/tank`):
    both nodes derive the same."""
    return str(uuid.uuid5(_GROUPS, f"{founder_node}/{group}"))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A tick of a group: which snapshot of each member is valid at the instant `at`.

    A dataset in which nothing was written keeps the guid of its earlier snapshot: so it is known
    to be valid at `at`, and the group can be restored or promoted as one.
    """

    group: str
    seq: int
    epoch: str
    at: int
    members: dict[str, int]
    """Dataset name → guid of the snapshot valid at `at`."""
