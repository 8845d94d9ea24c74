"""What is missing on this machine for zr: ZFS, users, directories, the replica parent, units.

Every plan_ function looks and returns the steps that are missing; it changes nothing. No step ever
changes a property of a dataset that was there before.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from zrepl_py.adapters.files import ensure_directory
from zrepl_py.adapters.host.steps import Step, command_step, run_command
from zrepl_py.adapters.zfs.rights import DELEGATED, RECEIVE_USER, ReceiveRight
from zrepl_py.errors import Standing
from zrepl_py.model.config import NodeConfig

SERVICE_USER = "zr"
HOMES = {SERVICE_USER: "/var/lib/zr", RECEIVE_USER: "/"}
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
DEVICE = Path("/dev/zfs")
SYSTEMD = Path("/run/systemd/system")
RUN_MODE = 0o1775
UNIT = "zr.service"


def check_zfs() -> tuple[str, ...]:
    """The imported pools. Standing(module-missing) where ZFS or its Python binding is missing."""
    if shutil.which("zfs") is None or shutil.which("zpool") is None:
        raise Standing(
            "module-missing",
            "OpenZFS's commands are not installed.",
            "Run: apt install zfsutils-linux python3-pyzfs",
        )
    if not DEVICE.exists():
        raise Standing(
            "module-missing", "OpenZFS's kernel module is not loaded.", "Run: modprobe zfs"
        )
    if importlib.util.find_spec("libzfs_core") is None:
        raise Standing(
            "module-missing",
            "This Python does not see libzfs_core.",
            "Run: apt install python3-pyzfs; the virtual environment of zr must have been made "
            "with --system-site-packages, as `make install` does.",
        )
    return tuple(run_command(["zpool", "list", "-Ho", "name"]).stdout.split())


def plan_users() -> list[Step]:
    """The users zr and zr-recv, each with a group of its own, without a password or a shell."""
    steps = []
    for name, home in HOMES.items():
        try:
            pwd.getpwnam(name)
        except KeyError:
            argv = ["useradd", "--system", "--user-group", "--no-create-home"]
            argv += ["--home-dir", home, "--shell", "/usr/sbin/nologin", name]
            steps.append(command_step(argv))
    return steps


def plan_run_directory(path: str) -> list[Step]:
    """The directory of the sockets, as systemd/zr.tmpfiles.conf makes it."""
    try:
        found, group = os.stat(path), pwd.getpwnam(SERVICE_USER).pw_gid
        if (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (RUN_MODE, 0, group):
            return []
    except (FileNotFoundError, KeyError):
        pass

    def perform() -> None:
        ensure_run_directory(path, pwd.getpwnam(SERVICE_USER).pw_gid)

    return [Step(f"make {path} for the sockets (root and group zr, sticky)", perform)]


def ensure_run_directory(path: str, gid: int) -> None:
    """As systemd/zr.tmpfiles.conf makes it: the service can make its socket there, but cannot
    replace what belongs to the workers."""
    ensure_directory(path, 0o755)
    os.chown(path, 0, gid)
    os.chmod(path, RUN_MODE)


def plan_ownership(paths: Sequence[str], *, written: bool) -> list[Step]:
    """These, with all below, belong to the user zr; they may not exist yet. `written`: an earlier
    step writes there, as root."""
    try:
        owner = pwd.getpwnam(SERVICE_USER)
        wanted = (owner.pw_uid, owner.pw_gid)
        if not written and all(_owner_of(entry) in (wanted, None) for entry in _entries(paths)):
            return []
    except (FileNotFoundError, KeyError):
        pass

    def perform() -> None:
        owner = pwd.getpwnam(SERVICE_USER)
        for entry in _entries(paths):
            with contextlib.suppress(FileNotFoundError):  # the daemon works there
                os.chown(entry, owner.pw_uid, owner.pw_gid, follow_symlinks=False)

    return [Step(f"give {' and '.join(paths)} to the user {SERVICE_USER}", perform)]


def _entries(paths: Sequence[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        path.lstat()
        yield path
        yield from path.rglob("*")


def _owner_of(entry: Path) -> tuple[int, int] | None:
    try:
        found = entry.lstat()
    except FileNotFoundError:
        return None
    return found.st_uid, found.st_gid


def plan_replica_parent(parent: str) -> list[Step]:
    """The dataset below which replicas live, and the receive worker's right to receive there."""
    steps = []
    there = run_command(["zfs", "list", "-Ho", "name", parent], check=False).returncode == 0
    if not there:
        create = ["zfs", "create", "-p"]
        for setting in PARENT_PROPERTIES:
            create += ["-o", setting]
        steps.append(command_step([*create, parent]))
    allowed = run_command(["zfs", "allow", parent]).stdout if there else ""
    if f"user {RECEIVE_USER} " not in allowed:
        steps.append(_allow_step(parent))
    return steps


def _allow_step(parent: str) -> Step:
    def perform() -> None:
        ReceiveRight().allow(parent)

    return Step(f"run: zfs allow -u {RECEIVE_USER} {DELEGATED[0]} {parent}", perform)


def units_of(node: NodeConfig) -> list[str]:
    """The units that a node needs: workers first, the daemon last."""
    return [
        *(f"zr-zfs@{pool}.service" for pool in node.pools),
        *(f"zr-receive@{pool}.service" for pool in node.receiving_pools),
        *(f"zr-proof@{pool}.service" for pool in node.pools),
        *(_host_unit(pool) for pool in node.pools if node.roles),
        UNIT,
    ]


def _host_unit(pool: str) -> str:
    return f"zr-host@{pool}.service"


def plan_units(node: NodeConfig) -> tuple[list[Step], list[str]]:
    """The step that enables and starts what is not, the one that takes away what is needed no more,
    and notes where that cannot be."""
    if not SYSTEMD.is_dir():
        return [], ["systemd does not run here: start the daemon by hand, as root: zr daemon"]
    if run_command(["systemctl", "cat", UNIT], check=False).returncode != 0:
        return [], ["zr's units are not installed: run `make install` in zr's source"]
    missing = [u for u in units_of(node) if not (_is("enabled", u) and _is("active", u))]
    steps = [command_step(["systemctl", "enable", "--now", *missing])] if missing else []
    # Root without a sandbox, which nobody asks for anything.
    left = [] if node.roles else [u for u in map(_host_unit, node.pools) if _is("enabled", u)]
    if left:
        steps.append(command_step(["systemctl", "disable", "--now", *left]))
    return steps, []


def _is(what: str, unit: str) -> bool:
    argv = ["systemctl", "--quiet", f"is-{what}", unit]
    return run_command(argv, check=False).returncode == 0
