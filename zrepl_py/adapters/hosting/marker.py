"""Can this file system really be written, and does it carry the mark of its new primary?

Writes `.zr/epoch` beneath a directory descriptor and follows no link: whoever may write into the
file system cannot lead root elsewhere. Everything else in it stays as it is.
"""

import contextlib
import os

_FOLDER, _NAME, _NEW = ".zr", "epoch", "epoch.new"
MOST_BYTES = 200
"""Of what somebody else may have put there."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def write_marker(point: str, text: str) -> bool:
    """Write, sync, read back; False where it cannot be done. `point`: where it is mounted."""
    try:
        root = os.open(point, _DIRECTORY)
    except OSError:
        return False
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(_FOLDER, 0o755, dir_fd=root)
        folder = os.open(_FOLDER, _DIRECTORY, dir_fd=root)
        try:
            if os.fstat(folder).st_dev != os.fstat(root).st_dev:
                return False
            _write(folder, text.encode())
            os.fsync(root)
            return _read(folder) == text.encode()
        finally:
            os.close(folder)
    except OSError:
        return False
    finally:
        os.close(root)


def read_marker(point: str) -> str | None:
    """What it says now; None where there is none, or something else of that name."""
    try:
        root = os.open(point, _DIRECTORY)
    except OSError:
        return None
    try:
        folder = os.open(_FOLDER, _DIRECTORY, dir_fd=root)
        try:
            if os.fstat(folder).st_dev != os.fstat(root).st_dev:
                return None
            return _read(folder).decode(errors="replace")
        finally:
            os.close(folder)
    except OSError:
        return None
    finally:
        os.close(root)


def _write(folder: int, content: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_NEW, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(_NEW, flags, 0o644, dir_fd=folder)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    os.rename(_NEW, _NAME, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def _read(folder: int) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(_NAME, flags, dir_fd=folder)
    with open(fd, "rb") as file:  # raises OSError of a directory
        return file.read(MOST_BYTES)
