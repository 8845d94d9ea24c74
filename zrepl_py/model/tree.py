"""A tree of datasets as a change of roles sees it: who is mounted, of what, with which key."""

from dataclasses import dataclass, field

from zrepl_py.model.observation import Kind


@dataclass(frozen=True, slots=True)
class TreeDataset:
    """A file system or volume, as it is now."""

    name: str
    guid: int
    """Of the dataset itself, not of a snapshot: a clone has one of its own."""
    kind: Kind
    origin: str | None = None
    """The snapshot, `dataset@name`, that it is a clone of."""
    mounted: bool = False
    """What ZFS says. A mount of another namespace is not counted: no proof that nobody writes."""
    readonly: bool = False
    canmount: str = "on"
    """`on`, `off`, `noauto`; `on` for a volume."""
    mountpoint: str = "none"
    """A path, `none` or `legacy`; `none` for a volume."""
    encryption_root: str | None = None
    """None where it is not encrypted."""
    key_loaded: bool = True
    written_bytes: int | None = None
    """Since its newest snapshot. May lag behind by a txg that has not ended: 0 proves nothing."""
    changed_at: int | None = None
    """When a snapshot of it was last taken or destroyed, in seconds, by this machine's clock.
    Bookmarks do not count. None: not known."""
    used_bytes: int | None = field(default=None, compare=False)
    """What it and its snapshots alone take: freed if it was destroyed, without what stands below
    it. None: not known."""
    options: dict[str, str] = field(default_factory=dict)
    """What its mounts allow (MOUNT_OPTIONS), wherever that is set."""
    local: dict[str, str] = field(default_factory=dict)
    """Properties that are set on it, own ones (`zr:*`) too."""

    @property
    def short(self) -> str:
        """`tank/audio/raw` → `raw`."""
        return self.name.rpartition("/")[2]


MOUNT_OPTIONS = ("atime", "devices", "exec", "relatime", "setuid")
"""The parent of replicas sets some of them: nothing of another node is executed by accident."""
GATE_PROPERTIES = {"canmount": ("on", "noauto", "off"), "readonly": ("on", "off")}
"""What a change of roles sets by itself, and the values."""
READ_ONLY_PROPERTIES = frozenset(
    {"casesensitivity", "normalization", "utf8only", "volblocksize", "volsize", "encryption",
     "keyformat", "keylocation", "pbkdf2iters"}
)  # fmt: skip
"""Local properties that a clone has from its origin, or that belong to a key: never copied."""
