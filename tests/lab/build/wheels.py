"""The product's PyPI dependencies, as the nodes' Python needs them."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

from .cache import Step
from .recipe import GUEST_PYTHON

PIP_WHEEL = "./usr/share/python-wheels/pip-"


def fetch_python_packages(step: Step, base: Path, requirements: list[str]) -> None:
    """Leaves `site`: wheels for the nodes' Python, put there by the nodes' own pip."""
    pip = step.folder / "pip.whl"
    with tarfile.open(base / "base.tar") as tar:
        (wheel,) = (member for member in tar if member.name.startswith(PIP_WHEEL))
        if content := tar.extractfile(wheel):
            pip.write_bytes(content.read())
    platforms = ("manylinux_2_28_x86_64", "manylinux2014_x86_64")
    step.command(
        *(sys.executable, pip / "pip", "install", "--quiet", "--target", "site"),
        *("--python-version", GUEST_PYTHON, "--implementation", "cp", "--only-binary=:all:"),
        *(word for platform in platforms for word in ("--platform", platform)),
        *("--no-compile", "--root-user-action", "ignore", "--disable-pip-version-check"),
        *requirements,
    )
