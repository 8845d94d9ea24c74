"""The nodes' Debian: one tar of a root file system, and the list of what is in it."""

from __future__ import annotations

from tests.lab.errors import BuildFailed

from .archive import Archive
from .cache import Step
from .recipe import GUEST_LEAVES_OUT, GUEST_PACKAGES, SUITE
from .versions import Versions


def make_base(step: Step, archive: Archive, versions: Versions) -> None:
    """Leaves `base.tar`, and `packages` with every version in it."""
    (step.folder / "sources.list").write_text(archive.guest_lines())
    leave_out = [f"--dpkgopt=path-exclude={pattern}" for pattern in GUEST_LEAVES_OUT]
    options = [
        "--variant=minbase",
        "--format=tar",
        f"--include={','.join(GUEST_PACKAGES)}",
        '--aptopt=Acquire::Languages "none"',
        # dpkg's caution with fsync is for machines that keep what it installs
        "--dpkgopt=force-unsafe-io",
        '--customize-hook=chroot "$1" dpkg-query -W > packages',
    ]
    step.command("mmdebstrap", *options, *leave_out, SUITE, "base.tar", "sources.list")
    installed = dict(
        line.split("\t") for line in (step.folder / "packages").read_text().splitlines()
    )
    for package, version in versions.guest.items():
        if installed.get(package) != version:
            raise BuildFailed(
                f"{package} was to be {version} but is {installed.get(package)}; "
                "the archive has moved on: `python -m tests.lab build --update`"
            )
