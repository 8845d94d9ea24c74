"""The nodes' disks on the host: sparse files in memory, saved and restored by copying.

A node's root is a copy-on-write file over the shared image; its data disks are plain
sparse files. Together they are everything a node remembers.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .errors import LabError
from .layout import Instance


def root_overlay(instance: Instance, node: str) -> Path:
    return instance.disks / f"{node}.root"


def data_disk(instance: Instance, node: str, number: int) -> Path:
    return instance.disks / f"{node}.disk{number}"


def create_disks(instance: Instance, node: str, count: int, size_bytes: int) -> None:
    instance.disks.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        with data_disk(instance, node, number).open("wb") as disk:
            disk.truncate(size_bytes)


def save(instance: Instance, state: str) -> None:
    target = saved(instance, state)
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    copy_sparse(instance.disks, fresh)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def load(instance: Instance, state: str) -> None:
    source = saved(instance, state)
    if not source.is_dir():
        raise LabError(f"no state was saved under the name {state!r}")
    shutil.rmtree(instance.disks)
    instance.disks.mkdir()
    copy_sparse(source, instance.disks)


def saved(instance: Instance, state: str) -> Path:
    if not state.replace("-", "").isalnum():
        raise LabError(f"a state is named by letters, digits and hyphens, not {state!r}")
    return instance.saved(state)


def copy_sparse(source: Path, target: Path) -> None:
    """`cp` skips the holes (SEEK_HOLE) and keeps times, which the overlay checks."""
    files = [str(path) for path in sorted(source.iterdir())]
    command = ["cp", "--preserve=timestamps", "--sparse=auto", *files, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise LabError(f"copying the disks: {done.stderr.strip()}")
