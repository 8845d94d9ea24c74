"""The root image: base, modules and Python packages put together as an ext4 file."""

from __future__ import annotations

import shutil
from pathlib import Path

from .cache import Step
from .recipe import GUEST_INIT, GUEST_PYTHON, GUEST_USERS, IMAGE_BYTES

PYTHON = "/opt/zr/bin/python"
LAUNCHER = f"""#!/bin/sh
# What pip would have made, for a package that is copied into the node at boot.
export PYTHONPYCACHEPREFIX="${{PYTHONPYCACHEPREFIX:-/var/cache/zr-lab/pycache}}"
exec {PYTHON} -c '
import sys
sys.argv[0] = "zr"
from zrepl_py.cli.main import main
sys.exit(main())' "$@"
"""


def make_image(step: Step, base: Path, site: Path, modules: Path) -> None:
    """Leaves `root.img`."""
    root = step.folder / "root"
    root.mkdir()
    step.command("tar", "-xf", base / "base.tar", "-C", root, "--xattrs", "--numeric-owner")
    shutil.copytree(modules / "usr/lib/modules", root / "usr/lib/modules")
    shutil.copy(modules / "zinject", root / "usr/sbin/zinject")
    shutil.copy(GUEST_INIT, root / "usr/sbin/lab-init")
    for folder in ("zr", "var/cache/zr-lab/pycache", "var/lib/zr-lab", "etc/zr"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    inside = ("chroot", root)
    for user in GUEST_USERS:
        nobody = ("--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
        step.command(*inside, "useradd", "--system", *nobody, user)
    venv = ("-m", "venv", "--system-site-packages", "--without-pip", "/opt/zr")
    step.command(*inside, "python3", *venv)
    packages = root / f"opt/zr/lib/python{GUEST_PYTHON}/site-packages"
    shutil.copytree(site / "site", packages, dirs_exist_ok=True)
    (packages / "zr-lab.pth").write_text("/run/zr-lab/tree\n")
    launcher = root / "opt/zr/bin/zr"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    (root / "usr/local/bin/zr").symlink_to("/opt/zr/bin/zr")
    # Only the interpreter of the image writes byte code that it can read.
    step.command(*inside, PYTHON, "-m", "compileall", "-q", f"/{packages.relative_to(root)}")
    with (step.folder / "root.img").open("wb") as image:
        image.truncate(IMAGE_BYTES)
    step.command("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, "root.img")
    shutil.rmtree(root)
