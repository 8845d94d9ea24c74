"""What is in a snapshot's tree, as the records of core/proof_digest.py, from any position on?

Depth first, names in order of their bytes, never following a link. What cannot be read is a record
of its own, and the walk goes on. Memory: the names of the directories on the way, and one piece.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Generator, Iterator

from zrepl_py.core.proof_digest import (
    NAMES,
    Components,
    Record,
    digest_values,
    key_of,
    make_content,
    make_entry,
    make_unreadable,
    render_path,
)
from zrepl_py.model.proof import PIECE_BYTES, Position

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK_BYTES = 1 << 20
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block",
    stat.S_IFCHR: "character",
}
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")
_DERIVED = frozenset((*_ACLS, "security.selinux", "system.nfs4_acl", "system.nfs4_acl_xdr"))
"""Made up by the kernel that shows them, or looked at apart."""


class TreeReading:
    """One walk over a tree. `top` is a descriptor of its root; it stays the caller's."""

    def __init__(self, top: int, after: Position, *, acls: bool) -> None:
        self._top = top
        self._from, self._first = key_of(after)
        self._acls = acls

    def records(self) -> Iterator[Record]:
        """All records behind the position, in order."""
        yield from self._walk((), self._from)

    def _walk(self, path: Components, rest: Components | None) -> Iterator[Record]:
        """The entry at `path`, which exists, and all below it. `rest`: the way from here to where
        the walk begins; None: everything is wanted."""
        # A stack of our own: trees may be deeper than Python's.
        waiting: list[tuple[Components, Components | None]] = [(path, rest)]
        while waiting:
            here, way = waiting.pop()
            first = 0
            if way is not None:
                first = self._first if not way else 1 << 62
            below = yield from self._read(here, first)
            if below is None:
                continue
            if way:
                below = [name for name in below if name >= way[0]]
            waiting.extend(
                ((*here, name), way[1:] if way and name == way[0] else None)
                for name in reversed(below)
            )

    def _read(self, path: Components, first: int) -> Generator[Record, None, list[bytes] | None]:
        """Its records from index `first` on; returns the names below it, if it is a directory."""
        folder = -1
        try:
            folder = self._open_folder(path[:-1])
            name = path[-1] if path else b"."
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            entry = self._entry(path, folder, name, found)
        except OSError as error:
            if folder >= 0:
                os.close(folder)
            if first == 0:
                yield make_unreadable(path, 0, _name_of(error))
            return None
        try:
            if first == 0:
                yield entry
            if stat.S_ISREG(found.st_mode):
                yield from self._content(path, folder, name, found.st_size, max(first, 1))
            if stat.S_ISDIR(found.st_mode):
                return (yield from self._names(path, folder, name, first))
        finally:
            os.close(folder)
        return None

    def _names(
        self, path: Components, folder: int, name: bytes, first: int
    ) -> Generator[Record, None, list[bytes]]:
        try:
            fd = os.open(name, _FOLDER, dir_fd=folder)
            try:
                return sorted(map(os.fsencode, os.listdir(fd)))
            finally:
                os.close(fd)
        except OSError as error:
            if first <= 1:
                yield make_unreadable(path, 1, NAMES + _name_of(error))
            return []

    def _entry(self, path: Components, folder: int, name: bytes, found: os.stat_result) -> Record:
        link = "-"
        if stat.S_ISLNK(found.st_mode):
            target = os.readlink(name, dir_fd=folder)
            link = render_path((os.fsencode(target),)) or "-"
        special = stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode)
        device = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}" if special else "-"
        xattrs, acl = self._attributes(folder, name)
        return make_entry(
            path,
            (
                _KINDS.get(stat.S_IFMT(found.st_mode), "other"),
                f"{stat.S_IMODE(found.st_mode):04o}",
                str(found.st_uid),
                str(found.st_gid),
                str(found.st_nlink),
                str(found.st_ino) if path else "-",  # that of a root is made up at each mount
                "-" if stat.S_ISDIR(found.st_mode) else str(found.st_size),
                str(found.st_mtime_ns),
                str(found.st_ctime_ns),
                str(found.st_atime_ns),
                device,
                link,
                xattrs,
                acl,
            ),
        )

    def _attributes(self, folder: int, name: bytes) -> tuple[str, str]:
        """Extended attributes and access control lists, digested."""
        # There is no call for names beneath a directory's descriptor; /proc is the way that follows
        # no link.
        path = b"/proc/self/fd/%d/%s" % (folder, name)
        try:
            names = os.listxattr(path, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENOTSUP, errno.EPERM):
                return "-", "-" if self._acls else "?"
            raise
        values = {n: os.getxattr(path, n, follow_symlinks=False) for n in names}
        plain = ((os.fsencode(n), v) for n, v in values.items() if n not in _DERIVED)
        lists = ((os.fsencode(n), values[n]) for n in _ACLS if n in values)
        return digest_values(plain), digest_values(lists) if self._acls else "?"

    def _content(
        self, path: Components, folder: int, name: bytes, size_bytes: int, index: int
    ) -> Iterator[Record]:
        last = -(-size_bytes // PIECE_BYTES)
        if index > last:
            return
        try:
            fd = os.open(name, _FILE, dir_fd=folder)
        except OSError as error:
            for piece in range(index, last + 1):
                yield make_unreadable(path, piece, _name_of(error))
            return
        try:
            for piece in range(index, last + 1):
                begin = (piece - 1) * PIECE_BYTES
                length = min(PIECE_BYTES, size_bytes - begin)
                try:
                    digest = _digest_of(fd, begin, length)
                except OSError as error:
                    yield make_unreadable(path, piece, _name_of(error))
                else:
                    yield make_content(path, piece, digest, length)
        finally:
            os.close(fd)

    def _open_folder(self, path: Components) -> int:
        """A directory beneath the top, following nothing. Raises OSError."""
        here = os.open(".", _FOLDER, dir_fd=self._top)
        for component in path:
            try:
                deeper = os.open(component, _FOLDER, dir_fd=here)
            finally:
                os.close(here)
            here = deeper
        return here


def _digest_of(fd: int, begin: int, length: int) -> str:
    digest = hashlib.sha256()
    offset, end = begin, begin + length
    while offset < end:
        block = os.pread(fd, min(_BLOCK_BYTES, end - offset), offset)
        if not block:
            raise OSError(errno.EIO, "the file is shorter than it says")
        digest.update(block)
        offset += len(block)
    return digest.hexdigest()


def _name_of(error: OSError) -> str:
    if error.errno == errno.EBADE:
        return "EIO"  # so OpenZFS calls a wrong checksum, here and there
    return errno.errorcode.get(error.errno or 0, "EIO")
