"""The dataset port: what a change of roles does to datasets, besides what ports/zfs.py does.

Contract, for every verb:
- Nothing here rolls back or forces; nothing destroys but `drop_rescue`. What exists under a name
  that is wanted is never replaced: Refused(target-exists).
- Every verb is idempotent: where its post-condition holds already, it does nothing. So a step that
  was interrupted is made again, whatever had become of it.
- A dataset that is changed is named together with its guid: a name may mean another one by now.
  Errors: Standing(dataset-missing), Refused(not-that-dataset).
- A verb that takes many looks at all of them first; where one is not what was meant, none was
  changed. Any other error ends it where it is: made again, it does the rest.
- What was done is read back; no exit code is believed. In particular an unmounted file system is
  no proof that nobody writes: ports/host.py has that.
- Other errors: those of ports/zfs.py (busy, no-space, key-missing, pool-suspended, zfs-failed, …).
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from zrepl_py.model.history import History
from zrepl_py.model.tree import TreeDataset


class DatasetPort(Protocol):
    """One machine's datasets, as far as roles may touch them."""

    def observe_tree(self, root: str) -> list[TreeDataset]:
        """`root` and everything below it, sorted by name; an empty list where there is none."""

    def observe_trees(self, roots: Sequence[str]) -> list[TreeDataset]:
        """The same of many, each dataset once; a root that is not there is left out."""

    def observe_histories(self, datasets: Sequence[str]) -> dict[str, History]:
        """All snapshots and bookmarks of many; a dataset that is not there is left out."""

    def observe_written(self, since: Mapping[str, int]) -> dict[str, int | None]:
        """`{dataset: guid}`: bytes written since the dataset's own snapshot of that guid, all
        counted that was written before the call; 0 proves that nothing was. None where there is
        no such snapshot (a bookmark does not count): then it is not known.
        Errors: dataset-missing."""

    def snapshot_tree(self, root: str, name: str) -> dict[str, int]:
        """`@name` of `root` and all below, in one txg: dataset → the snapshot's guid.

        Where all have it already they are returned; where some have it: Refused(snapshot-exists).
        """

    def rename(self, dataset: str, guid: int, new: str) -> None:
        """`dataset`, with all below it, is called `new`, whose parent exists; nothing is mounted
        anew. Errors: busy (something of it is in use), target-exists."""

    def clone(self, snapshot: str, guid: int, dataset: str) -> None:
        """`dataset` is a clone of `snapshot`, whose guid is `guid`; read-only, and not mounted by
        itself. Errors: snapshot-missing, target-exists (it is there, and is no clone of that)."""

    def promote(self, dataset: str, guid: int) -> None:
        """`dataset` is no clone: what it was made of, and all before that, are its own.

        Errors: zfs-failed where both have a snapshot of the same name."""

    def copy_properties(self, source: str, dataset: str, guid: int) -> None:
        """What is set on `source` is set on `dataset`, with two exceptions: the gate
        (`canmount`, `readonly`) stays as it is, and what cannot be set is left out."""

    def restore_properties(self, datasets: Mapping[str, int]) -> None:
        """Replicas (`{dataset: guid}`) get back what their originals had: every `zr:orig:*` that
        is set on one, with the same exceptions. Errors: Refused(bad-mountpoint) where it would
        cover the system."""

    def set_gate(self, datasets: Mapping[str, int], values: Mapping[str, str]) -> None:
        """`canmount` and `readonly` are those (model/tree.GATE_PROPERTIES). For a volume,
        `canmount` is left out. Errors: zfs-failed where it reads back differently."""

    def mount(self, datasets: Mapping[str, int]) -> None:
        """The file systems are mounted where their properties say, parents first. Errors:
        key-missing, zfs-failed, mountpoint-in-use (a directory that is not empty is not hidden)."""

    def check_mountable(self, paths: Mapping[str, str]) -> None:
        """File systems that are not mounted could be, at these paths (core/gate.plan_mountpoints),
        as far as it shows now. Changes nothing.
        Errors: mountpoint-in-use, mountpoint-unreadable."""

    def unmount(self, dataset: str, guid: int) -> None:
        """ZFS says that it is not mounted; never lazily, never by force. Errors: busy."""

    def load_key(self, dataset: str, guid: int) -> None:
        """The key of its encryption root is loaded, from where `keylocation` says.

        Errors: key-missing (it would have to be typed, or is not there)."""

    def observe_receive_right(self, parent: str) -> bool:
        """Whether the receiving user may receive below `parent`, by whatever right; where it is not
        there: whether its first stream may make it. Errors: dataset-missing where what is above is
        not there either, or is the pool's own dataset."""

    def allow_receive(self, parent: str) -> None:
        """The receiving user may receive below `parent`; where it is not there: may make it, until
        this is said again of what is there then. Errors: as above."""

    def forbid_receive(self, parent: str) -> None:
        """It may not: the kernel refuses. Beside `parent` it may what it could before, also where
        that right came from above. A receive that is running still commits; it is ended first.
        Errors: zfs-failed where somebody else's right (a group's, everyone's) is left."""

    def drop_rescue(self, dataset: str, guid: int) -> None:
        """One dataset of a rescue (model/rescue.find_rescue_label) is gone, with its snapshots:
        only where, in the same txg, it has that guid, and the rescue's snapshot (or is a
        placeholder).
        A person has asked for it. Gone already: nothing. Errors: Refused(not-a-rescue);
        Passing(busy) where something stands on it, or is below it, or holds it."""
