"""Nodes on which zr was never installed: everything that the lab's image put there is taken away.

The lab has no network, so what a machine gets from Debian and PyPI is carried in: `make` is the
host's, the packages are wheels that pip has fetched on the host for the nodes' Python, and pip on
the node is told to look there and nowhere else. The commands typed are those of the documents.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from .build.recipe import GUEST_PYTHON, python_requirements
from .layout import REPOSITORY, cache_directory
from .node import Node

SOURCE = "/usr/src/zr"
WHEELS = "/var/tmp/zr-wheels"
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS}
PARTS = ("zrepl_py", "systemd", "docs", "Makefile", "pyproject.toml", "README.md", "LICENSE")
BARE = """
    rm -rf /opt/zr* /usr/local/bin/zr /etc/zr /var/lib/zr /run/zr
    rm -f /usr/local/lib/systemd/system/zr* /usr/lib/sysusers.d/zr.conf /usr/lib/tmpfiles.d/zr.conf
    userdel zr; userdel zr-recv
    test ! -d /run/systemd/system || systemctl daemon-reload
"""


def make_bare(node: Node) -> None:
    """Take away what the image has of zr, and bring the unpacked source, `make`, and wheels."""
    node.sh(BARE)
    make = shutil.which("make")
    assert make, "the host has no make"
    node.put("/usr/bin/make", Path(make).read_bytes(), mode=0o755)
    _carry(node, SOURCE, {part: REPOSITORY / part for part in PARTS})
    _carry(node, WHEELS, {".": fetch_wheels()})


def _carry(node: Node, folder: str, parts: dict[str, Path]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, path in parts.items():
            if path.exists():
                tar.add(path, name, filter=_without_caches)
    node.put(f"{folder}.tar", packed.getvalue())
    node.sh(f"mkdir -p {folder}; tar -xf {folder}.tar -C {folder}; rm {folder}.tar")


def _without_caches(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in member.name else member


def fetch_wheels() -> Path:
    """What `pip install` of zr needs on a node, by the host's pip; cached."""
    wanted = [*python_requirements(), "setuptools>=77"]
    key = hashlib.sha256(" ".join([GUEST_PYTHON, *wanted]).encode()).hexdigest()[:12]
    folder = cache_directory() / f"wheels-{key}"
    if not folder.is_dir():
        fresh = folder.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        platforms = ("manylinux_2_28_x86_64", "manylinux2014_x86_64")
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(fresh)]
        argv += ["--only-binary=:all:", "--implementation", "cp", "--python-version", GUEST_PYTHON]
        argv += [word for platform in platforms for word in ("--platform", platform)]
        subprocess.run([*argv, *wanted], check=True, timeout=300)
        fresh.rename(folder)
    return folder
