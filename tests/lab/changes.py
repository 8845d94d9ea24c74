"""Runs in a node: does snapshot_changed notice every change, and nothing else?

    /opt/zr/bin/python -P changes.py POOL ADAPTER TICKS SEED

Before each tick it changes one to three of six datasets in a random way, without fsync, waits 0 to
100 ms, and expects exactly those to be taken. Prints one JSON object. ADAPTER `hasty` is a
deliberate bug, which looks at what is on disk instead of at the txg: it must be caught.
"""

import json
import mmap
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zrepl_py.adapters.zfs import open_zfs
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.adapters.zfs.lzc_binding import binding, run_program
from zrepl_py.model.observation import SnapshotOutcome, Taken, Unchanged

STOCK = 400
HASTY = """
args = ...; local v = args["argv"]; local w = zfs.get_prop(v[1], "written@" .. v[2])
local out = {}; out[v[1]] = string.format("%u", w); return out
"""


class HastyZfs:
    """Believes what is on disk, which is up to five seconds behind what was written."""

    def __init__(self) -> None:
        self._real: Any = open_zfs("libzfs_core")

    def snapshot_changed(
        self, datasets: Mapping[str, str | None], name: str
    ) -> dict[str, SnapshotOutcome]:
        pool = next(iter(datasets)).split("/")[0]
        idle = {
            d
            for d, last in datasets.items()
            if last and run_program(pool, HASTY, [d, last], False)[d] == "0"
        }
        changed = {d: last for d, last in datasets.items() if d not in idle}
        taken = self._real.snapshot_changed(changed, name) if changed else {}
        return {**taken, **{d: Unchanged() for d in idle}}


class World:
    """Five file systems and a volume, and what people do to them."""

    def __init__(self, pool: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.parent = f"{pool}/changes"
        self.count = 0
        run(["zfs", "create", "-o", "atime=off", self.parent])
        self.systems = [f"{self.parent}/d{n}" for n in range(5)]
        for dataset in self.systems:
            run(["zfs", "create", dataset])
            self._furnish(Path("/" + dataset))
        self.volume = f"{self.parent}/vol"
        run(["zfs", "create", "-s", "-V", "16M", self.volume])
        while not os.path.exists(f"/dev/zvol/{self.volume}"):  # udev makes it, in its own time
            time.sleep(0.05)
        self.kinds: list[Callable[[Path], None]] = [
            *(self.append, self.overwrite, self.chmod, self.rename, self.unlink, self.setxattr),
            *(self.mkdir, self.truncate, self.mapped, self.create, self.link, self.touch),
        ]

    def _furnish(self, top: Path) -> None:
        (top / "base").write_bytes(os.urandom(300_000))
        for number in range(STOCK):
            (top / f"stock{number}").write_bytes(b"stock")

    def datasets(self) -> list[str]:
        return [*self.systems, self.volume]

    def change(self, dataset: str) -> str:
        """One change of this dataset; what kind."""
        self.count += 1
        if dataset == self.volume:
            self.write_volume()
            return "volume"
        kind = self.random.choice(self.kinds)
        kind(Path("/" + dataset))
        return kind.__name__

    def append(self, top: Path) -> None:
        with open(top / "base", "ab", buffering=0) as file:
            file.write(b"x")

    def overwrite(self, top: Path) -> None:
        with open(top / "base", "r+b", buffering=0) as file:
            file.seek(self.random.randrange(200_000))
            file.write(os.urandom(4))

    def chmod(self, top: Path) -> None:
        os.chmod(top / "base", 0o600 + self.count % 64)

    def rename(self, top: Path) -> None:
        os.rename(_any(top, "stock"), top / f"stock-renamed{self.count}")

    def unlink(self, top: Path) -> None:
        os.unlink(_any(top, "stock"))

    def setxattr(self, top: Path) -> None:
        os.setxattr(top / "base", "user.mark", str(self.count).encode())

    def mkdir(self, top: Path) -> None:
        os.mkdir(top / f"dir{self.count}")

    def truncate(self, top: Path) -> None:
        os.truncate(top / "base", 250_000 + self.count)

    def mapped(self, top: Path) -> None:
        with open(top / "base", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            memory[self.random.randrange(200_000)] ^= 0xFF
            memory.flush()  # msync; before it, the change is nowhere but in this process's pages

    def create(self, top: Path) -> None:
        (top / f"new{self.count}").touch()

    def link(self, top: Path) -> None:
        os.link(top / "base", top / f"link{self.count}")

    def touch(self, top: Path) -> None:
        os.utime(top / "base", (self.count, self.count))

    def write_volume(self) -> None:
        """O_DIRECT, because a buffered write to a block device is not yet the volume's."""
        block = mmap.mmap(-1, 16_384)
        block.write(os.urandom(16_384))
        device = os.open(f"/dev/zvol/{self.volume}", os.O_WRONLY | os.O_DIRECT)
        try:
            os.pwrite(device, block, 16_384 * self.random.randrange(1000))
        finally:
            os.close(device)


def _any(top: Path, prefix: str) -> Path:
    with os.scandir(top) as entries:
        return Path(next(entry.path for entry in entries if entry.name.startswith(prefix)))


def foreign(world: World, dataset: str, serial: int) -> None:
    """Somebody else takes a snapshot, and sometimes destroys it again."""
    name = f"{dataset}@other-{serial}".encode()
    binding().lzc_snapshot([name])
    if world.random.random() < 0.3:
        binding().lzc_destroy_snaps([name], defer=False)


def main(pool: str, adapter: str, ticks: int, seed: int) -> dict[str, Any]:
    zfs: Any = HastyZfs() if adapter == "hasty" else open_zfs(adapter)
    world = World(pool, seed)
    last: dict[str, str | None] = dict.fromkeys(world.datasets())
    zfs.snapshot_changed(last, "zr_0")
    last = dict.fromkeys(last, "zr_0")
    kinds: Counter[str] = Counter()
    missed, imagined, foreigners, began = [], [], 0, time.monotonic()
    for serial in range(1, ticks + 1):
        changing = world.random.sample(world.datasets(), world.random.choice((1, 1, 1, 2, 3)))
        what = {dataset: world.change(dataset) for dataset in changing}
        kinds.update(what.values())
        pause = world.random.uniform(0, 0.1)
        time.sleep(pause / 2)
        if world.random.random() < 0.25:
            foreign(world, world.random.choice([*changing, *world.datasets()]), serial)
            foreigners += 1
        time.sleep(pause / 2)
        name = f"zr_{serial}"
        outcomes = zfs.snapshot_changed(last, name)
        taken = {dataset for dataset, found in outcomes.items() if isinstance(found, Taken)}
        missed += [f"{serial}: {what[d]} of {d}" for d in what.keys() - taken]
        imagined += [f"{serial}: {d}" for d in taken - what.keys()]
        last |= dict.fromkeys(taken, name)
        if serial % 10 == 0:  # a control tick: nothing at all was done since
            again = zfs.snapshot_changed(last, f"{name}-control").items()
            imagined += [f"{name}-control: {d}" for d, o in again if isinstance(o, Taken)]
    return {
        "ticks": ticks,
        "changes": dict(kinds),
        "missed": missed,
        "imagined": imagined,
        "foreign": foreigners,
        "seconds": round(time.monotonic() - began, 1),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
