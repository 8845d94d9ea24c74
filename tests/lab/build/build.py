"""In which order is the lab built, and what depends on what?"""

from __future__ import annotations

import ast
import fcntl
import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tests.lab.layout import cache_directory

from . import base, image, kernel, modules, wheels
from .archive import Archive
from .cache import Cache
from .hosttools import ensure_host_tools
from .recipe import (
    GUEST_INIT,
    GUEST_LEAVES_OUT,
    GUEST_PACKAGES,
    GUEST_PYTHON,
    GUEST_USERS,
    IMAGE_BYTES,
    SUITE,
    kernel_configuration,
    python_requirements,
)
from .versions import Versions, choose_versions


@dataclass(frozen=True)
class Built:
    kernel: Path
    image: Path
    versions: Versions


def ensure_built(*, update: bool = False) -> Built:
    """The kernel and the image for the recipe as it is now; builds what is missing."""
    cache = Cache(cache_directory())
    ensure_host_tools()
    with locked(cache.folder / "lock"):
        archive = Archive(cache.folder / "apt")
        record = cache.folder / "versions.json"
        versions = None if update else Versions.read(record)
        if versions is None:
            print("lab: versions: asking Debian", flush=True)
            versions = choose_versions(archive)
            versions.write(record)
        return build(cache, archive, versions)


def build(cache: Cache, archive: Archive, versions: Versions) -> Built:
    guest = [*GUEST_PACKAGES, *GUEST_LEAVES_OUT, SUITE, str(sorted(versions.guest.items()))]
    kernel_key = [text(kernel), *kernel_configuration(), versions.kernel]
    modules_key = [text(modules), *kernel_key, versions.zfs]
    base_key = [text(base), *guest]
    wanted = python_requirements()
    site_key = [text(wheels), GUEST_PYTHON, *guest, *wanted]
    image_key = [text(image), *modules_key, *site_key, GUEST_INIT.read_text()]
    image_key += [*GUEST_USERS, str(IMAGE_BYTES)]

    def compiled() -> tuple[Path, Path]:
        linux = cache.obtain(
            "kernel",
            f"compiling {versions.kernel_package} {versions.kernel}",
            lambda step: kernel.compile_kernel(step, archive, versions),
            *kernel_key,
        )
        zfs = cache.obtain(
            "modules",
            f"compiling OpenZFS {versions.zfs}",
            lambda step: modules.compile_modules(step, archive, versions, linux),
            *modules_key,
        )
        return linux, zfs

    def installed() -> tuple[Path, Path]:
        debian = cache.obtain(
            "base",
            f"installing Debian {SUITE} for the nodes",
            lambda step: base.make_base(step, archive, versions),
            *base_key,
        )
        site = cache.obtain(
            "site",
            f"fetching {', '.join(wanted)}",
            lambda step: wheels.fetch_python_packages(step, debian, wanted),
            *site_key,
        )
        return debian, site

    # The one computes, the other mostly waits for the network.
    with ThreadPoolExecutor() as pool:
        computing, waiting = pool.submit(compiled), pool.submit(installed)
        (debian, site), (linux, zfs) = waiting.result(), computing.result()
    root = cache.obtain(
        "image",
        "putting the root image together",
        lambda step: image.make_image(step, debian, site, zfs),
        *image_key,
    )
    return Built(linux / "linux", root / "root.img", versions)


def text(module: ModuleType) -> str:
    """A step's own code is one of its ingredients; its comments and layout are not."""
    return ast.dump(ast.parse(inspect.getsource(module)))


@contextmanager
def locked(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("lab: another process is building; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
