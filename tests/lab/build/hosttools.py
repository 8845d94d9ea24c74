"""Is everything that the build calls installed on this host, and may we install it?"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.lab.errors import BuildFailed

from .recipe import HOST_PROGRAMS

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def ensure_host_tools() -> None:
    if os.geteuid() != 0:
        raise BuildFailed(
            "the lab needs root: mmdebstrap unpacks a root file system with its owners, and "
            "a running lab makes a network namespace, taps and a pid namespace"
        )
    missing = sorted({p for name, p in HOST_PROGRAMS.items() if not shutil.which(name, path=PATH)})
    if not Path("/usr/include/stdio.h").exists():
        missing.append("libc6-dev")
    if not missing:
        return
    print(f"lab: installing {' '.join(missing)} on this host", flush=True)
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], install):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode != 0 and command is install:
            raise BuildFailed(
                f"this host lacks {', '.join(missing)}, and apt could not install them:\n"
                f"{done.stderr.strip()[-2000:]}"
            )
