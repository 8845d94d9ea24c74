"""The only place that imports libzfs_core, and the way channel programs run through it."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from zrepl_py.adapters.zfs.forks import check_device
from zrepl_py.adapters.zfs.programs import (
    INSTRUCTION_LIMIT,
    MEMORY_LIMIT_BYTES,
    judge_program_error,
)
from zrepl_py.adapters.zfs.translate import missing_binding, missing_module


def binding() -> Any:
    """The module libzfs_core; errors: module-missing (the binding, or OpenZFS itself)."""
    module = _imported()
    check_device()
    return module


@cache
def _imported() -> Any:
    try:
        import libzfs_core
        import libzfs_core.exceptions
    except ImportError:
        raise missing_binding() from None
    return libzfs_core


def run_program(pool: str, text: str, argv: Sequence[str], changes: bool) -> dict[str, str]:
    """Run a channel program; in syncing context where it `changes` something."""
    z = binding()
    call = z.lzc_channel_program if changes else z.lzc_channel_program_nosync
    try:
        answer = call(
            pool.encode(),
            text.encode(),
            INSTRUCTION_LIMIT,
            MEMORY_LIMIT_BYTES,
            [word.encode() for word in argv],
        )
    except z.exceptions.ZFSInitializationFailed:
        raise missing_module() from None
    except z.exceptions.ZFSError as error:
        raise judge_program_error(error.errno, pool, words_of(error)) from error
    return {key.decode(): value.decode() for key, value in (answer or {}).items()}


def words_of(error: BaseException) -> str:
    """ZFS's own words of an exception of libzfs_core."""
    details = getattr(error, "details", None)
    if isinstance(details, bytes):
        return details.decode("utf-8", "replace")
    return str(details or getattr(error, "message", "") or "")
