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
    local: dict[str, str] = field(default_factory=dict)
    """Properties that are set on it, own ones (`zr:*`) too."""

    @property
    def short(self) -> str:
        """`tank/audio/raw` → `raw`."""
        return self.name.rpartition("/")[2]


GATE_PROPERTIES = {"canmount": ("on", "noauto", "off"), "readonly": ("on", "off")}
"""What a change of roles sets by itself, and the values."""
READ_ONLY_PROPERTIES = frozenset(
    {"casesensitivity", "normalization", "utf8only", "volblocksize", "volsize", "encryption",
     "keyformat", "keylocation", "pbkdf2iters"}
)  # fmt: skip
"""Local properties that a clone has from its origin, or that belong to a key: never copied."""
