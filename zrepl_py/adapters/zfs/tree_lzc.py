"""Trees with libzfs_core: what a change of roles asks often, or of many, costs no process each.

Looking at all properties stays with the command: a channel program that reads them one by one takes
three times as long. The answers are those of the commands (the kit runs on both).
"""

from collections.abc import Mapping

from zrepl_py.adapters.zfs.direct_mount import mount_directly
from zrepl_py.adapters.zfs.kstat import is_suspended
from zrepl_py.adapters.zfs.lzc_binding import binding, run_program, words_of
from zrepl_py.adapters.zfs.names import by_pool
from zrepl_py.adapters.zfs.parse import parse_written_words
from zrepl_py.adapters.zfs.programs import program_text
from zrepl_py.adapters.zfs.translate import judge_errno
from zrepl_py.adapters.zfs.tree import CommandDatasets
from zrepl_py.core.gate import missing
from zrepl_py.model.names import check_dataset_name
from zrepl_py.model.properties import CLONED_PROPERTY
from zrepl_py.model.tree import TreeDataset

_EAGAIN = 11


class LzcDatasets(CommandDatasets):
    """One machine's datasets; see DatasetPort."""

    def observe_written(self, since: Mapping[str, int]) -> dict[str, int | None]:
        """See the port. No fork; a program for each, so that none holds up a txg for long."""
        found: dict[str, int | None] = {}
        for name in since:
            check_dataset_name(name)
        for pool, names in by_pool(since).items():
            _sync(pool)
            for name in names:
                argv = [CLONED_PROPERTY, name, str(since[name])]
                words = run_program(pool, program_text("observe_written"), argv, False)[name]
                if words == "none":
                    raise missing(name)
                found[name] = parse_written_words(words, since[name])
        return found

    def _mount(self, dataset: TreeDataset) -> None:
        """What the kernel refuses, the command explains."""
        if not mount_directly(dataset):
            super()._mount(dataset)


def _sync(pool: str) -> None:
    """What was written is counted when this returns."""
    if is_suspended(pool):
        raise judge_errno("program", _EAGAIN, pool)
    z = binding()
    try:
        z.lzc_sync(pool.encode())
    except z.exceptions.ZFSError as error:
        raise judge_errno("program", error.errno, pool, words_of(error)) from error
