"""What sets aside a dataset's tail: names, what is looked at, and the steps. Plain values.

A rescue has one label, `EPOCH-ID`. Its snapshots are `@zr-rescue_LABEL`, its datasets stand below
`POOL/zr-rescue/LABEL`. Neither name is one that zr's retention, or its destroying verbs, know.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from zrepl_py.model.history import EMPTY, History, Snapshot
from zrepl_py.model.names import Epoch
from zrepl_py.model.tree import TreeDataset

RESCUE_PARENT = "zr-rescue"
SHIPPED_PARENT = "zr-rescue-of"
RESCUE_HOLD = "zr_rescue"
RESCUED_PROPERTY = "zr:rescued"
"""On the dataset that goes on: the label of the rescue whose properties it was given."""
_SNAPSHOT = re.compile(r"zr-rescue_(\d{1,10}-[0-9a-f]{8}-[0-9a-f]{8})\Z", re.ASCII)


def render_label(epoch: Epoch, ident: str) -> str:
    """`1-9f3a21cc-0b51e2aa`: the epoch that the tail was written in, and 8 random hex digits."""
    return f"{epoch}-{ident}"


def render_rescue_snapshot(label: str) -> str:
    """The part after the @."""
    return f"zr-rescue_{label}"


def parse_rescue_snapshot(name: str) -> str | None:
    """The label, or None of any other snapshot."""
    match = _SNAPSHOT.match(name)
    return match[1] if match else None


def rescue_place(dataset: str, label: str) -> str:
    """`tank/audio/raw` → `tank/zr-rescue/LABEL/audio/raw`."""
    pool, _, path = dataset.partition("/")
    return f"{pool}/{RESCUE_PARENT}/{label}/{path}"


def shipped_place(pool: str, source: str, label: str, member: str) -> str | None:
    """Where a rescue of node `source` (its 8 hex digits) is kept on the other one; None where the
    label is none. Not below RESCUE_PARENT: it is no rescue of that node's own."""
    if parse_rescue_snapshot(render_rescue_snapshot(label)) is None:
        return None
    return f"{pool}/{SHIPPED_PARENT}/{source}/{label}/{member.partition('/')[2]}"


def find_rescue_label(dataset: str) -> str | None:
    """Of a dataset that is a rescue's place, of either kind, or below one; else None."""
    _, _, path = dataset.partition("/")
    parts = path.split("/")
    skipped = {RESCUE_PARENT: 1, SHIPPED_PARENT: 2}.get(parts[0], len(parts))
    label = parts[skipped] if len(parts) > skipped else ""
    return parse_rescue_snapshot(render_rescue_snapshot(label))


@dataclass(frozen=True, slots=True)
class Sight:
    """One dataset as it is seen now."""

    dataset: TreeDataset
    history: History = EMPTY
    held: frozenset[int] = frozenset()
    """guids of its snapshots that carry RESCUE_HOLD."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the group on the node that returns."""

    name: str
    """Where it belongs: its dataset on this node."""
    base: int | None
    """guid of the last version that it has in common with the new primary; None: there is none."""
    wanted: bool
    """The new primary has this member."""
    written_bytes: int | None
    """Written since its newest snapshot; None where that could not be measured."""


@dataclass(frozen=True, slots=True)
class RescueView:
    """All that the plan depends on. Nothing of it is remembered from an earlier run."""

    epoch: Epoch
    """In which the tail was written."""
    members: tuple[Member, ...]
    seen: Mapping[str, Sight]
    """By name: all members, all below them, and all below POOL/zr-rescue."""
    closed: bool
    """It is proven that nothing can write to them."""
    fresh: str
    """8 random hex digits, for a rescue that begins now."""
    loadable: frozenset[str] = frozenset()
    """Encryption roots whose key can be loaded without a person."""


@dataclass(frozen=True, slots=True)
class Close:
    """After it: nothing can write to these, and that is proven."""

    datasets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """After it: `root` and all below have `@name`: also what no snapshot had yet is in it."""

    root: str
    name: str


@dataclass(frozen=True, slots=True)
class HoldSnapshot:
    """After it: the snapshot carries RESCUE_HOLD."""

    dataset: str
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class MakeParent:
    """After it: the placeholder `name` exists, and those above it."""

    name: str


@dataclass(frozen=True, slots=True)
class MoveAside:
    """After it: the dataset, with all below it, is called `new`."""

    name: str
    guid: int
    new: str


@dataclass(frozen=True, slots=True)
class CloneBack:
    """After it: `name` is a clone of `source@base`, never mounted by itself."""

    source: str
    base: Snapshot
    name: str


@dataclass(frozen=True, slots=True)
class PromoteClone:
    """After it: the common snapshots, and all before, are those of `name`."""

    name: str
    guid: int


@dataclass(frozen=True, slots=True)
class GiveProperties:
    """After it: `name` has what is set on `source`, the gate left out; then it is marked."""

    source: str
    name: str
    guid: int
    label: str


@dataclass(frozen=True, slots=True)
class Seal:
    """After it: the rescue dataset is never mounted by itself, and read-only."""

    name: str
    guid: int


@dataclass(frozen=True, slots=True)
class LoadKey:
    """After it: the key is loaded."""

    name: str
    guid: int


Step = (
    Close
    | TakeSnapshot
    | HoldSnapshot
    | MakeParent
    | MoveAside
    | CloneBack
    | PromoteClone
    | GiveProperties
    | Seal
    | LoadKey
)


def render_step(step: "Step | Blocked | Settled") -> str:
    """`MoveAside tank/audio`: for people; two different steps of a rescue never look the same."""
    if isinstance(step, Blocked | Settled):
        return type(step).__name__
    where = {"root", "dataset", "name", "datasets"} & set(step.__dataclass_fields__)
    named = getattr(step, min(where, key=("root", "dataset", "name", "datasets").index))
    return f"{type(step).__name__} {named}"


@dataclass(frozen=True, slots=True)
class Blocked:
    """It cannot begin, and nothing was changed."""

    reason: str
    sentence: str
    way_out: str


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is left to be set aside: the node can follow. `labels`: the rescues that are here."""

    labels: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Shipment:
    """A rescue's snapshot that the new primary has not got yet."""

    dataset: str
    snapshot: Snapshot
    origin: str | None
    """`dataset@name` that an increment starts from; None: it goes whole."""
