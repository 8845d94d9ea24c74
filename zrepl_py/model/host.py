"""What is seen and what is configured of the machine around the pools: mounts, who holds them,
services, the address that clients use.

A value here says what was *read back*, never what a command claimed.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class MountSeen:
    """One mount of a file system, in one mount namespace."""

    dataset: str
    point: str
    """As a process of that namespace sees it."""
    root: str
    """Which directory of the file system is mounted; other than `/` for a bind mount."""
    readonly: bool
    """Of the file system, or of this mount."""
    namespace: int
    """The mount namespace's inode number."""
    pid: int
    """A process that lives in it, of which nothing more is said."""
    own: bool
    """It is the namespace in which zr itself mounts: the machine's."""


class Holding(StrEnum):
    """How a process keeps a file system in use."""

    CWD = "cwd"
    ROOT = "root"
    FD = "fd"
    MAPS = "maps"
    """A file is mapped: such a writer writes on under readonly=on."""
    DEVICE = "device"
    """It has a volume's block device open."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is not mistaken for a later one with the same number."""

    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that keeps one dataset in use."""

    process: Process
    command: str
    """Its name, as the kernel keeps it (15 characters)."""
    dataset: str
    """Empty: some file system of ZFS that is mounted nowhere any more, and of which only the
    processes are known that still have it."""
    holdings: tuple[Holding, ...]
    first: str
    """The first file found, as the process sees it; for people."""


class Ending(StrEnum):
    """What became of a process that was to end."""

    GONE = "gone"
    """It was not there any more, or its number belongs to another one: nothing was sent to it."""
    RELEASED = "released"
    """It is there, but holds nothing of the datasets any more: nothing was sent to it."""
    ENDED = "ended"
    """By SIGTERM."""
    KILLED = "killed"
    SURVIVED = "survived"
    """Not even SIGKILL ended it in time: it hangs in the kernel."""
    PROTECTED = "protected"
    """The first process of the machine, or one that this one descends from: nothing was sent."""


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """One process and its end."""

    process: Process
    ending: Ending


@dataclass(frozen=True, slots=True)
class VolumeSeen:
    """A volume that has a block device."""

    dataset: str
    device: str
    """`/dev/zd0`."""
    readonly: bool
    """What the kernel says of the device (BLKROGET)."""
    above: tuple[str, ...]
    """Devices that stand on it: `dm-0`, of the volume or of one of its partitions."""
    claimed: bool
    """Somebody has it for himself alone: a mount, swap, a device above, an iSCSI target. Programs
    that have it open without that (qemu) are Holders instead."""


class ServiceKind(StrEnum):
    """What starts and stops a service."""

    UNIT = "unit"
    COMPOSE = "compose"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Service:
    """Something that uses a group's datasets, and runs only where they are primary."""

    name: str
    kind: ServiceKind
    target: str = ""
    """The unit's name, or the path of the compose file; empty for commands."""
    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    """Exit 0: runs; 3: does not run; anything else: nobody knows."""
    start_seconds: int = 90
    stop_seconds: int = 90


@dataclass(frozen=True, slots=True)
class Address:
    """The address by which clients reach whoever is primary."""

    ip: str
    """Canonical, without prefix."""
    prefix: int
    interface: str


@dataclass(frozen=True, slots=True)
class Hosting:
    """What of one group is the machine's matter, as the settings say it."""

    group: str
    services: tuple[Service, ...] = ()
    """In the order in which they start; they stop in the opposite one."""
    address: Address | None = None


class ServiceState(StrEnum):
    """What was read back of a service."""

    RUNNING = "running"
    STOPPED = "stopped"
    CHANGING = "changing"
    """Starts or stops at this moment."""
    FAILED = "failed"
    """Was started and is not there: nothing of it runs."""
    UNKNOWN = "unknown"
    """It did not say. Counts as running where it must be stopped, as stopped where it must run."""


@dataclass(frozen=True, slots=True)
class ServiceOutcome:
    """What came of starting or stopping a service."""

    service: str
    state: ServiceState
    """Read back afterwards, whatever the command said of itself."""
    code: int | None
    """The command's exit code; negative for a signal; None where it was ended at its limit."""
    seconds: float
    said: str
    """The end of what it printed, for the report."""


class AddressState(StrEnum):
    """Where a group's address is, as far as this machine can see."""

    HERE = "here"
    """On the configured interface, and usable."""
    ELSEWHERE_HERE = "other-interface"
    """On this machine, but on another interface."""
    TENTATIVE = "tentative"
    """On the interface; the kernel still looks for a duplicate."""
    DUPLICATE = "duplicate"
    """On the interface, but the kernel found that another machine has it: not usable."""
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class AddressView:
    """One look at a group's address."""

    ip: str
    state: AddressState
    other: str = ""
    """Which machine has it, if one answered a probe: its link-layer address; or the interface."""
