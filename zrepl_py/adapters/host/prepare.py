"""Prepares a node for zr: the replica parent and its delegation. Called by `zr init` as root.

Idempotent; never changes a property of a dataset that was there before.
"""

import os
import subprocess

from zrepl_py.adapters.files import ensure_directory
from zrepl_py.errors import Standing

RECEIVE_USER = "zr-recv"
DELEGATED = "create,mount,receive:append"
"""`receive:append` cannot force (OpenZFS 2.3 and newer); older ones know `receive` only."""
DELEGATED_BEFORE_2_3 = "create,mount,receive"
PARENT_PROPERTIES = (
    "mountpoint=none",
    "canmount=off",
    "readonly=on",
    "atime=off",
    "setuid=off",
    "devices=off",
    "exec=off",
    "volmode=none",
)
_DEADLINE_SECONDS = 60


def ensure_run_directory(path: str, gid: int) -> None:
    """As systemd/zr.tmpfiles.conf makes it: the service can make its socket there, but cannot
    replace what belongs to the workers."""
    ensure_directory(path, 0o755)
    os.chown(path, 0, gid)
    os.chmod(path, 0o1775)


def plan_replica_parent(parent: str) -> list[list[str]]:
    """The commands that make a replica parent and let the receive worker receive below it."""
    create = ["zfs", "create", "-p"]
    for setting in PARENT_PROPERTIES:
        create += ["-o", setting]
    return [[*create, parent], ["zfs", "allow", "-u", RECEIVE_USER, DELEGATED, parent]]


def ensure_replica_parent(parent: str) -> list[list[str]]:
    """Run what is missing of plan_replica_parent; returns what was run."""
    create, allow = plan_replica_parent(parent)
    ran = []
    if _run(["zfs", "list", "-Ho", "name", parent], check=False).returncode != 0:
        _run(create)
        ran.append(create)
    allowed = _run(["zfs", "allow", parent]).stdout
    if f"user {RECEIVE_USER} " not in allowed:
        if _run(allow, check=False).returncode != 0:
            allow = [*allow[:4], DELEGATED_BEFORE_2_3, parent]
            _run(allow)
        ran.append(allow)
    return ran


def _run(argv: list[str], *, check: bool = True) -> "subprocess.CompletedProcess[str]":
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_DEADLINE_SECONDS,
        )
    except FileNotFoundError:
        raise Standing(
            "module-missing",
            f"The command {argv[0]!r} is not installed.",
            "Install OpenZFS: apt install zfsutils-linux python3-pyzfs.",
        ) from None
    except subprocess.TimeoutExpired:
        raise Standing(
            "zfs-failed",
            f"`{' '.join(argv)}` gave no answer within {_DEADLINE_SECONDS} s.",
            "Look at `zpool status`; the pool may be suspended.",
        ) from None
    if check and done.returncode != 0:
        raise Standing(
            "zfs-failed", f"`{' '.join(argv)}` failed: {done.stderr.strip()}.", "Mend this first."
        )
    return done
