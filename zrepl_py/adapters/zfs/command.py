"""CommandZfs: ports/zfs.py through the `zfs` command, for machines without libzfs_core's binding.

A complete fallback behind the same contract; it forks for every verb, and a steady cycle that uses
`observe_versions` says so. The channel programs are the same (`zfs program`). Streams are in
command_streams.py. Must never pass -F, -f, -R or -r to a verb that changes something.
"""

import os
from collections.abc import Mapping, Sequence

from zrepl_py.adapters.zfs.begin import Begin
from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.command_streams import receive_by_command, send_by_command
from zrepl_py.adapters.zfs.forks import check_device, run
from zrepl_py.adapters.zfs.kstat import read_kernel_version
from zrepl_py.adapters.zfs.names import check_length, check_own, dataset_of
from zrepl_py.adapters.zfs.parse import parse_holds, parse_program_json, parse_versions
from zrepl_py.adapters.zfs.placeholder import PLACEHOLDER_WORDS, missing_ancestors
from zrepl_py.adapters.zfs.programs import (
    INSTRUCTION_LIMIT,
    MEMORY_LIMIT_BYTES,
    judge_program_error,
)
from zrepl_py.adapters.zfs.shared import SharedZfs
from zrepl_py.adapters.zfs.translate import judge_errno
from zrepl_py.errors import Refused, Standing, ZrError
from zrepl_py.model.observation import DestroyOutcome

_EBUSY, _ENOENT, _EACCES, _EEXIST = 16, 2, 13, 17


class CommandZfs(SharedZfs):
    """One machine's ZFS through its commands."""

    def __init__(self) -> None:
        super().__init__(run_program_by_command)

    def observe_versions(self) -> dict[str, str]:
        """See the port."""
        check_device()
        userland, kernel = parse_versions(run(["zfs", "version"]).out)
        kernel = read_kernel_version() or kernel
        return {"kernel": kernel, "userland": userland, "adapter": "command"}

    def observe_holds(self, snapshots: Sequence[str]) -> dict[str, frozenset[str]]:
        """See the port."""
        found = {}
        for snapshot in snapshots:
            ended = run(["zfs", "holds", "-H", "-p", "--", snapshot])
            if ended.code != 0:
                error = judge_command("hold", ended, snapshot)
                if error.reason != "snapshot-missing":
                    raise error
                continue
            found[snapshot] = parse_holds(ended.out).get(snapshot, frozenset())
        return found

    def hold(self, snapshots: Sequence[str], tag: str) -> None:
        """See the port. `zfs hold` needs a txg for each snapshot."""
        missing: ZrError | None = None
        for snapshot in snapshots:
            ended = run(["zfs", "hold", "--", tag, snapshot])
            if ended.code == 0 or "tag already exists" in ended.err:
                continue
            error = judge_command("hold", ended, snapshot)
            if error.reason != "snapshot-missing":
                raise error
            missing = missing or error
        if missing:
            raise missing

    def release(self, snapshots: Sequence[str], tag: str) -> None:
        """See the port."""
        for snapshot in snapshots:
            ended = run(["zfs", "release", "--", tag, snapshot])
            if ended.code != 0:
                error = judge_command("hold", ended, snapshot)
                if error.reason != "snapshot-missing":
                    raise error

    def bookmark(self, source: str, bookmark: str) -> None:
        """See the port."""
        check_length(bookmark)
        ended = run(["zfs", "bookmark", "--", source, bookmark])
        if ended.code == 0:
            return
        wanted = self._version_guid(source)
        if wanted is None:
            raise judge_errno("bookmark", _ENOENT, source)
        if self._version_guid(bookmark) != wanted:
            raise judge_command("bookmark", ended, bookmark)

    def _version_guid(self, name: str) -> int | None:
        """The guid of a snapshot or bookmark; None where there is none."""
        ended = run(["zfs", "get", "-Hp", "-o", "value", "guid", "--", name])
        if ended.code == 0:
            return int(ended.out.strip())
        error = judge_command("bookmark", ended, name)
        if error.reason != "snapshot-missing":
            raise error
        return None

    def destroy_bookmarks(self, bookmarks: Mapping[str, int]) -> list[DestroyOutcome]:
        """See the port. Compared right before: see LzcZfs."""
        check_own(bookmarks, "#")
        outcomes = []
        for name, expected in bookmarks.items():
            guid = self._version_guid(name)
            cause = "gone" if guid is None else "other-guid" if guid != expected else ""
            if not cause:
                ended = run(["zfs", "destroy", "--", name])
                if ended.code != 0:
                    raise judge_command("bookmark", ended, name)
                cause = "busy" if self._version_guid(name) is not None else ""
            outcomes.append(DestroyOutcome(name, not cause, cause))
        return outcomes

    def send(
        self, snapshot: str, base: str | None, *, raw: bool, fd: int, resume: tuple[int, int] | None
    ) -> None:
        """See the port."""
        try:
            guids = None
            if resume is not None:
                to_guid = self._version_guid(snapshot)
                from_guid = self._version_guid(base) if base is not None else 0
                if to_guid is None or from_guid is None:
                    raise judge_errno("send", _ENOENT, base if to_guid and base else snapshot)
                guids = (to_guid, from_guid)
            send_by_command(snapshot, base, raw=raw, fd=fd, resume=resume, guids=guids)
        except (Standing, Refused) as error:
            late = error.reason in ("snapshot-missing", "base-mismatch")
            if not raw and late and _lacks_key(dataset_of(snapshot)):
                raise judge_errno("send", _EACCES, snapshot) from error
            raise
        finally:
            os.close(fd)

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
        try:
            receive_by_command(
                snapshot,
                fd=fd,
                to_guid=to_guid,
                from_guid=from_guid,
                raw=raw,
                admit=lambda begin: self._admit(snapshot, begin, origin),
                origin=origin,
            )
        finally:
            os.close(fd)

    def _admit(self, snapshot: str, begin: Begin, origin: str | None) -> None:
        self._check_continues(snapshot, begin)
        if origin is not None and _exists(dataset_of(snapshot)):
            # The kernel would call the same a damaged stream.
            raise judge_errno("receive", _EEXIST, snapshot)
        if not begin.raw and _lacks_key(dataset_of(snapshot)):
            # The kernel says so before anything else, the command after other things.
            raise judge_errno("receive", _EACCES, snapshot)
        if self.observe_snapshot(snapshot) is not None:
            # The command skips what is there already, and says that all is well.
            raise judge_errno("receive", _EEXIST, snapshot)
        if not begin.resuming and self._resume_token(dataset_of(snapshot)) is not None:
            # The command would say that the target exists.
            raise judge_errno("receive", _EBUSY, snapshot)

    def create_placeholder(self, dataset: str) -> None:
        """See the port."""
        options = [w for item in PLACEHOLDER_WORDS.items() for w in ("-o", "=".join(item))]
        for name in missing_ancestors(dataset, _exists):
            ended = run(["zfs", "create", *options, "--", name])
            if ended.code != 0 and "already exists" not in ended.err:
                raise judge_command("create", ended, name)


def _exists(dataset: str) -> bool:
    ended = run(["zfs", "list", "-H", "-o", "name", "--", dataset])
    if ended.code == 0:
        return True
    error = judge_command("list", ended, dataset)
    if error.reason not in ("dataset-missing", "pool-missing"):
        raise error
    return False


def _lacks_key(dataset: str) -> bool:
    """Whether it is there and encrypted, without its key."""
    ended = run(["zfs", "get", "-Hp", "-o", "value", "keystatus", "--", dataset])
    return ended.code == 0 and ended.out.strip() == "unavailable"


def run_program_by_command(
    pool: str, text: str, argv: Sequence[str], changes: bool
) -> dict[str, str]:
    """Run a channel program with `zfs program`, its text on standard input."""
    check_device()
    options = ["-j", "-t", str(INSTRUCTION_LIMIT), "-m", str(MEMORY_LIMIT_BYTES)]
    if not changes:
        options.append("-n")
    ended = run(["zfs", "program", *options, "--", pool, "-", *argv], stdin_text=text)
    if ended.code != 0:
        error = judge_command("program", ended, pool)
        if error.reason in ("zfs-failed", "dataset-missing"):
            error = judge_program_error(None, pool, " ".join(ended.err.split()))
        raise error
    return parse_program_json(ended.out)
