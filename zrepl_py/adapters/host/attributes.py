"""What of a file's owner, mode, times and extended attributes can be given to its copy?

As much as the caller's rights allow; the rest is said, not hidden. Never gives anybody more than
the old file gave: where the owner cannot be restored, set-user-id and set-group-id go; where the
group cannot, the group's bits and the ACL go too.
"""

import os
import stat
from dataclasses import dataclass

_ACL = "system.posix_acl_access"
_IGNORED = frozenset(("security.selinux", "system.nfs4_acl", "system.posix_acl_default"))
"""Derived by the kernel, or meaningless for a file."""


@dataclass(frozen=True, slots=True)
class _Granted:
    owner: bool
    group: bool


def copy_attributes(old_fd: int, old: os.stat_result, new_fd: int) -> tuple[str, ...]:
    """Give `new_fd` what `old_fd` has; sentences about what could not be. Raises OSError.

    Times come last, so nothing may be written to `new_fd` afterwards.
    """
    granted = _chown(new_fd, old)
    notes = _note_owner(granted, old)
    lost = _copy_xattrs(old_fd, new_fd, granted)
    if lost:
        notes.append(f"extended attributes not restored: {', '.join(lost)}")
    # With an ACL the group's bits are its mask, which may be wider than the group's own rights.
    group = granted.group and _ACL not in lost
    os.fchmod(new_fd, allowed_mode(old, owner=granted.owner, group=group))
    os.utime(new_fd, ns=(old.st_atime_ns, old.st_mtime_ns))
    return tuple(notes)


def copy_directory_attributes(old: os.stat_result, new_fd: int) -> None:
    """Owner and mode of a directory that was made again. Raises OSError."""
    granted = _chown(new_fd, old)
    os.fchmod(new_fd, allowed_mode(old, owner=granted.owner, group=granted.group))


def allowed_mode(old: os.stat_result, *, owner: bool, group: bool) -> int:
    """The old mode, less what would mean something else under another owner or group."""
    mode = stat.S_IMODE(old.st_mode)
    if not (owner and group):
        mode &= ~(stat.S_ISUID | stat.S_ISGID)
    if not group:
        mode &= ~stat.S_IRWXG
    return mode


def _chown(fd: int, old: os.stat_result) -> _Granted:
    for uid, gid in ((old.st_uid, old.st_gid), (-1, old.st_gid)):
        try:
            os.fchown(fd, uid, gid)
            break
        except OSError:
            continue  # not permitted, or the file system has no owners: what counts is seen below
    new = os.fstat(fd)
    return _Granted(new.st_uid == old.st_uid, new.st_gid == old.st_gid)


def _note_owner(granted: _Granted, old: os.stat_result) -> list[str]:
    notes = []
    if not granted.owner:
        notes.append(f"its owner was uid {old.st_uid}; it is yours now")
    if not granted.group:
        notes.append(f"its group was gid {old.st_gid}; the group has no rights on it now")
    return notes


def _copy_xattrs(old_fd: int, new_fd: int, granted: _Granted) -> list[str]:
    """Names of those that were not copied."""
    lost = []
    for name in sorted(set(os.listxattr(old_fd)) - _IGNORED):
        wanted = name.startswith("user.") or (name == _ACL and granted.owner and granted.group)
        try:
            if wanted:
                os.setxattr(new_fd, name, os.getxattr(old_fd, name))
                continue
        except OSError:
            pass  # the file system has none of these, or the right is missing: said below
        lost.append(name)
    return lost
