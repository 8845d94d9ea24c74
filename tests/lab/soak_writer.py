"""Runs inside alpha: random changes to file systems and volumes, as many as were ordered.

`python -c THIS SEED OPERATIONS SECONDS TARGETS` where TARGETS is JSON: a list of mount points and
devices. Standard library only. The same seed on the same contents makes the same changes; what
fails for want of space or files is counted, and nothing is retried.
"""

import contextlib
import errno
import fcntl
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

NAMES = [
    *(f"file {number}" for number in range(24)),
    *(
        "Grüße, Jürgen.wav",
        "take\n2",
        "-rf",
        "日本語",
        "n" * 200,
        "x;y&z'\"",
        " leading",
        "a:b@c#d%e",
    ),
]
FOLDERS = ["", "day 1", "day 1/evening", "day 2", "deep/er/and/deeper"]
BUDGET_BYTES = 3 << 20
LONG = "long.wav"
VOLUME_BLOCK = 16 << 10
EXPECTED = {errno.ENOENT, errno.EEXIST, errno.ENOSPC, errno.EDQUOT, errno.ENOTEMPTY, errno.ENODATA}
BLKGETSIZE64 = 0x80081272


class Folder:
    """One mounted file system."""

    def __init__(self, top: str, chance: random.Random) -> None:
        self.top, self.chance = Path(top), chance

    def operations(self) -> dict[Callable[[], None], int]:
        """What can be done, and how often in proportion."""
        return {
            self.create: 6, self.append: 5, self.overwrite: 5, self.truncate: 2, self.delete: 2,
            self.rename: 3, self.link: 2, self.symlink: 3, self.set_xattr: 3, self.chmod: 2,
            self.sparse: 2, self.punch: 1, self.make_folder: 1, self.move_folder: 1,
            self.remove_folder: 1, self.touch: 1,
        }  # fmt: skip

    def content(self, limit: int = 200_000) -> bytes:
        """Random bytes, compressible bytes, or zeros."""
        size = int(limit ** self.chance.random())
        kind = self.chance.randrange(4)
        if kind == 0:
            return bytes(size)
        if kind == 1:
            return (b"All work and no play. %d " % size * (size // 20 + 1))[:size]
        return self.chance.randbytes(size)

    def place(self) -> Path:
        """Where a file may be; its folder is made."""
        folder = self.top / self.chance.choice(FOLDERS)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / self.chance.choice(NAMES)

    def files(self) -> list[Path]:
        """Regular files of this file system, in a stable order."""
        found = []
        for folder, names, files in os.walk(self.top):
            names[:] = [name for name in names if not os.path.ismount(os.path.join(folder, name))]
            found += [Path(folder) / name for name in files]
        return sorted(path for path in found if not path.is_symlink())

    def ordinary(self) -> list[Path]:
        """All but the long one, which stays for a cycle."""
        return [path for path in self.files() if path.name != LONG]

    def some_file(self) -> Path:
        """One that exists, or FileNotFoundError."""
        files = self.files()
        if not files:
            raise FileNotFoundError(errno.ENOENT, "no file yet")
        return self.chance.choice(files)

    def create(self) -> None:
        path = self.place()
        path.unlink(missing_ok=True)
        path.write_bytes(self.content())

    def append(self) -> None:
        with self.some_file().open("ab") as file:
            file.write(self.content())

    def overwrite(self) -> None:
        with self.some_file().open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(self.chance.randrange(size + 1))
            file.write(self.content(50_000))

    def truncate(self) -> None:
        path = self.some_file()
        os.truncate(path, self.chance.randrange(path.stat().st_size + 5000))

    def delete(self) -> None:
        self.some_file().unlink()

    def rename(self) -> None:
        self.some_file().replace(self.place())

    def link(self) -> None:
        path = self.place()
        path.unlink(missing_ok=True)
        os.link(self.some_file(), path)

    def symlink(self) -> None:
        path = self.place()
        path.unlink(missing_ok=True)
        length = self.chance.choice([5, 60, 128, 150, 151, 300, 1000])
        step = f"releases/2026-11-21/app{self.chance.randrange(99):02d}/"
        target = step * (length // len(step) + 1)
        path.symlink_to(target[:length])

    def set_xattr(self) -> None:
        path, name = self.some_file(), f"user.note{self.chance.randrange(4)}"
        if self.chance.random() < 0.3:
            os.removexattr(path, name)
        elif self.chance.random() < 0.5:
            os.setxattr(path, name, b"a" * self.chance.choice([10, 100, 300, 3000]))
        else:
            os.setxattr(path, name, self.chance.randbytes(self.chance.choice([10, 300, 3000])))

    def chmod(self) -> None:
        path = self.some_file()
        path.chmod(self.chance.choice([0o600, 0o644, 0o755, 0o4755, 0o1644]))
        os.chown(path, self.chance.choice([0, 1000, 70_000]), self.chance.choice([0, 1000]))

    def sparse(self) -> None:
        path = self.place()
        path.unlink(missing_ok=True)
        with path.open("wb") as file:
            for _ in range(3):
                file.seek(self.chance.randrange(1 << 19))
                file.write(self.content(20_000))
            file.truncate(self.chance.randrange(1 << 19))

    def punch(self) -> None:
        path = self.some_file()
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(size // 3)
            file.write(bytes(size // 3))

    def make_folder(self) -> None:
        (self.top / f"folder {self.chance.randrange(9)}" / "inner").mkdir(parents=True)

    def move_folder(self) -> None:
        source = self.top / self.chance.choice(FOLDERS[1:])
        source.rename(self.top / f"moved {self.chance.randrange(5)}")

    def remove_folder(self) -> None:
        shutil.rmtree(self.top / self.chance.choice(FOLDERS[1:]))

    def touch(self) -> None:
        os.utime(self.some_file(), ns=(10**18 + 1, 10**18 + self.chance.randrange(10**9)))

    def change(self) -> str:
        """One random operation; returns its name."""
        while sum(p.stat().st_blocks * 512 for p in self.ordinary()) > BUDGET_BYTES:
            max(self.ordinary(), key=lambda p: (p.stat().st_blocks, str(p))).unlink()
        known = self.operations()
        operation = self.chance.choices(list(known), weights=list(known.values()))[0]
        operation()
        return operation.__name__

    def write_big(self, size: int) -> None:
        """A file that is long enough for faults to hit its stream."""
        with (self.top / LONG).open("wb") as file:
            for _ in range(size >> 18):
                file.write(self.chance.randbytes(1 << 18))


class Volume:
    """One block device."""

    def __init__(self, device: str, chance: random.Random) -> None:
        self.device, self.chance = device, chance

    def change(self) -> str:
        """Some random extents."""
        with open(self.device, "r+b", buffering=0) as file:
            packed = fcntl.ioctl(file, BLKGETSIZE64, bytes(8))
            blocks = int.from_bytes(packed, sys.byteorder) // VOLUME_BLOCK
            for _ in range(self.chance.randrange(1, 6)):
                file.seek(self.chance.randrange(blocks) * VOLUME_BLOCK)
                size = 512 * self.chance.randrange(1, 64)
                file.write(
                    bytes(size) if self.chance.random() < 0.3 else self.chance.randbytes(size)
                )
            if self.chance.random() < 0.5:
                os.fsync(file.fileno())
        return "volume"

    def write_big(self, size: int) -> None:
        """Half of it."""
        with open(self.device, "r+b", buffering=0) as file:
            for _ in range(1 << 5):
                file.write(self.chance.randbytes(1 << 18))


def main(seed: str, operations: int, seconds: float, targets: list[str], big: list[str]) -> None:
    """Do it, and print how often what was done."""
    chance = random.Random(seed)
    places: list[Folder | Volume] = [
        Volume(t, chance) if t.startswith("/dev/") else Folder(t, chance) for t in targets
    ]
    done: Counter[str] = Counter()
    for place in places:
        if isinstance(place, Folder):
            (place.top / LONG).unlink(missing_ok=True)
    deadline = time.monotonic() + 2 * seconds
    for path in big:
        with contextlib.suppress(OSError):
            long = Volume(path, chance) if path.startswith("/dev/") else Folder(path, chance)
            long.write_big(chance.randrange(4 << 20, 12 << 20))
            done["big"] += 1
    for _ in range(operations):
        if time.monotonic() > deadline:
            break
        try:
            done[chance.choice(places).change()] += 1
        except OSError as error:
            if error.errno not in EXPECTED:
                raise
            done["refused"] += 1
        time.sleep(chance.random() * 2 * seconds / (operations + 1) * 0.7)
    os.sync()
    print(json.dumps(done))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *map(json.loads, sys.argv[4:6]))
