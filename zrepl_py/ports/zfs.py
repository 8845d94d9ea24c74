"""The ZFS port: everything zr may ask of a pool on this machine.

Contract, for every verb:
- Names are whole (`tank/a`, `tank/a@s`); guids are unsigned 64-bit.
- Errors are of zrepl_py.errors, with these reasons:
  `dataset-missing`, `snapshot-missing` (Standing), `snapshot-exists` (Refused),
  `no-space` (Passing), `quota` (Standing), `busy` (Passing), `pool-suspended` (Passing),
  `pool-missing` (Standing), `no-rights` (Standing), `module-missing` (Standing),
  `key-missing` (Standing: needs a loaded key), `io-error` (Corrupt), `zfs-failed` (Standing:
  anything else, with ZFS's own words).
- A verb that changes something has reached stable storage when it returns.
- There is no verb that forces, rolls back, destroys a dataset, or destroys by name alone.
- Calls are blocking and may be made from several threads. A suspended pool can hang any of them
  for ever: the caller watches (adapters/worker), not the verb.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.observation import (
    Dataset,
    Dependents,
    DestroyOutcome,
    PoolView,
    ResumePoint,
    SnapshotOutcome,
)


class ZfsPort(Protocol):
    """One machine's ZFS, as far as zr may touch it."""

    def observe_versions(self) -> dict[str, str]:
        """`{"kernel": "2.3.9-…", "userland": "2.3.9-…", "adapter": "libzfs_core"|"command"}`."""

    def observe_pool(self, pool: str) -> PoolView:
        """The pool's vital signs. Errors: pool-missing."""

    def observe_datasets(self, root: str) -> list[Dataset]:
        """`root` and everything below it, file systems and volumes, sorted by name.

        Includes datasets that a first, partial receive has begun. Errors: dataset-missing.
        """

    def observe_history(self, dataset: str) -> History:
        """All snapshots and bookmarks, foreign ones too. Errors: dataset-missing."""

    def observe_snapshot(self, snapshot: str) -> Snapshot | None:
        """One snapshot by its whole name, read back from the pool, or None where it is missing.

        Part of the steady cycle: neither lists nor forks.
        """

    def observe_resume(self, dataset: str) -> ResumePoint | None:
        """The partial receive of a dataset, or None (also where the dataset does not exist)."""

    def observe_holds(self, snapshots: Sequence[str]) -> dict[str, frozenset[str]]:
        """Snapshot → tags of its holds, foreign ones too; a missing snapshot is left out."""

    def observe_dependents(self, snapshots: Sequence[str]) -> dict[str, Dependents]:
        """Snapshot → what stands on it, and may be nothing; a missing snapshot is left out.

        Part of the steady cycle: neither lists nor forks.
        """

    def observe_properties(self, dataset: str) -> dict[str, str]:
        """The properties that belong to the data and are to be carried beside the stream
        (model/properties.py lists them), each only where its source is local or received."""

    def observe_origin(self, dataset: str) -> str | None:
        """The snapshot, `dataset@name`, that a clone was made of; None of what is no clone."""

    def snapshot_changed(
        self, datasets: Mapping[str, str | None], name: str
    ) -> dict[str, SnapshotOutcome]:
        """Atomically take `@name` of every dataset that changed; all datasets of one pool.

        `datasets` maps each dataset to the name (after the @) of the snapshot since which a change
        counts, or None: then it is taken in any case. "Unchanged" is decided in syncing context of
        the very txg in which the others are taken, so every write() that returned before the call
        is seen. All-or-nothing up to errors of the pool itself: all checks run before the first
        snapshot. Where the named snapshot is gone, the dataset counts as changed.
        A dataset that is nothing but a first receive is left out as Unfinished.
        Errors: dataset-missing (names it; nothing was taken), snapshot-exists, no-space, quota.
        Of several, that of the first dataset by name.
        """

    def hold(self, snapshots: Sequence[str], tag: str) -> None:
        """Every snapshot carries the hold afterwards; one that does already is no error.

        Errors: snapshot-missing (the others may be held).
        """

    def release(self, snapshots: Sequence[str], tag: str) -> None:
        """No snapshot carries the hold afterwards; a missing hold or snapshot is no error."""

    def bookmark(self, source: str, bookmark: str) -> None:
        """`tank/a@s` or `tank/a#b` → `tank/a#c`. The same one existing already is no error.

        In another dataset only where that is a clone of it, else zfs-failed.
        Errors: snapshot-missing, snapshot-exists (another version has that bookmark's name).
        """

    def destroy_snapshots(self, snapshots: Mapping[str, int]) -> list[DestroyOutcome]:
        """`{"tank/a@s": guid}`: destroy each whose guid is still that one, in one txg.

        Compares and destroys in the same txg. Held, cloned (also: the base of a partial receive),
        missing or different ones are left alone and reported. Only names made by zr (`@zr_…`) are
        accepted: else Bug(foreign-destroy).
        """

    def destroy_bookmarks(self, bookmarks: Mapping[str, int]) -> list[DestroyOutcome]:
        """The same for `#zr_…` bookmarks."""

    def send(
        self, snapshot: str, base: str | None, *, raw: bool, fd: int, resume: tuple[int, int] | None
    ) -> None:
        """Write the stream of `snapshot` into the pipe `fd`, and close `fd` at the end.

        `base` is a whole name of a snapshot or bookmark, None for a full stream. `resume` is
        (object, offset) of a ResumePoint. Flags are fixed: large blocks, compressed, and raw
        exactly where said; never embedded data. Ends within a second when the reader closes the
        pipe: Passing(stream-cut). Errors: snapshot-missing, key-missing, io-error.
        """

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
        """Receive the one stream in the pipe `fd` as `snapshot` (whole name), and close `fd`.

        Resumable, never forced, unmounted. Before anything is written the BEGIN record is compared
        with what is expected (a single stream, `to_guid`, `from_guid` or 0, raw or not): a
        mismatch is Refused(unexpected-stream). Errors: Passing(stream-cut), with what arrived kept
        for resuming, if a record came behind BEGIN; Corrupt(stream-damaged);
        Refused(target-modified) where the replica was changed, at the end too, and then the partial
        receive stays; Refused(target-exists); Refused(base-mismatch); no-space; quota; key-missing.

        `origin`, a whole name of a snapshot here: the dataset does not exist yet, and becomes a
        clone of it; the stream, also one of a clone, is an increment on it. Not resumable: of a
        stream that was cut nothing is kept.
        """

    def abort_receive(self, dataset: str, to_guid: int) -> None:
        """Throw away the partial receive of `dataset` if it is of `to_guid`, else do nothing."""

    def create_placeholder(self, dataset: str) -> None:
        """A file system that is never mounted, so that replicas can stand below it; idempotent.

        Parents are created too, all below an existing dataset. Errors: dataset-missing.
        """

    def set_user_properties(self, datasets: Sequence[str], values: Mapping[str, str]) -> None:
        """Set the same `zr:*` properties on all of these, of one pool; an empty value removes one.

        One transaction, so all or none. Errors: dataset-missing.
        """
