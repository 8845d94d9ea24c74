"""The dataset port: what a change of roles does to datasets, besides what ports/zfs.py does.

Contract, for every verb:
- Nothing here destroys, rolls back or forces. What exists under a name that is wanted is never
  replaced: Refused(target-exists).
- Every verb is idempotent: where its post-condition holds already, it does nothing. So a step that
  was interrupted is made again, whatever had become of it.
- A dataset that is changed is named together with its guid: a name may mean another one by now.
  Errors: Standing(dataset-missing), Refused(not-that-dataset).
- What was done is read back; no exit code is believed. In particular an unmounted file system is
  no proof that nobody writes: ports/host.py has that.
- Other errors: those of ports/zfs.py (busy, no-space, key-missing, pool-suspended, zfs-failed, …).
"""

from collections.abc import Mapping
from typing import Protocol

from zrepl_py.model.tree import TreeDataset


class DatasetPort(Protocol):
    """One machine's datasets, as far as roles may touch them."""

    def observe_tree(self, root: str) -> list[TreeDataset]:
        """`root` and everything below it, sorted by name; an empty list where there is none."""

    def observe_written(self, dataset: str, since_guid: int) -> int | None:
        """Bytes written since the dataset's own snapshot of that guid, everything counted that was
        written before the call; 0 proves that nothing was. None where there is no such snapshot
        (a bookmark does not count): then it is not known. Errors: dataset-missing."""

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

    def restore_properties(self, dataset: str, guid: int) -> None:
        """A replica gets back what its original had: every `zr:orig:*` that is set on it, with
        the same exceptions. Errors: Refused(bad-mountpoint) where it would cover the system."""

    def set_gate(self, dataset: str, guid: int, values: Mapping[str, str]) -> None:
        """`canmount` and `readonly` are those (model/tree.GATE_PROPERTIES). For a volume,
        `canmount` is left out. Errors: zfs-failed where it reads back differently."""

    def mount(self, dataset: str, guid: int) -> None:
        """The file system is mounted where its properties say. Errors: key-missing, zfs-failed
        (a directory that is not empty is not hidden)."""

    def unmount(self, dataset: str, guid: int) -> None:
        """ZFS says that it is not mounted; never lazily, never by force. Errors: busy."""

    def load_key(self, dataset: str, guid: int) -> None:
        """The key of its encryption root is loaded, from where `keylocation` says.

        Errors: key-missing (it would have to be typed, or is not there)."""

    def observe_receive_right(self, parent: str) -> bool:
        """Whether the receiving user may receive below `parent`, by whatever right."""

    def allow_receive(self, parent: str) -> None:
        """The receiving user may receive below `parent`."""

    def forbid_receive(self, parent: str) -> None:
        """It may not: the kernel refuses. A receive that is running still commits; it is ended
        first."""
