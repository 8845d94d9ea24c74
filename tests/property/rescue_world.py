"""A pool's tree, with what rename, clone and promote do to it (tried on OpenZFS 2.3.9): children
follow a rename; a promote moves the origin's snapshots up to the clone's to the clone, with their
holds; local properties stay where they are."""

from dataclasses import dataclass, field

from zrepl_py.core.gate import CLOSED, plan_copied
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import Epoch, TickName, render_tick
from zrepl_py.model.observation import Kind
from zrepl_py.model.rescue import (
    RESCUED_PROPERTY,
    CloneBack,
    Close,
    GiveProperties,
    HoldSnapshot,
    LoadKey,
    MakeParent,
    Member,
    MoveAside,
    PromoteClone,
    RescueView,
    Seal,
    Sight,
    Step,
    TakeSnapshot,
)
from zrepl_py.model.tree import TreeDataset


@dataclass
class Held:
    """One dataset of the world."""

    guid: int
    snapshots: list[Snapshot]
    kind: Kind = Kind.FILESYSTEM
    unsnapped: int = 0
    origin: tuple[int, int] | None = None
    """(guid of the dataset that has it, guid of the snapshot)."""
    local: dict[str, str] = field(default_factory=dict)
    encryption_root: bool = False
    key_loaded: bool = True
    canmount: str = "noauto"
    readonly: bool = False
    held: set[int] = field(default_factory=set)


class RescueWorld:
    """The returning node's pool, and what the new primary is known to have."""

    def __init__(self) -> None:
        self.tree: dict[str, Held] = {"tank": Held(1, [])}
        self.members: dict[str, tuple[int | None, bool]] = {}
        self.closed = False
        self.txg = 100
        self.ids = 1000
        self.begun = 0

    def new(self) -> int:
        self.ids += 1
        return self.ids

    def add(self, name: str, common: int, tail: int, *, unsnapped: int = 0, wanted: bool = True,
            kind: Kind = Kind.FILESYSTEM, encrypted: bool = False) -> None:  # fmt: skip
        """A member with `common` snapshots that the new primary has too, and `tail` of its own."""
        held = Held(self.new(), [], kind, unsnapped, local={"compression": "zstd", "name": name})
        held.encryption_root = encrypted
        self.tree[name] = held
        for n in range(common + tail):
            self._snap(held, render_tick(TickName(Epoch(1, "0" * 8), n, 10**9 + n)))
        base = held.snapshots[common - 1].guid if common else None
        self.members[name] = (base, wanted)

    def _snap(self, held: Held, name: str) -> None:
        self.txg += 1
        held.snapshots.append(Snapshot(self.new(), self.txg, name, 0))
        held.unsnapped = 0

    def _name(self, guid: int) -> str:
        return next(name for name, held in self.tree.items() if held.guid == guid)

    def view(self) -> RescueView:
        self.begun += 1
        seen = {name: self._sight(name, held) for name, held in self.tree.items() if name != "tank"}
        members = tuple(
            Member(name, base, wanted, self.tree[name].unsnapped if name in self.tree else None)
            for name, (base, wanted) in self.members.items()
        )
        roots = frozenset(n for n, h in self.tree.items() if h.encryption_root)
        fresh = f"{self.begun * 2654435761 % 2**32:08x}"
        return RescueView(Epoch(1, "0" * 8), members, seen, self.closed, fresh, roots)

    def _sight(self, name: str, held: Held) -> Sight:
        origin = None
        if held.origin is not None:
            source = self._name(held.origin[0])
            made_of = next(s for s in self.tree[source].snapshots if s.guid == held.origin[1])
            origin = f"{source}@{made_of.name}"
        above = [
            n for n, h in self.tree.items() if h.encryption_root and f"{name}/".startswith(f"{n}/")
        ]
        dataset = TreeDataset(
            name, held.guid, held.kind, origin, False, held.readonly, held.canmount,
            encryption_root=max(above, key=len, default=None), key_loaded=held.key_loaded,
            local=dict(held.local),
        )  # fmt: skip
        return Sight(dataset, History(tuple(held.snapshots)), frozenset(held.held))

    def perform(self, step: Step, half: bool = False) -> None:
        """What the step does; `half`: a crash comes in the middle, where there is one."""
        if not isinstance(step, Close):
            assert self.closed, f"{step} while something may still write"
        match step:
            case Close():
                self.closed = True
            case TakeSnapshot(root, name):
                for below in [n for n in self.tree if n == root or n.startswith(f"{root}/")]:
                    self._snap(self.tree[below], name)
            case HoldSnapshot(dataset, snapshot):
                self.tree[dataset].held.add(snapshot.guid)
            case MakeParent(name):
                parts = name.split("/")
                for depth in range(2, len(parts) + 1):
                    self.tree.setdefault("/".join(parts[:depth]), Held(self.new(), []))
            case MoveAside(name, guid, new):
                self._rename(name, guid, new)
            case CloneBack(source, base, name):
                self._clone(source, base, name)
            case PromoteClone(name, guid):
                self._promote(name, guid)
            case GiveProperties(source, name, guid, label):
                assert self.tree[name].guid == guid
                self.tree[name].local.update(plan_copied(self.tree[source].local))
                if not half:
                    self.tree[name].local[RESCUED_PROPERTY] = label
            case Seal(name, guid):
                assert self.tree[name].guid == guid
                self.tree[name].canmount, self.tree[name].readonly = CLOSED["canmount"], True
            case LoadKey(name, guid):
                assert self.tree[name].guid == guid
                self.tree[name].key_loaded = True

    def _rename(self, name: str, guid: int, new: str) -> None:
        assert self.tree[name].guid == guid
        assert new not in self.tree
        assert new.rpartition("/")[0] in self.tree
        for old in sorted(n for n in self.tree if n == name or n.startswith(f"{name}/")):
            self.tree[new + old[len(name) :]] = self.tree.pop(old)

    def _clone(self, source: str, base: Snapshot, name: str) -> None:
        assert name not in self.tree
        assert name.rpartition("/")[0] in self.tree, f"no parent of {name}"
        origin = self.tree[source]
        assert base in origin.snapshots
        made = Held(self.new(), [], origin.kind, origin=(origin.guid, base.guid), readonly=True)
        made.encryption_root, made.key_loaded = origin.encryption_root, not origin.encryption_root
        self.tree[name] = made

    def _promote(self, name: str, guid: int) -> None:
        clone = self.tree[name]
        assert clone.guid == guid
        assert clone.origin is not None
        source = self.tree[self._name(clone.origin[0])]
        made_of = next(s for s in source.snapshots if s.guid == clone.origin[1])
        moved = [s for s in source.snapshots if s.createtxg <= made_of.createtxg]
        guids = {s.guid for s in moved}
        clone.snapshots, source.snapshots = moved, [s for s in source.snapshots if s not in moved]
        clone.held, source.held = source.held & guids, source.held - guids
        for other in self.tree.values():
            if other.origin is not None and other.origin[1] in guids:
                other.origin = (clone.guid, other.origin[1])
        clone.origin, source.origin = source.origin, (clone.guid, made_of.guid)

    def contents(self) -> set[int]:
        """guids of all snapshots that exist anywhere."""
        return {s.guid for held in self.tree.values() for s in held.snapshots}

    def shape(self) -> dict[str, object]:
        """What two ends must have in common: everything but random labels and guids."""

        def plain(name: str) -> str:
            parts = name.split("/")
            return "/".join("LABEL" if p.count("-") == 2 and p[0] == "1" else p for p in parts)

        return {
            plain(name): (
                [s.guid if "rescue" not in s.name else "tail" for s in held.snapshots],
                plain(self._name(held.origin[0])) if held.origin else None,
                sorted(k for k in held.local), held.canmount, held.readonly,
                held.key_loaded, len(held.held),
            )
            for name, held in self.tree.items()
        }  # fmt: skip
