"""Which versions is the lab made of?

Chosen once from what Debian has, then kept in the cache until `build --update`, so that
two runs of a test mean the same kernel and the same OpenZFS, and no network is needed.
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab.errors import BuildFailed

from .archive import Archive
from .recipe import GUEST_PACKAGES, KERNEL_FALLBACK, KERNEL_WANTED

Number = tuple[int, ...]


@dataclass(frozen=True)
class Versions:
    kernel_package: str
    kernel: str
    zfs: str
    """One version for zfs-dkms, zfs-test and the guest's tools: they must agree."""

    guest: dict[str, str]

    @classmethod
    def read(cls, file: Path) -> Versions | None:
        try:
            known = cls(**json.loads(file.read_text()))
        except (FileNotFoundError, TypeError, ValueError):
            return None
        return known if set(known.guest) == set(GUEST_PACKAGES) else None

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")


def choose_versions(archive: Archive) -> Versions:
    archive.update()
    zfs = archive.candidates(("zfs-dkms",))["zfs-dkms"]
    with tempfile.TemporaryDirectory() as folder:
        archive.unpack("zfs-dkms", zfs, Path(folder))
        (meta,) = Path(folder).glob("usr/src/zfs-*/META")
        maximum = parse_linux_maximum(meta.read_text())
    package = choose_kernel(archive.names("linux-source-"), maximum)
    guest = archive.candidates(GUEST_PACKAGES)
    if guest["zfsutils-linux"] != zfs:
        raise BuildFailed(f"Debian has zfs-dkms {zfs} but tools {guest['zfsutils-linux']}")
    return Versions(package, archive.candidates((package,))[package], zfs, guest)


def parse_linux_maximum(meta: str) -> Number:
    found = re.search(r"^Linux-Maximum:\s*([\d.]+)", meta, re.MULTILINE)
    if not found:
        raise BuildFailed("OpenZFS's META names no Linux-Maximum")
    return parse_number(found[1])


def parse_number(text: str) -> Number:
    return tuple(int(part) for part in text.split("."))


def choose_kernel(packages: list[str], maximum: Number) -> str:
    """The newest that UML's seccomp mode and OpenZFS both allow, else the old stable one."""
    known = {
        parse_number(found[1]): package
        for package in packages
        if (found := re.fullmatch(r"linux-source-(\d+\.\d+)", package))
    }
    fitting = [version for version in known if KERNEL_WANTED <= version <= maximum]
    chosen = max(fitting, default=KERNEL_FALLBACK)
    if chosen not in known:
        raise BuildFailed(f"no linux-source package fits; Debian has {sorted(known.values())}")
    return known[chosen]
