"""From error numbers to the tree of errors. Which question it answers: what does errno N of
operation O mean, and what should a person do?

One table per operation, one for what means the same everywhere. Pure; both adapters use it (the
command adapter turns words into numbers first, command_errors.py). Never looks into messages.
"""

import errno
from dataclasses import dataclass

from zrepl_py.errors import Bug, Corrupt, Passing, Refused, Standing, ZrError

ECKSUM = errno.EBADE
"""How OpenZFS on Linux spells a checksum error."""
STREAM_TRUNCATED = 1040
WRONG_PARENT = 1033
RESUME_EXISTS = 1047


@dataclass(frozen=True, slots=True)
class Meaning:
    """A kind of error, its reason, a sentence about `{name}`, and a remedy."""

    kind: type[ZrError]
    reason: str
    sentence: str
    remedy: str = ""


_DATASET_MISSING = Meaning(
    Standing, "dataset-missing", "There is no dataset {name}.", "Check its name, or create it."
)
_SNAPSHOT_MISSING = Meaning(
    Standing, "snapshot-missing", "There is no {name}.", "Look again at what exists, then retry."
)
_KEY = Meaning(
    Standing, "key-missing", "The encryption key of {name} is not loaded.", "Run `zfs load-key`."
)
_CUT = Meaning(Passing, "stream-cut", "The stream of {name} ended early.")
_DAMAGED = Meaning(
    Corrupt,
    "stream-damaged",
    "The stream for {name} is damaged.",
    "Nothing was committed; look for errors of memory, network or disk, then send it again.",
)
_IO = Meaning(
    Corrupt,
    "io-error",
    "The pool could not read or write {name}.",
    "Run `zpool status -v`, replace the failing disk or restore the file.",
)
_BUSY = Meaning(Passing, "busy", "{name} is in use.", "It is tried again.")
_NO_SPACE = Meaning(
    Passing,
    "no-space",
    "The pool has no space left for {name}.",
    "Free some space or add a disk.",
)
_QUOTA = Meaning(
    Standing, "quota", "A quota or limit forbids {name} to grow.", "Raise the quota or limit."
)
_RIGHTS = Meaning(
    Standing,
    "no-rights",
    "This user may not do that to {name}.",
    "Run it as root, or delegate the right with `zfs allow`.",
)
_SUSPENDED = Meaning(
    Passing, "pool-suspended", "The pool of {name} is suspended.", "Mend it, then `zpool clear`."
)
_POOL = Meaning(
    Standing, "pool-missing", "There is no pool for {name}.", "Import it with `zpool import`."
)
_EXISTS = Meaning(Refused, "snapshot-exists", "{name} exists already.", "Choose another name.")
_NAME = Meaning(Refused, "bad-name", "{name} is not a name that ZFS accepts.", "Shorten it.")
_MODULE = Meaning(
    Standing,
    "module-missing",
    "OpenZFS is not loaded in this kernel.",
    "Run `modprobe zfs` (Debian: packages zfs-dkms and zfsutils-linux).",
)

COMMON: dict[int, Meaning] = {
    errno.EPERM: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EIO: _IO,
    ECKSUM: _IO,
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _QUOTA,
    errno.EBUSY: _BUSY,
    errno.EAGAIN: _SUSPENDED,
    errno.ENAMETOOLONG: _NAME,
    errno.ENOENT: _DATASET_MISSING,
    errno.ENODEV: _MODULE,
    errno.ENXIO: _MODULE,
    errno.EROFS: Meaning(
        Standing, "zfs-failed", "The pool of {name} is read-only.", "Import it writable."
    ),
}

TABLES: dict[str, dict[int, Meaning]] = {
    "program": {
        errno.ENOENT: _POOL,
        errno.EXDEV: _POOL,
    },
    "snapshot": {
        errno.EEXIST: _EXISTS,
        errno.EAGAIN: _BUSY,
    },
    "hold": {
        errno.ENOENT: _SNAPSHOT_MISSING,
        errno.ESRCH: _SNAPSHOT_MISSING,
        errno.EXDEV: _POOL,
        errno.E2BIG: _NAME,
    },
    "bookmark": {
        errno.ENOENT: _SNAPSHOT_MISSING,
        errno.ESRCH: _SNAPSHOT_MISSING,
        errno.EEXIST: _EXISTS,
        errno.EXDEV: _POOL,
    },
    "property": {},
    "abort": {
        errno.EEXIST: Meaning(
            Standing,
            "zfs-failed",
            "{name} is half received and has datasets below it, so it cannot be thrown away.",
            "Move those away (`zfs rename`); then it goes on by itself.",
        ),
    },
    "create": {
        errno.EACCES: _KEY,
        WRONG_PARENT: Meaning(
            Refused,
            "bad-name",
            "{name} would be below a volume, or a volume with datasets below it.",
            "Only file systems have datasets below them.",
        ),
    },
    "load-key": {
        errno.EACCES: _KEY,
    },
    "send": {
        errno.ENOENT: _SNAPSHOT_MISSING,
        errno.ESRCH: _SNAPSHOT_MISSING,
        errno.EACCES: _KEY,
        errno.EPIPE: _CUT,
        errno.EINTR: _CUT,
        errno.ECONNRESET: _CUT,
        errno.EBADF: Meaning(Bug, "bad-descriptor", "The descriptor for {name} is not open."),
        errno.EXDEV: Meaning(
            Refused,
            "base-mismatch",
            "The base is not an earlier version of {name}.",
            "Plan again from what exists.",
        ),
        errno.ENODEV: Meaning(
            Refused,
            "base-mismatch",
            "The base is not an earlier version of {name}.",
            "Plan again from what exists.",
        ),
    },
    "receive": {
        errno.EINTR: _CUT,
        errno.EPIPE: _CUT,
        STREAM_TRUNCATED: _CUT,
        ECKSUM: _DAMAGED,
        errno.EINVAL: _DAMAGED,
        errno.EACCES: _KEY,
        errno.EEXIST: Meaning(
            Refused,
            "target-exists",
            "{name} exists already on the receiving side.",
            "Nothing is ever overwritten: rename or remove it by hand.",
        ),
        errno.ETXTBSY: Meaning(
            Refused,
            "target-modified",
            "The replica of {name} was changed since its newest snapshot.",
            "Keep it readonly=on; to go on, put the changes aside and roll it back by hand.",
        ),
        errno.ENODEV: Meaning(
            Refused,
            "base-mismatch",
            "The replica of {name} does not have the version this increment starts from.",
            "Plan again from what exists.",
        ),
        RESUME_EXISTS: _BUSY,
        errno.ENOTSUP: Meaning(
            Standing,
            "zfs-failed",
            "The pool does not support the stream of {name}.",
            "Run `zpool upgrade` on the receiving pool.",
        ),
        WRONG_PARENT: Meaning(
            Refused,
            "bad-name",
            "{name} would be below a volume, or a volume with datasets below it.",
            "Only file systems have datasets below them.",
        ),
    },
}


def judge_errno(operation: str, number: int | None, name: str, words: str = "") -> ZrError:
    """The error to raise for errno `number` of `operation` on `name`; `words` are ZFS's own."""
    meaning = None
    if number is not None:
        meaning = TABLES[operation].get(number) or COMMON.get(number)
    if meaning is None:
        said = f": {words}" if words else ""
        return Standing(
            "zfs-failed",
            f"ZFS could not {operation} {name} (errno {number}){said}.",
            "See `zpool status -v` and the kernel's log.",
        )
    return meaning.kind(meaning.reason, meaning.sentence.format(name=name), meaning.remedy)


def missing_binding() -> ZrError:
    """libzfs_core's Python binding is not installed."""
    return Standing(
        "module-missing",
        "Python's binding of libzfs_core is missing.",
        "Install the Debian package python3-pyzfs, and let zr's Python see it "
        "(a virtual environment needs --system-site-packages).",
    )


def missing_module() -> ZrError:
    """/dev/zfs is not there."""
    return judge_errno("program", errno.ENXIO, "/dev/zfs")
