"""The real side: a dataset of a pool in a node of the lab, and what people and programs do to it.

Imported in the node only. Everything happens below one dataset, which goes in the end, with the
holds of whatever is left there.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from zrepl_py.adapters.zfs import open_zfs
from zrepl_py.adapters.zfs.lzc_binding import binding
from zrepl_py.testing.kits.zfs_real_site import _KEY, RealSite, _zfs

from .world import Impossible

WITNESS = Path(__file__).with_name("witness.lua").read_bytes()
TYPE = b"""args = ...
local dataset = args["argv"][1]
if not zfs.exists(dataset) then return "none" end
local word = zfs.get_prop(dataset, "type")
return word
"""
INSTRUCTIONS = 10_000_000
MEMORY_BYTES = 2 << 20
"""Also the size of the answer's buffer."""


class RealWorld:
    """See World."""

    header_bytes = 312

    def __init__(self, pool: str, adapter: str, number: int) -> None:
        self.port = open_zfs(adapter)
        self.pool = pool
        self.root = f"{pool}/pair-{os.getpid()}-{number}"
        self.folder = mkdtemp(prefix="zr-pair-")
        self._site = _Site(self)
        self._volumes = False
        _zfs("zfs", "create", "-o", f"mountpoint={self.folder}/mnt", self.root)

    def clean(self) -> None:
        """Nothing is left of it."""
        self._settle()
        z = binding()
        listed = _zfs("zfs", "list", "-H", "-o", "name,userrefs", "-t", "snapshot", "-r", self.root)
        for line in listed.splitlines():
            snapshot, _, holds = line.partition("\t")
            if holds != "0":
                name = snapshot.encode()
                z.lzc_release({name: list(z.lzc_get_holds(name))})
        try:
            self._patiently("zfs", "destroy", "-R", self.root)
        except RuntimeError as error:
            if "recursive dependency" not in str(error):
                raise
            self._untangle()
            self._patiently("zfs", "destroy", "-R", self.root)
        with suppress(OSError):
            os.rmdir(f"{self.folder}/mnt")
            os.rmdir(self.folder)

    def _untangle(self) -> None:
        """No dataset is a clone of what lies below it, as a promoted child leaves its parent: those
        are not destroyed with -R. Promoting the parent gives it back its snapshots; its own ones
        must not have the same names then."""
        listed = _zfs("zfs", "list", "-H", "-o", "name,origin", "-r", self.root)
        for line in listed.splitlines():
            name, _, origin = line.partition("\t")
            if not origin.startswith(name + "/"):
                continue
            own = _zfs("zfs", "list", "-H", "-o", "name", "-t", "snapshot", "-d", "1", name)
            for number, snapshot in enumerate(own.splitlines()):
                self._patiently("zfs", "rename", snapshot, f"{name}@own-{number}")
            self._patiently("zfs", "promote", name)

    def witness(self) -> dict[str, tuple[str, str, str, str]]:
        """See World."""
        answer = binding().lzc_channel_program_nosync(
            self.pool.encode(), WITNESS, INSTRUCTIONS, MEMORY_BYTES, [self.root.encode()]
        )
        with open("/proc/self/mounts") as file:
            mounted = {line.split()[0].replace("\\040", " ") for line in file}
        found = {}
        for whole, words in answer.items():
            name = whole.decode()
            nature, versions, holds, resume = words.decode().split("\n.\n")
            own = name.removeprefix(self.root + "/")
            found[own] = (f"{nature}\n{name in mounted}", versions, holds, resume)
        return found

    def create(self, name: str, kind: str) -> None:
        """See World."""
        self._volumes |= kind == "volume"
        make = {
            "filesystem": self._site.make_filesystem,
            "volume": self._site.make_volume,
            "encrypted": self._site.make_encrypted,
        }
        self._try(make[kind], name)

    def destroy(self, name: str) -> None:
        """See World."""
        self._try(self._patiently, "zfs", "destroy", *([] if "@" in name else ["-r"]), name)

    def rename(self, old: str, new: str) -> None:
        """See World."""
        self._try(self._patiently, "zfs", "rename", old, new)

    def clone(self, snapshot: str, name: str) -> None:
        """See World."""
        self._try(_zfs, "zfs", "clone", snapshot, name)

    def promote(self, dataset: str) -> None:
        """See World."""
        self._try(_zfs, "zfs", "promote", dataset)

    def take(self, snapshot: str) -> None:
        """See World."""
        self._try(binding().lzc_snapshot, [snapshot.encode()])

    def set_property(self, dataset: str, name: str, value: str) -> None:
        """See World."""
        verb = ["set", f"{name}={value}"] if value else ["inherit", name]
        self._try(_zfs, "zfs", *verb, dataset)

    def load_key(self, dataset: str, loaded: bool) -> None:
        """See World."""
        if loaded:
            self._try(partial(_zfs, stdin=_KEY), "zfs", "load-key", dataset)
            return
        if os.path.ismount(self._point(dataset)):
            self._try(_zfs, "zfs", "unmount", dataset)
        self._try(_zfs, "zfs", "unload-key", dataset)

    def write(self, dataset: str, path: str, content: bytes) -> None:
        """See World."""
        self._try(self._write, dataset, path, content)

    def _write(self, dataset: str, path: str, content: bytes) -> None:
        if self._volumes and self._is_volume(dataset):
            self._settle()  # the name may still lead to a volume that had it before
            device = dataset.replace(" ", "+")  # as udev's rules name it
            size = 16384  # direct: whole blocks
            self._site.write_volume(device, content.ljust(size, b"\1")[:size])
        else:
            self._site.write(dataset, path, content)

    def _is_volume(self, dataset: str) -> bool:
        answer = binding().lzc_channel_program_nosync(
            self.pool.encode(), TYPE, INSTRUCTIONS, MEMORY_BYTES, [dataset.encode()]
        )
        return bool(answer == b"volume")

    def change_mode(self, dataset: str, path: str, mode: int) -> None:
        """See World."""
        self._try(self._site.change_mode, dataset, path, mode)

    def remove(self, dataset: str, path: str) -> None:
        """See World."""
        self._try(self._site.remove, dataset, path)

    def read(self, snapshot: str) -> dict[str, tuple[int, bytes]]:
        """See World."""
        found: dict[str, tuple[int, bytes]] = {}
        self._try(self._read, snapshot, found)
        return found

    def _read(self, snapshot: str, found: dict[str, tuple[int, bytes]]) -> None:
        with self._site._mounted(snapshot) as point:
            for entry in os.scandir(point):
                if entry.is_file():
                    found[entry.name] = (
                        entry.stat().st_mode & 0o7777,
                        Path(entry.path).read_bytes(),
                    )

    def _point(self, dataset: str) -> str:
        return f"{self.folder}/mnt{dataset.removeprefix(self.root)}"

    def _patiently(self, *argv: str) -> None:
        """udev opens each volume that appears, for a moment in which it is busy."""
        for tries_left in range(9, -1, -1):
            self._settle()
            try:
                _zfs(*argv)
            except RuntimeError as error:
                if "busy" not in str(error) or not self._volumes or not tries_left:
                    raise
                time.sleep(0.2)
            else:
                return

    def _settle(self) -> None:
        if self._volumes:
            _zfs("udevadm", "settle")

    def _try(self, verb: Callable[..., Any], *arguments: Any) -> None:
        failures = (RuntimeError, OSError, binding().exceptions.ZFSError)
        try:
            verb(*arguments)
        except failures as error:
            raise Impossible(str(error)[:300]) from None


class _Site(RealSite):
    """The kit's site, without its own dataset, and with a cheaper look at what is mounted."""

    def __init__(self, world: RealWorld) -> None:
        self.world = world
        self.folder = world.folder

    @contextmanager
    def _mounted(self, dataset: str) -> Iterator[str]:
        point = self.world._point(dataset)
        if "@" not in dataset and os.path.ismount(point):
            yield point
            return
        with super()._mounted(dataset) as point:
            yield point
