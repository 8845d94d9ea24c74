"""Versions, clock, units, users, processor: what of the machine matters, read only."""

import ctypes
import importlib.util
import os
import pwd
from collections.abc import Sequence
from pathlib import Path

from zrepl_py import __version__
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.adapters.zfs.kstat import read_kernel_version
from zrepl_py.adapters.zfs.parse import parse_versions
from zrepl_py.core.audit.seen import Clock, Machine, Unit, Versions
from zrepl_py.errors import ZrError

LOOK_SECONDS = 10.0
_TIMEX_BYTES = 512
"""More than `struct timex` has on any architecture; zeroed, it asks and sets nothing."""
_UNSYNCHRONISED = 5
_UNIT_FIELDS = "Id,LoadState,ActiveState,UnitFileState,NRestarts"


def observe_versions(daemon: str | None) -> Versions:
    """`daemon`: the version that the running one says."""
    try:
        userland = parse_versions(run(["zfs", "version"], deadline_seconds=LOOK_SECONDS).out)[0]
    except ZrError:
        userland = ""
    binding = importlib.util.find_spec("libzfs_core") is not None
    return Versions(read_kernel_version(), userland, binding, __version__, daemon)


def observe_clock(now: float, newest_snapshot_at: float | None) -> Clock:
    """Whether the kernel calls the clock synchronised; no rights are needed to ask."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        state = library.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        state = -1
    return Clock(now, None if state < 0 else state != _UNSYNCHRONISED, newest_snapshot_at)


def observe_units(names: Sequence[str]) -> list[Unit] | None:
    """None where systemd does not run. Errors: those of running systemctl."""
    if not os.path.isdir("/run/systemd/system"):
        return None
    argv = ["systemctl", "show", "--no-pager", f"--property={_UNIT_FIELDS}", "--", *names]
    return parse_units(run(argv, deadline_seconds=LOOK_SECONDS).out)


def parse_units(text: str) -> list[Unit]:
    """Blocks of `Key=value`, parted by empty lines."""
    units = []
    for block in text.split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if "Id" in fields:
            restarts = fields.get("NRestarts", "0")
            units.append(
                Unit(
                    fields["Id"],
                    fields.get("LoadState") == "loaded",
                    fields.get("ActiveState", ""),
                    fields.get("UnitFileState", ""),
                    int(restarts) if restarts.isdecimal() else 0,
                )
            )
    return units


def observe_machine() -> Machine:
    """Processor and kernel, as far as bytes on the link go."""
    flags = next((w for w in _read("/proc/cpuinfo").splitlines() if w.startswith("flags")), None)
    offered = _read("/proc/sys/net/ipv4/tcp_available_ulp").split()
    return Machine(None if flags is None else "aes" in flags.split(), "tls" in offered)


def observe_missing_users(names: Sequence[str]) -> list[str]:
    """Those of `names` that this machine does not know."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return [name for name in names if name not in known]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
