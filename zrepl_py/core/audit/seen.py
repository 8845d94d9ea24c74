"""What was seen of this machine, as plain values; adapters/doctor fills them in."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Versions:
    """Of what works together."""

    kernel: str
    """Of the loaded OpenZFS module; empty: none is loaded."""
    userland: str
    """Of the `zfs` command; empty: not installed."""
    binding: bool
    """This Python sees libzfs_core."""
    zr: str
    daemon: str | None
    """Of the running daemon; None: it does not answer."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A disk, as `zpool status` shows it."""

    name: str
    state: str
    read_errors: int
    write_errors: int
    checksum_errors: int
    remark: str = ""
    """What stands behind the counts, `too many errors`."""


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool, as `zpool status` shows it."""

    name: str
    state: str
    leaves: tuple[Leaf, ...]
    errors: str
    """`No known data errors`, or what is damaged."""
    scrubbed_at: float | None
    """When the last scrub ended, seconds since 1970; None: never, or not known."""
    scanning: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """Space of one pool or disk."""

    name: str
    free_bytes: int
    size_bytes: int
    limit_percent: int
    """With less free space, zr pauses."""

    @property
    def free_percent(self) -> float:
        """Share that is free; 0 for one without a size."""
        return 100 * self.free_bytes / self.size_bytes if self.size_bytes else 0.0


@dataclass(frozen=True, slots=True)
class Placed:
    """A dataset with the properties that matter here."""

    name: str
    kind: str
    """`filesystem` or `volume`"""
    properties: dict[str, str]
    """`mounted`, `readonly`, `canmount`, `mountpoint`, `volmode`, `encryption`, `keystatus`, …; a
    property that a dataset does not have is `-`."""

    def get(self, name: str) -> str:
        """The value, `-` where there is none."""
        return self.properties.get(name, "-")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate's file, read."""

    path: str
    problem: str = ""
    """Why it could not be read or understood; the rest is empty then."""
    name: str = ""
    uuid: str = ""
    fingerprint: str = ""
    valid_from: float = 0.0
    valid_until: float = 0.0


@dataclass(frozen=True, slots=True)
class File:
    """Who may do what with a file or directory of zr."""

    path: str
    owner: str
    mode: int
    """Permission bits."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit."""

    name: str
    loaded: bool
    active: str
    """`active`, `inactive`, `failed`, `activating`, …"""
    enabled: str
    """`enabled`, `disabled`, … ; empty where it has no install section"""
    restarts: int


@dataclass(frozen=True, slots=True)
class Clock:
    """The wall clock."""

    now: float
    synchronised: bool | None
    """By the kernel's word; None: it does not say."""
    newest_snapshot_at: float | None = None
    """What the newest snapshot of this node says of its own time."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What of the machine matters to the byte path."""

    aes: bool | None
    """The processor has AES instructions; None: it does not say."""
    kernel_tls: bool
    """The kernel offers TLS on sockets."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """`zfs allow` of one dataset: user → permissions, local and descendent ones together."""

    dataset: str
    users: dict[str, frozenset[str]] = field(default_factory=dict)
