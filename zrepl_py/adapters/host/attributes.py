"""What of an entry's owner, mode, times and extended attributes can be given to its copy?

As much as the caller's rights allow; the rest is said, not hidden. Never gives anybody more than
the old entry gave: where the owner cannot be restored, set-user-id and set-group-id go; where the
group cannot, the group's bits and the ACL go too; an ACL that the new place would hand down is
taken off. Set-user-id, set-group-id of files and capabilities come back only when `privileged`.
"""

import contextlib
import os
import stat
from dataclasses import dataclass

_ACCESS = "system.posix_acl_access"
_DEFAULT = "system.posix_acl_default"
_ACLS = frozenset((_ACCESS, _DEFAULT, "system.nfs4_acl_xdr"))
_CAPABILITY = "security.capability"
_IGNORED = frozenset(("security.selinux", "system.nfs4_acl"))
"""Derived by the kernel, or meaningless for a copy."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that an entry had and its copy has not."""

    kind: str
    """`owner`, `group`, `acl`, `xattrs`, `setuid`, `capabilities`: stable words."""
    words: str
    """Half a sentence."""


@dataclass(frozen=True, slots=True)
class _Granted:
    owner: bool
    group: bool


def copy_attributes(
    old_fd: int, old: os.stat_result, new_fd: int, *, privileged: bool = False
) -> tuple[Loss, ...]:
    """Give `new_fd` (a file or directory) what `old_fd` has; what it did not get. Raises OSError.

    Times come last, so nothing may be written to `new_fd` afterwards.
    """
    granted = _chown(new_fd, old)
    losses = _note_owner(granted, old)
    lost = _copy_xattrs(old_fd, new_fd, granted, privileged)
    losses += _note_xattrs(lost)
    # With an ACL the group's bits are its mask, which may be wider than the group's own rights.
    group = granted.group and not ((_ACLS - {_DEFAULT}) & set(lost))
    mode = allowed_mode(old, owner=granted.owner, group=group, privileged=privileged)
    os.fchmod(new_fd, mode)
    if _special_bits(old) and not mode & (stat.S_ISUID | stat.S_ISGID):
        losses.append(Loss("setuid", "its set-user-id or set-group-id bit is off"))
    set_times(old, new_fd)
    return tuple(losses)


def set_times(old: os.stat_result, new_fd: int) -> None:
    """Access and modification time, to the nanosecond. Raises OSError."""
    os.utime(new_fd, ns=(old.st_atime_ns, old.st_mtime_ns))


def copy_directory_attributes(old: os.stat_result, new_fd: int) -> None:
    """Owner and mode of a directory that was made again on the way. Raises OSError."""
    granted = _chown(new_fd, old)
    os.fchmod(new_fd, allowed_mode(old, owner=granted.owner, group=granted.group, privileged=False))


def copy_node_attributes(old: os.stat_result, folder_fd: int, name: str) -> tuple[Loss, ...]:
    """Owner, mode and times of a symbolic link, pipe, socket or device. Raises OSError."""
    granted = _Granted(True, True)
    try:
        os.chown(name, old.st_uid, old.st_gid, dir_fd=folder_fd, follow_symlinks=False)
    except OSError:
        new = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        granted = _Granted(new.st_uid == old.st_uid, new.st_gid == old.st_gid)
    if not stat.S_ISLNK(old.st_mode):
        mode = allowed_mode(old, owner=granted.owner, group=granted.group, privileged=False)
        os.chmod(name, mode, dir_fd=folder_fd)
    times = (old.st_atime_ns, old.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=folder_fd, follow_symlinks=False)
    return tuple(_note_owner(granted, old))


def allowed_mode(old: os.stat_result, *, owner: bool, group: bool, privileged: bool) -> int:
    """The old mode, less what would mean something else under another owner or group."""
    mode = stat.S_IMODE(old.st_mode)
    if not (owner and group):
        mode &= ~(stat.S_ISUID | stat.S_ISGID)
    if not group:
        mode &= ~stat.S_IRWXG
    if not (privileged or stat.S_ISDIR(old.st_mode)):
        mode &= ~(stat.S_ISUID | stat.S_ISGID)
    return mode


def _special_bits(old: os.stat_result) -> bool:
    bits = stat.S_ISUID | stat.S_ISGID
    return not stat.S_ISDIR(old.st_mode) and bool(old.st_mode & bits)


def _chown(fd: int, old: os.stat_result) -> _Granted:
    for uid, gid in ((old.st_uid, old.st_gid), (-1, old.st_gid)):
        try:
            os.fchown(fd, uid, gid)
            break
        except OSError:
            continue  # not permitted, or the file system has no owners: what counts is seen below
    new = os.fstat(fd)
    return _Granted(new.st_uid == old.st_uid, new.st_gid == old.st_gid)


def _note_owner(granted: _Granted, old: os.stat_result) -> list[Loss]:
    losses = []
    if not granted.owner:
        losses.append(Loss("owner", f"its owner was uid {old.st_uid}; it is yours now"))
    if not granted.group:
        words = f"its group was gid {old.st_gid}; the group has no rights on it now"
        losses.append(Loss("group", words))
    return losses


def _note_xattrs(lost: list[str]) -> list[Loss]:
    losses = []
    if others := [n for n in lost if n not in _ACLS and n != _CAPABILITY]:
        words = f"extended attributes not restored: {', '.join(others)}"
        losses.append(Loss("xattrs", words))
    if _ACLS & set(lost):
        losses.append(Loss("acl", "its access control list was not restored"))
    if _CAPABILITY in lost:
        losses.append(Loss("capabilities", "its capabilities were not restored"))
    return losses


def _copy_xattrs(old_fd: int, new_fd: int, granted: _Granted, privileged: bool) -> list[str]:
    """Names of those that were not copied."""
    names = set(os.listxattr(old_fd)) - _IGNORED
    for inherited in (_ACCESS, _DEFAULT):
        if inherited not in names or not granted.group:
            with contextlib.suppress(OSError):  # there is none, or there cannot be
                os.removexattr(new_fd, inherited)
    lost = []
    for name in sorted(names):
        known = name.startswith("user.") or (name in _ACLS and granted.owner and granted.group)
        try:
            if known or (privileged and name not in _ACLS):
                os.setxattr(new_fd, name, os.getxattr(old_fd, name))
                continue
        except OSError:
            pass  # the file system has none of these, or the right is missing: said below
        lost.append(name)
    return lost
