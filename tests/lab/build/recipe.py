"""What the nodes are made of: every name and bound that was chosen by hand."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.lab.layout import REPOSITORY

SUITE = "trixie"
"""The nodes' Debian: OpenZFS and its tools come from here, and only from here."""

SOURCE_SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-backports")
"""Where kernel sources may come from."""

GUEST_PYTHON = "3.13"

KERNEL_WANTED = (6, 16)
"""The first with UML's seccomp mode: without it a system call costs several times more."""

KERNEL_FALLBACK = (6, 12)

GUEST_PACKAGES = (
    *("zfsutils-linux", "zfs-zed", "python3-pyzfs", "python3", "python3-venv"),
    *("systemd", "systemd-sysv", "dbus", "udev", "dmsetup"),
    *("iproute2", "iputils-ping", "nftables", "kmod", "procps", "ca-certificates"),
)
GUEST_LEAVES_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")
GUEST_USERS = ("zr", "zr-recv")
IMAGE_BYTES = 3 << 30

KERNEL_CONFIG = Path(__file__).with_name("kernel.config")
GUEST_INIT = Path(__file__).parents[1] / "guest" / "lab-init"

HOST_PROGRAMS = {
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "gcc": "gcc",
    "make": "make",
    "perl": "perl",
    "strip": "binutils",
    "xz": "xz-utils",
    "depmod": "kmod",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
"""Program that the lab calls → Debian package that has it."""


def kernel_configuration() -> list[str]:
    """What `kernel.config` sets, without its comments."""
    lines = KERNEL_CONFIG.read_text().splitlines()
    return [line for line in lines if line.startswith(("CONFIG_", "# CONFIG_"))]


def python_requirements() -> list[str]:
    """The product's dependencies, from the one place where they are pinned."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted: list[str] = list(project["dependencies"])
    for extra, names in project.get("optional-dependencies", {}).items():
        if extra != "dev":
            wanted += names
    named = {re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0].lower() for line in wanted}
    return sorted(wanted + [name for name in ("boto3",) if name not in named])
