"""spl.ko and zfs.ko: Debian's OpenZFS source, unpatched, for the lab's kernel."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .archive import Archive
from .cache import Step
from .versions import Versions


def compile_modules(step: Step, archive: Archive, versions: Versions, kernel: Path) -> None:
    """Leaves `usr/lib/modules/RELEASE`, and `zinject`."""
    work = step.folder / "work"
    archive.unpack("zfs-dkms", versions.zfs, work)
    (source,) = work.glob("usr/src/zfs-*")
    tree = kernel / "tree"
    step.command(
        *("./configure", "--with-config=kernel", "KERNEL_ARCH=um"),
        *(f"--with-linux={tree}", f"--with-linux-obj={tree}"),
        cwd=source,
    )
    jobs = f"-j{(os.cpu_count() or 2) + 1}"
    step.command("make", jobs, "-C", "module", "ARCH=um", "KERNEL_ARCH=um", cwd=source)
    release = (kernel / "release").read_text()
    target = step.folder / "usr/lib/modules" / release
    (target / "extra").mkdir(parents=True)
    for name in ("spl", "zfs"):
        module = target / "extra" / f"{name}.ko"
        step.command("strip", "-g", "-o", module, source / "module" / f"{name}.ko")
    for name in ("modules.builtin", "modules.order", "modules.builtin.modinfo"):
        shutil.copy(kernel / name, target / name)
    step.command("depmod", "-b", step.folder / "usr", release)
    archive.unpack("zfs-test", versions.zfs, work / "test")
    shutil.copy(work / "test/usr/sbin/zinject", step.folder / "zinject")
    shutil.rmtree(work)
