"""Whose is a scratch dataset, and does that process still live? Written when it is made.

A process is known by boot, number and start, so that neither a reboot nor a number that is used
again lets a dead one look alive. Changes nothing.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from zrepl_py.adapters.bootid import read_boot_id
from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.adapters.zfs.scratch import SCRATCH_PROPERTY
from zrepl_py.model.names import SCRATCH_PREFIX, check_dataset_name

OWNER_PROPERTY = "zr:scratch-of"
LOOK_SECONDS = 20.0
_START_FIELD = 19
"""`starttime` among the fields of /proc/PID/stat that follow the name in brackets."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """A dataset that some restore made to read in."""

    name: str
    mark: str
    owner: str

    @property
    def alive(self) -> bool:
        """The restore that made it still runs."""
        return is_alive(self.owner)


def render_owner(pid: int | None = None) -> str:
    """`BOOT/PID/START` of a process, of this one by default; raises OSError where it is gone."""
    number = os.getpid() if pid is None else pid
    fields = Path(f"/proc/{number}/stat").read_bytes().rpartition(b")")[2].split()
    return f"{read_boot_id()}/{number}/{fields[_START_FIELD].decode()}"


def is_alive(owner: str) -> bool:
    """Does the process live that `render_owner` said this of?"""
    pid = owner.split("/")[1] if owner.count("/") == 2 else ""
    if not pid.isdecimal():
        return False
    try:
        return render_owner(int(pid)) == owner
    except (OSError, IndexError):
        return False


def observe_scratch(pool: str) -> list[Scratch]:
    """Scratch datasets right in a pool. Errors: pool-missing, module-missing, too-slow, …"""
    check_dataset_name(pool)
    wanted = f"{SCRATCH_PROPERTY},{OWNER_PROPERTY}"
    argv = ["zfs", "get", "-Hp", "-d", "1", "-t", "filesystem,volume", "-s", "local,received"]
    ended = run([*argv, "-o", "name,property,value", wanted, pool], deadline_seconds=LOOK_SECONDS)
    if ended.code != 0:
        raise judge_command("list", ended, pool)
    return parse_scratch(ended.out)


def parse_scratch(text: str) -> list[Scratch]:
    """Lines `name property value` → those that carry a mark of their own and such a name."""
    seen: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        name, _, rest = line.partition("\t")
        key, _, value = rest.partition("\t")
        if name.rpartition("/")[2].startswith(SCRATCH_PREFIX):
            seen.setdefault(name, {})[key] = value
    return [
        Scratch(name, found[SCRATCH_PROPERTY], found.get(OWNER_PROPERTY, ""))
        for name, found in seen.items()
        if SCRATCH_PROPERTY in found
    ]
