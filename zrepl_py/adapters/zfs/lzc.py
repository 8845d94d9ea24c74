"""LzcZfs: ports/zfs.py through libzfs_core, without forks in a steady cycle.

libzfs_core is looked for at the first call, so that this module can be imported where there is
none. What it can do in one txg by a channel program is in shared.py; streams are in
lzc_streams.py. Every call releases the interpreter's lock while the kernel works.
Must never pass force, never destroy a dataset by name, never embed data in a stream.
"""

from collections.abc import Mapping, Sequence

from zrepl_py.adapters.zfs.begin import Begin
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.adapters.zfs.kstat import is_suspended, read_kernel_version
from zrepl_py.adapters.zfs.lzc_binding import binding, run_program, subject_of, words_of
from zrepl_py.adapters.zfs.lzc_streams import receive_stream, send_stream
from zrepl_py.adapters.zfs.names import by_pool, check_length, check_own, dataset_of, pool_of
from zrepl_py.adapters.zfs.parse import parse_versions
from zrepl_py.adapters.zfs.placeholder import PLACEHOLDER_NUMBERS, missing_ancestors
from zrepl_py.adapters.zfs.shared import SharedZfs
from zrepl_py.adapters.zfs.translate import judge_errno
from zrepl_py.errors import Refused
from zrepl_py.model.observation import DestroyOutcome

_EAGAIN, _EEXIST, _ENOENT, _EINVAL = 11, 17, 2, 22


class LzcZfs(SharedZfs):
    """One machine's ZFS through libzfs_core."""

    def __init__(self) -> None:
        super().__init__(run_program)

    def observe_versions(self) -> dict[str, str]:
        """See the port. One fork, for the userland's version."""
        binding()
        userland, kernel = parse_versions(run(["zfs", "version"]).out)
        return {
            "kernel": read_kernel_version() or kernel,
            "userland": userland,
            "adapter": "libzfs_core",
        }

    def observe_holds(self, snapshots: Sequence[str]) -> dict[str, frozenset[str]]:
        """See the port."""
        z = binding()
        found = {}
        for snapshot in snapshots:
            try:
                holds = z.lzc_get_holds(snapshot.encode())
            except z.exceptions.ZFSError as error:
                if error.errno == _ENOENT:
                    continue
                raise judge_errno("hold", error.errno, snapshot, words_of(error)) from error
            found[snapshot] = frozenset(tag.decode() for tag in holds)
        return found

    def hold(self, snapshots: Sequence[str], tag: str) -> None:
        """See the port. One call and one txg for each pool, unless some are held already."""
        missing = []
        for names in by_pool(dict.fromkeys(snapshots)).values():
            missing += self._hold_in_pool(names, tag)
        if missing:
            raise judge_errno("hold", _ENOENT, missing[0])

    def _hold_in_pool(self, names: list[str], tag: str) -> list[str]:
        z = binding()
        wanted = {name.encode(): tag.encode() for name in names}
        missing: list[bytes] = []
        while wanted:
            try:
                missing += z.lzc_hold(wanted)
                break
            except z.exceptions.HoldFailure as failure:
                # Nothing of the batch is held then: leave out those that are held or missing.
                done = {e.name for e in failure.errors if e.errno in (_EEXIST, _ENOENT)}
                other = [e for e in failure.errors if e.errno not in (_EEXIST, _ENOENT)]
                if other or not done & wanted.keys():
                    worst = (other or failure.errors)[0]
                    subject = subject_of(worst, names[0])
                    raise judge_errno("hold", worst.errno, subject, words_of(worst)) from failure
                missing += [e.name for e in failure.errors if e.errno == _ENOENT]
                wanted = {name: tag for name, tag in wanted.items() if name not in done}
        return [name.decode() for name in missing]

    def release(self, snapshots: Sequence[str], tag: str) -> None:
        """See the port. One call and one txg for each pool."""
        z = binding()
        for names in by_pool(dict.fromkeys(snapshots)).values():
            try:
                z.lzc_release({name.encode(): [tag.encode()] for name in names})
            except z.exceptions.ZFSError as error:
                if error.errno != _ENOENT:
                    raise judge_errno("hold", error.errno, names[0], words_of(error)) from error

    def bookmark(self, source: str, bookmark: str) -> None:
        """See the port."""
        z = binding()
        check_length(bookmark)
        try:
            z.lzc_bookmark({bookmark.encode(): source.encode()})
        except z.exceptions.ZFSError as error:
            number = error.errno
            cause = (getattr(error, "errors", None) or [error])[0]
            if number == _EEXIST:
                wanted = self._version_guid(source)
                if wanted == self._version_guid(bookmark):
                    return
                number = _EEXIST if wanted else _ENOENT
            elif number == _EINVAL and not self._version_guid(source):
                number = _ENOENT
            subject = bookmark if number == _EEXIST else source
            raise judge_errno("bookmark", number, subject, words_of(cause)) from error

    def _version_guid(self, name: str) -> int | None:
        """The guid of a snapshot or bookmark; None where there is none."""
        if "#" in name:
            dataset, _, version = name.partition("#")
            return self._bookmark_guids(dataset).get(version)
        found = self.observe_snapshot(name)
        return found.guid if found else None

    def _bookmark_guids(self, dataset: str) -> dict[str, int]:
        z = binding()
        try:
            found = z.lzc_get_bookmarks(dataset.encode(), [b"guid"])
        except z.exceptions.ZFSError as error:
            if error.errno == _ENOENT:
                return {}
            raise judge_errno("bookmark", error.errno, dataset, words_of(error)) from error
        return {name.decode(): _number(values[b"guid"]) for name, values in found.items()}

    def destroy_bookmarks(self, bookmarks: Mapping[str, int]) -> list[DestroyOutcome]:
        """See the port. Channel programs cannot destroy bookmarks, so the guids are compared right
        before; zr's bookmarks have their guid in their name."""
        check_own(bookmarks, "#")
        z = binding()
        verdicts: dict[str, str] = {}
        doomed: dict[str, str] = {}
        guids = {ds: self._bookmark_guids(ds) for ds in {dataset_of(b) for b in bookmarks}}
        for name, expected in bookmarks.items():
            guid = guids[dataset_of(name)].get(name.partition("#")[2])
            if guid is None:
                verdicts[name] = "gone"
            elif guid != expected:
                verdicts[name] = "other-guid"
            else:
                doomed[name] = ""
        for names in by_pool(doomed).values():
            try:
                z.lzc_destroy_bookmarks([name.encode() for name in names])
            except z.exceptions.ZFSError as error:
                raise judge_errno("bookmark", error.errno, names[0], words_of(error)) from error
        guids = {ds: self._bookmark_guids(ds) for ds in {dataset_of(b) for b in doomed}}
        for name in doomed:
            left = name.partition("#")[2] in guids[dataset_of(name)]
            verdicts[name] = "busy" if left else ""
        return [DestroyOutcome(name, not verdicts[name], verdicts[name]) for name in bookmarks]

    def send(
        self, snapshot: str, base: str | None, *, raw: bool, fd: int, resume: tuple[int, int] | None
    ) -> None:
        """See the port."""
        send_stream(snapshot, base, raw=raw, fd=fd, resume=resume)

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
        receive_stream(
            snapshot,
            fd=fd,
            to_guid=to_guid,
            from_guid=from_guid,
            raw=raw,
            origin=origin,
            admit=lambda begin: self._admit(snapshot, begin, origin),
        )

    def _admit(self, snapshot: str, begin: Begin, origin: str | None) -> None:
        self._check_continues(snapshot, begin)
        if origin is not None and binding().lzc_exists(dataset_of(snapshot).encode()):
            # The kernel would call the same a damaged stream.
            raise judge_errno("receive", _EEXIST, snapshot)

    def create_placeholder(self, dataset: str) -> None:
        """See the port."""
        z = binding()
        # lzc_exists says no for everything in a suspended pool.
        if is_suspended(pool_of(dataset)):
            raise judge_errno("create", _EAGAIN, dataset)
        properties = {name.encode(): value for name, value in PLACEHOLDER_NUMBERS.items()}
        for name in missing_ancestors(dataset, lambda n: bool(z.lzc_exists(n.encode()))):
            try:
                z.lzc_create(name.encode(), "zfs", properties)
            except z.exceptions.ZFSError as error:
                if error.errno != _EEXIST:
                    raise judge_errno("create", error.errno, name, words_of(error)) from error


def _number(value: object) -> int:
    """A property of a bookmark: `{b"value": 5, …}` or the number itself."""
    if isinstance(value, dict):
        value = value[b"value"]
    if not isinstance(value, int):
        raise Refused("zfs-failed", f"A bookmark's guid is {value!r}.")
    return value & (2**64 - 1)
