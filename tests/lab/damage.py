"""Damage beyond redundancy, where it is wanted: one block of one file, on two disks of a raidz1.

RAID-Z silently repairs one bad column, and the ARC hides what the disks have lost: so two columns
are overwritten, the caches are dropped, and a plain read must fail before anything is tested.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from .errors import LabError
from .node import Node

SECTOR_BYTES = 4096
LABEL_BYTES = 4 << 20
DISKS = 3
TRIES = 10
_BLOCK = re.compile(r"^\s*([0-9a-f]+)\s+L0 ((?:0:[0-9a-f]+:[0-9a-f]+ )+)[0-9a-f]+L/([0-9a-f]+)P")


@dataclass(frozen=True)
class Block:
    """One block of a file's content, as the pool has it."""

    offset: int
    """In the file."""
    places: tuple[int, ...]
    """In the pool's one vdev: of metadata there are several copies."""
    size_bytes: int

    def columns(self, place: int) -> list[tuple[int, int, int]]:
        """(disk from 0, byte on it, bytes) of each column: vdev_raidz_map_alloc, one parity."""
        sectors = -(-self.size_bytes // SECTOR_BYTES)
        rows, rest = divmod(sectors, DISKS - 1)
        big = rest + 1 if rest else 0
        row, first = divmod(place // SECTOR_BYTES, DISKS)
        found = []
        for number in range(DISKS if rows else big):
            disk, at = first + number, row
            if disk >= DISKS:
                disk, at = disk - DISKS, at + 1
            size = rows + (number < big)
            found.append((disk, at * SECTOR_BYTES + LABEL_BYTES, size * SECTOR_BYTES))
        return found


def blocks_of(node: Node, dataset: str, number: int) -> list[Block]:
    """The blocks of object `number` of a dataset or snapshot: a file, a directory, a volume's 1.
    Holes, and what stands in its block pointer, are left out. It must have some."""
    for _ in range(TRIES):
        said = node.run(["zdb", "-dddddd", dataset, str(number)], check=False).text
        blocks = [
            Block(
                int(m[1], 16), tuple(int(p.split(":")[1], 16) for p in m[2].split()), int(m[3], 16)
            )
            for line in said.splitlines()
            if (m := _BLOCK.match(line))
        ]
        if blocks:
            return blocks
        # zdb reads a pool that goes on: what it stands on may be overwritten meanwhile.
        time.sleep(1)
    raise LabError(f"{dataset}: no blocks of object {number}\n{said}")


def ruin(node: Node, *blocks: Block) -> list[tuple[int, int]]:
    """Two columns of each are rubbish from now on, and nothing remembers what they were, but the
    node's /tmp: (disk, sector) of each, for `repair`."""
    spots = [s for b in blocks for place in b.places for s in b.columns(place)[:2]]
    for disk, at, size in spots:
        sector, device = at // SECTOR_BYTES, f"/dev/mapper/disk{disk + 1}"
        kept, sectors = f"/tmp/ruined-{disk}-{sector}", f"bs=4096 count={size // SECTOR_BYTES}"
        node.sh(
            f"dd if={device} of={kept} {sectors} skip={sector} status=none; "
            f"dd if=/dev/urandom of={device} {sectors} seek={sector} conv=notrunc,fsync status=none"
        )
    forget(node)
    return [(disk, at // SECTOR_BYTES) for disk, at, _ in spots]


def repair(node: Node, spots: list[tuple[int, int]]) -> None:
    """What `ruin` has overwritten is there again, as if it had never been lost."""
    for disk, sector in spots:
        kept = f"/tmp/ruined-{disk}-{sector}"
        device = f"/dev/mapper/disk{disk + 1}"
        node.sh(
            f"dd if={kept} of={device} bs=4096 seek={sector} conv=notrunc,fsync status=none; "
            f"rm {kept}"
        )
    forget(node)


def forget(node: Node) -> None:
    """Neither ARC nor page cache has anything: dropping caches leaves some of the ARC there."""
    pool = node.sh("zpool list -Ho name").text.strip()
    # Whoever has read of it may still be at the end of it; then the pool is busy.
    node.sh(
        f"sync; until zpool export {pool}; do sleep 0.2; done; "
        f"echo 3 >/proc/sys/vm/drop_caches; zpool import -d /dev/mapper {pool}",
        timeout_seconds=120,
    )


def reads(node: Node, snapshot: str, path: str) -> bool:
    """Whether a plain read of a file or directory in a snapshot comes to its end."""
    place = "/run/lab-damage"
    node.sh(f"mkdir -p {place}; mount -t zfs -o ro '{snapshot}' {place}")
    words = f'f=\'{place}/{path}\'; if [ -d "$f" ]; then ls "$f"; else cat "$f"; fi >/dev/null'
    try:
        return node.run(["sh", "-c", words], check=False).returncode == 0
    finally:
        node.sh(f"umount {place}; rmdir {place}")
