"""From the words of `zfs` and `zpool` to error numbers, and by translate.py to the tree of errors.

The only place that looks into messages (LC_ALL=C). One list per operation, first match counts;
recorded outputs of OpenZFS 2.3.9 are in tests/unit/test_zfs_command_errors.py.
"""

import errno

from zrepl_py.adapters.zfs.forks import Ended
from zrepl_py.adapters.zfs.translate import ECKSUM, STREAM_TRUNCATED, WRONG_PARENT, judge_errno
from zrepl_py.errors import ZrError

_COMMON: tuple[tuple[str, int], ...] = (
    ("The ZFS modules are not loaded", errno.ENXIO),
    ("Permission denied the ZFS utilities", errno.EPERM),
    ("permission denied", errno.EPERM),
    ("Permission denied", errno.EPERM),
    ("Operation not permitted", errno.EPERM),
    ("dataset does not exist", errno.ENOENT),
    ("no such pool or dataset", errno.ENOENT),
    ("no such pool", errno.EXDEV),
    ("could not find any snapshots to destroy", errno.ENOENT),
    ("does not exist", errno.ENOENT),
    ("out of space", errno.ENOSPC),
    ("No space left", errno.ENOSPC),
    ("quota exceeded", errno.EDQUOT),
    ("space quota", errno.EDQUOT),
    ("pool I/O is currently suspended", errno.EAGAIN),
    ("I/O error", errno.EIO),
    ("Input/output error", errno.EIO),
    ("name is too long", errno.ENAMETOOLONG),
    ("dataset is busy", errno.EBUSY),
    ("is busy", errno.EBUSY),
)

_BY_OPERATION: dict[str, tuple[tuple[str, int], ...]] = {
    "list": (),
    "program": (),
    "hold": (("tag already exists", errno.EEXIST), ("no such tag", errno.ESRCH)),
    "bookmark": (("bookmark exists", errno.EEXIST),),
    "create": (
        ("dataset already exists", errno.EEXIST),
        ("key must be loaded", errno.EACCES),
        ("key is not loaded", errno.EACCES),
        ("parent does not exist", errno.ENOENT),
        ("parent is not a filesystem", WRONG_PARENT),
    ),
    # Also what has to be typed: there is no terminal, so it ends at once.
    "load-key": (("Key load error", errno.EACCES),),
    "send": (
        ("Broken pipe", errno.EPIPE),
        ("signal received", errno.EINTR),
        ("Interrupted system call", errno.EINTR),
        ("key must be loaded", errno.EACCES),
        ("key not loaded", errno.EACCES),
        ("Permission denied", errno.EACCES),
        ("not an earlier snapshot", errno.EXDEV),
        ("is not an ancestor", errno.EXDEV),
        ("incremental source", errno.ENOENT),
    ),
    "receive": (
        # Said of both when the receive is resumable; command_streams.py knows which it was.
        ("checksum mismatch or incomplete stream", ECKSUM),
        ("incomplete stream", STREAM_TRUNCATED),
        ("failed to read from stream", STREAM_TRUNCATED),
        ("checksum mismatch", ECKSUM),
        ("invalid stream", ECKSUM),
        ("invalid backup stream", ECKSUM),
        ("has been modified", errno.ETXTBSY),
        ("does not\nmatch incremental source", errno.ENODEV),
        ("not match incremental source", errno.ENODEV),
        ("exists\nmust specify -F", errno.EEXIST),
        ("already exists", errno.EEXIST),
        ("' exists", errno.EEXIST),
        ("' is not a filesystem", WRONG_PARENT),
        ("invalid parent dataset", WRONG_PARENT),
        ("inherited key must be loaded", errno.EACCES),
        ("key must be loaded", errno.EACCES),
        ("on top of existing unencrypted", errno.ENODEV),
        ("kernel modules must be upgraded", errno.ENOTSUP),
        ("signal received", errno.EINTR),
    ),
}

_TABLE_OF = {"list": "program"}


def judge_command(operation: str, ended: Ended, name: str) -> ZrError:
    """The error for a command that failed while it did `operation` on `name`."""
    number = parse_errno_words(operation, ended.err)
    words = " ".join(ended.err.split())
    table = _TABLE_OF.get(operation, operation)
    if table == "program" and number == errno.ENOENT:
        # A listing names a dataset; a program names its pool.
        table = "property"
    return judge_errno(table, number, name, words)


def parse_errno_words(operation: str, words: str) -> int | None:
    """What a command said on its error output → errno, or None where nothing is recognised."""
    for phrase, number in (*_BY_OPERATION.get(operation, ()), *_COMMON):
        if phrase in words:
            return number
    return None
