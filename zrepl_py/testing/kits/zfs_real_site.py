"""The ZFS kit's site on a real pool, as root. Everything happens below POOL/kit-<pid>, which is
destroyed at the end, and in a pool of a 64 MiB file for the case that a pool is full."""

import errno
import mmap
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from zrepl_py.adapters.clock import Deadline, MachineClock
from zrepl_py.adapters.zfs.command import CommandZfs
from zrepl_py.adapters.zfs.lzc import LzcZfs
from zrepl_py.adapters.zfs.rights import ReceiveRight
from zrepl_py.adapters.zfs.tree import CommandDatasets
from zrepl_py.adapters.zfs.tree_lzc import LzcDatasets
from zrepl_py.ports.zfs import ZfsPort

_DEADLINE_SECONDS = 120
_BUSY_SECONDS = 60
"""Whoever is told of a volume looks at it, in its own time: udev does."""
_DEVICE_SECONDS = 30
_RESTART = 512
"""What an opening ends with that had to wait too long for what else is done to pools; no number of
the C library (ERESTARTSYS)."""
_SMALL_BYTES = 64 << 20
_KEY = b"0123456789abcdef0123456789abcdef"


def _zfs(*arguments: str, stdin: bytes | None = None) -> str:
    done = subprocess.run(
        arguments, input=stdin, capture_output=True, timeout=_DEADLINE_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.decode()}")
    return done.stdout.decode()


def _zfs_when_free(*arguments: str) -> None:
    """The same, once what it is about is not busy any more."""
    clock = MachineClock()
    end = Deadline(clock, _BUSY_SECONDS)
    while True:
        try:
            _zfs(*arguments)
        except RuntimeError as error:
            if "busy" not in str(error) or end.expired():
                raise
        else:
            return
        clock.sleep(0.2)


class RealSite:
    """A real pool; see ZfsSite."""

    def __init__(self, pool: str, port: ZfsPort, folder: str) -> None:
        self.pool = pool
        self.port = port
        self.root = f"{pool}/kit-{os.getpid()}"
        self.folder = folder
        datasets = LzcDatasets if isinstance(port, LzcZfs) else CommandDatasets
        self.datasets = datasets(ReceiveRight("nobody"))
        self._count = 0
        _zfs("zfs", "create", "-o", f"mountpoint={folder}/mnt", self.root)

    def fresh(self, word: str) -> str:
        """See ZfsSite."""
        self._count += 1
        return f"{self.root}/{self._count}-{word}"

    def make_filesystem(self, name: str) -> None:
        """See ZfsSite."""
        _zfs("zfs", "create", name)

    def make_volume(self, name: str) -> None:
        """See ZfsSite."""
        _zfs("zfs", "create", "-s", "-V", "16M", name)

    def make_encrypted(self, name: str) -> None:
        """See ZfsSite."""
        options = ["-o", "encryption=on", "-o", "keyformat=raw", "-o", "keylocation=prompt"]
        _zfs("zfs", "create", *options, name, stdin=_KEY)

    def unload_key(self, name: str) -> None:
        """See ZfsSite."""
        _zfs("zfs", "unmount", name)
        _zfs("zfs", "unload-key", name)

    def make_clone(self, snapshot: str, name: str) -> None:
        """See ZfsSite."""
        _zfs("zfs", "clone", snapshot, name)

    def promote(self, clone: str) -> None:
        """See ZfsSite."""
        _zfs("zfs", "promote", clone)

    def foreign_snapshot(self, name: str) -> None:
        """See ZfsSite."""
        _zfs("zfs", "snapshot", name)

    def destroy(self, name: str) -> None:
        """See ZfsSite."""
        _zfs_when_free("zfs", "destroy", "-r", name)

    def set_property(self, dataset: str, name: str, value: str) -> None:
        """See ZfsSite."""
        _zfs("zfs", "set", f"{name}={value}", dataset)

    @contextmanager
    def _mounted(self, dataset: str) -> Iterator[str]:
        """Where the dataset or snapshot can be seen."""
        if "@" not in dataset:
            state, point = _zfs(
                "zfs", "list", "-H", "-o", "mounted,mountpoint", dataset
            ).rstrip("\n").split("\t")  # fmt: skip
            if state == "yes":
                yield point
                return
        point = tempfile.mkdtemp(dir=self.folder)
        _zfs("mount", "-t", "zfs", "-o", "zfsutil" if "@" not in dataset else "ro", dataset, point)
        try:
            yield point
        finally:
            _zfs("umount", point)
            os.rmdir(point)

    def write(self, dataset: str, path: str, content: bytes) -> None:
        """See ZfsSite."""
        with self._mounted(dataset) as point, open(f"{point}/{path}", "wb") as file:
            file.write(content)

    def snapshot_beside_log(self, dataset: str, name: str) -> None:
        """See ZfsSite."""
        with self._mounted(dataset) as point, open(f"{point}/synced", "wb") as file:
            file.write(b"synced")
            file.flush()
            os.fsync(file.fileno())
            _zfs("zfs", "snapshot", f"{dataset}@{name}")

    def change_mode(self, dataset: str, path: str, mode: int) -> None:
        """See ZfsSite."""
        with self._mounted(dataset) as point:
            os.chmod(f"{point}/{path}", mode)

    def remove(self, dataset: str, path: str) -> None:
        """See ZfsSite."""
        with self._mounted(dataset) as point:
            os.unlink(f"{point}/{path}")

    def write_volume(self, dataset: str, content: bytes) -> None:
        """See ZfsSite. Direct, as a guest's disk would be: no page cache between."""
        page = mmap.mmap(-1, len(content))
        page.write(content)
        fd = _open_when_there(f"/dev/zvol/{dataset}")
        try:
            os.pwrite(fd, page, 0)
        finally:
            os.close(fd)

    def read(self, snapshot: str, path: str) -> bytes:
        """See ZfsSite."""
        with self._mounted(snapshot) as point, open(f"{point}/{path}", "rb") as file:
            return file.read()

    def make_small_pool(self) -> str:
        """See ZfsSite."""
        name, file = f"small{os.getpid()}", f"{self.folder}/small"
        with open(file, "wb") as disk:
            disk.truncate(_SMALL_BYTES)
        _zfs("zpool", "create", "-O", f"mountpoint={self.folder}/{name}", name, file)
        return name

    def fill(self, pool: str) -> None:
        """See ZfsSite."""
        with suppress(OSError), open(f"{self.folder}/{pool}/filler", "wb", 0) as file:
            while True:
                file.write(os.urandom(1 << 20))
        with suppress(OSError), open(f"{self.folder}/{pool}/crumbs", "wb", 0) as file:
            while True:
                file.write(os.urandom(4096))
        _zfs("zpool", "sync", pool)

    def drop_small_pool(self, pool: str) -> None:
        """See ZfsSite."""
        _zfs_when_free("zpool", "destroy", pool)
        os.unlink(f"{self.folder}/small")


def _open_when_there(device: str) -> int:
    """A volume's, to be written to directly. Its name is made by udev, in its own time."""
    clock = MachineClock()
    end = Deadline(clock, _DEVICE_SECONDS)
    while True:
        try:
            return os.open(device, os.O_WRONLY | os.O_DIRECT)
        except OSError as error:
            if error.errno not in (errno.ENOENT, _RESTART) or end.expired():
                raise
        clock.sleep(0.02)


@contextmanager
def real_site(pool: str, adapter: str) -> Iterator[RealSite]:
    """A site on `pool`, with `lzc` or `command`; cleaned up at the end."""
    port: ZfsPort = LzcZfs() if adapter == "lzc" else CommandZfs()
    with tempfile.TemporaryDirectory(prefix="zr-kit-") as folder:
        site = RealSite(pool, port, folder)
        try:
            yield site
        finally:
            with suppress(RuntimeError):  # what it still has open is waited for
                _zfs("udevadm", "settle", f"--timeout={_BUSY_SECONDS}")
            _zfs_when_free("zfs", "destroy", "-R", site.root)
