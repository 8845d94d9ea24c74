"""The kernel: Debian's linux-source, unpatched, compiled for User-Mode Linux.

Leaves `linux` (the program), `lib/modules` files, and `tree`, which is as much of the
source as modules are compiled against.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.lab.errors import BuildFailed

from .archive import Archive
from .cache import Step
from .recipe import KERNEL_CONFIG, kernel_configuration
from .versions import Versions

NEEDED_FOR_MODULES = {"arch", "include", "scripts", "tools"}


def compile_kernel(step: Step, archive: Archive, versions: Versions) -> None:
    archive.unpack(versions.kernel_package, versions.kernel, step.folder)
    (tarball,) = step.folder.glob("usr/src/linux-source-*.tar.xz")
    step.command("tar", "-xJf", tarball)
    shutil.rmtree(step.folder / "usr")
    tree = (step.folder / versions.kernel_package).rename(step.folder / "tree")
    step.command("make", "ARCH=um", "allnoconfig", cwd=tree, KCONFIG_ALLCONFIG=str(KERNEL_CONFIG))
    check_config(tree / ".config")
    step.command("make", "ARCH=um", f"-j{(os.cpu_count() or 2) + 1}", "linux", "modules", cwd=tree)
    (tree / "linux").rename(step.folder / "linux")
    for name in ("modules.builtin", "modules.order", "modules.builtin.modinfo"):
        shutil.copy(tree / name, step.folder / name)
    release = (tree / "include/config/kernel.release").read_text().strip()
    (step.folder / "release").write_text(release)
    strip_tree(tree)


def check_config(made: Path) -> None:
    """kconfig silently drops what it cannot set."""
    have = set(made.read_text().splitlines())
    wanted = [line for line in kernel_configuration() if line.startswith("CONFIG_")]
    if lost := [line for line in wanted if line not in have]:
        raise BuildFailed(f"this kernel does not take from {KERNEL_CONFIG.name}: {lost}")


def strip_tree(tree: Path) -> None:
    """2 GB of source and objects down to what an external module needs."""
    for entry in tree.iterdir():
        if entry.is_dir() and entry.name not in NEEDED_FOR_MODULES:
            shutil.rmtree(entry)
    for entry in (tree / "arch").iterdir():
        if entry.is_dir() and entry.name not in ("um", "x86"):
            shutil.rmtree(entry)
    for name in ("vmlinux", "vmlinux.o", "vmlinux.unstripped", "vmlinux.a"):
        (tree / name).unlink(missing_ok=True)
