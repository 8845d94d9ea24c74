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
    words = getattr(error, "details", None) or getattr(error, "message", None) or ""
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)


def subject_of(error: BaseException, otherwise: str) -> str:
    """The name that an exception of libzfs_core is about.

    Its ZFSGenericError has name and message the wrong way round: names are bytes, messages are not.
    """
    for found in (getattr(error, "name", None), getattr(error, "message", None)):
        if isinstance(found, bytes):
            return found.decode("utf-8", "replace")
    return otherwise
