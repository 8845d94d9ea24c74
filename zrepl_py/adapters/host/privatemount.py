"""How does root read a snapshot that is mounted nowhere, such as a replica's?

It is mounted `ro,nosuid,nodev,noexec` in a mount namespace of this process alone, opened, and
detached at once: nobody else ever sees it, and it is gone with the last descriptor, however this
process ends. The dataset itself is never mounted: a replica that was written to, if only an access
time, takes no increments any more.
"""

import ctypes
import errno
import os
import tempfile
from dataclasses import dataclass

from zrepl_py.adapters.zfs.forks import run
from zrepl_py.errors import Corrupt, Standing, ZrError

_CLONE_NEWNS = 0x20000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REC, _MS_SLAVE = 0x4000, 1 << 19
_MNT_DETACH = 2
_FLAGS = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
_PLACE = "/run"


@dataclass(frozen=True, slots=True)
class MountedSnapshot:
    """A snapshot that is mounted for the time it is read; an Origin (snapdir.py)."""

    dataset: str
    snapshot: str

    def open(self) -> int:
        """See Origin. Errors: no-rights, key-missing, snapshot-unreachable, io-error."""
        whole = f"{self.dataset}@{self.snapshot}"
        try:
            ensure_own_namespace()
            return _mount_and_open(whole)
        except OSError as error:
            raise _translate(error, whole, self.dataset) from error


def _mount_and_open(whole: str) -> int:
    folder = tempfile.mkdtemp(prefix="zr-restore-", dir=_PLACE)
    try:
        _call("mount", os.fsencode(whole), os.fsencode(folder), b"zfs", _FLAGS, None)
        try:
            return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        finally:
            _call("umount2", os.fsencode(folder), _MNT_DETACH)
    finally:
        os.rmdir(folder)


class _Namespace:
    own = False


def ensure_own_namespace() -> None:
    """From now on this process's mounts are its own; what others mount and unmount still shows.

    A process with threads calls it before it has any: a namespace belongs to each thread."""
    if _Namespace.own:
        return
    _call("unshare", _CLONE_NEWNS)
    _call("mount", b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None)
    _Namespace.own = True


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc[name](*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _translate(error: OSError, whole: str, dataset: str) -> ZrError:
    if error.errno in (errno.EPERM, errno.EACCES) and os.geteuid() != 0:
        return Standing(
            "no-rights",
            f"Only root can read {whole}: it is mounted nowhere.",
            "Run this as root.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.ENOKEY) and (
        root := _find_missing_key(dataset)
    ):
        return Standing(
            "key-missing",
            f"{whole} cannot be mounted: the key of {root} is not loaded.",
            f"Run `zfs load-key {root}`, and `zfs unload-key {root}` afterwards.",
        )
    if error.errno == errno.EIO:
        return Corrupt(
            "io-error",
            f"{whole} cannot be read: the pool is damaged there.",
            "Restore from another copy; run `zpool status -v` and keep the disks.",
        )
    return Standing(
        "snapshot-unreachable",
        f"{whole} cannot be mounted: {os.strerror(error.errno or 0)}.",
        "Check that the pool is imported, and that this runs outside of a container.",
    )


def _find_missing_key(dataset: str) -> str | None:
    """The dataset whose key has to be loaded: the encryption root, which for a child, a rescue, or
    what was received on another one's snapshot is another dataset. `zfs load-key -r` of such a one
    does nothing, and says nothing. None: no key is missing."""
    try:
        argv = ["zfs", "get", "-Hp", "-o", "value", "encryptionroot,keystatus", "--", dataset]
        ended = run(argv)
    except ZrError:
        return dataset
    if ended.code != 0:
        return dataset
    root, status = ended.out.splitlines()
    return root if status == "unavailable" else None
