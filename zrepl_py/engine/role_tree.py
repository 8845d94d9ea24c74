"""What datasets of a group are here, and what set aside a tail would see of them?

Looks only. A member may stand under its own name, or, in the middle of a rescue, under that one's.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from zrepl_py.core.gate import only_holds
from zrepl_py.core.rejoin import find_labels, is_whole
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_node import RoleGroup, RoleNode, promised_bases
from zrepl_py.model.history import EMPTY, History, Snapshot
from zrepl_py.model.names import Epoch, join_snapshot
from zrepl_py.model.observation import Kind
from zrepl_py.model.rescue import (
    RESCUE_HOLD,
    RESCUE_PARENT,
    Member,
    RescueView,
    Sight,
    parse_rescue_snapshot,
    rescue_place,
)
from zrepl_py.model.tree import TreeDataset
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.zfs import ZfsPort

NO_EPOCH = Epoch(0, "00000000")
SETTLED_SECONDS = 2.0
"""ZFS says to the second when a dataset's snapshots changed: what was listed so long after that
cannot have changed again within the same second."""


@dataclass(frozen=True, slots=True)
class Trees:
    """Everything at and below the members, and below POOL/zr-rescue."""

    seen: Mapping[str, Sight] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    """Of the rescues that were begun here, oldest first."""

    def history(self, name: str) -> History:
        """Of what stands under a name; empty where nothing does."""
        sight = self.seen.get(name)
        return sight.history if sight is not None else EMPTY

    def placed(self, node: RoleNode) -> list[TreeDataset]:
        """The members that stand where they belong, parents first."""
        names = sorted(node.group.members.values())
        return [self.seen[name].dataset for name in names if name in self.seen]

    def closable(self, node: RoleNode) -> list[TreeDataset]:
        """Those, and what of them a rescue has set aside: nothing may write to either."""
        aside = self.aside(node).values()
        return [*self.placed(node), *(self.seen[name].dataset for name in aside)]

    def aside(self, node: RoleNode) -> dict[str, str]:
        """Member → where the newest rescue has put it, of those that it has."""
        found = {}
        for label in self.labels[-1:]:
            for member, name in node.group.members.items():
                if (place := rescue_place(name, label)) in self.seen:
                    found[member] = place
        return found

    def reachable(self, node: RoleNode) -> dict[str, History]:
        """Member → what it has, or has again when a rescue that was begun is finished. What a
        promotion could go on from, and the loss report is made of."""
        aside = self.aside(node)
        found = {}
        for member, name in node.group.members.items():
            sight, place = self.seen.get(name), aside.get(member, "")
            origin = (sight.dataset.origin or "") if sight is not None else ""
            if sight is None and place:
                found[member] = self.history(place)
            elif place and origin.startswith(f"{place}@"):
                found[member] = _up_to(self.history(place), origin.partition("@")[2])
            elif sight is not None:
                found[member] = sight.history
        return found

    def own(self, node: RoleNode, member: str) -> list[Snapshot]:
        """All snapshots of a member, oldest first; also those that a rescue that is not whole has.
        What a whole one has set aside is not the member's any more, also where the other node has
        it."""
        name, aside = node.group.members[member], self.aside(node).get(member, "")
        sight = self.seen.get(name)
        begun = sight is None or (sight.dataset.origin or "").startswith(f"{aside}@")
        places = [name, aside] if begun else [name]
        found = {s.guid: s for place in places for s in self.history(place).snapshots}
        return sorted(found.values(), key=lambda s: s.createtxg)


def _up_to(history: History, name: str) -> History:
    """What a clone of its snapshot `name` has, once it is promoted."""
    names = [s.name for s in history.snapshots]
    end = names.index(name) + 1 if name in names else 0
    return history.with_snapshots(history.snapshots[:end])


def observe_trees(node: RoleNode, now: float = 0.0, *, glance: bool = False) -> Engine[Trees]:
    """Look at all of it. `glance`: of a dataset whose snapshots did not change since they were
    looked at, those are not listed again (ZFS says when they changed). Errors: those of
    ports/datasets.py."""
    parent = f"{node.group.pool}/{RESCUE_PARENT}"
    found = yield from ask(
        DatasetPort.observe_trees, [*find_roots(node.group.members.values()), parent]
    )
    known = {d.name: _recall(node, d) for d in found} if glance else {}
    todo = [d.name for d in found if known.get(d.name) is None]
    histories = (yield from ask(DatasetPort.observe_histories, todo)) if todo else {}
    held = yield from _observe_held(histories)
    seen: dict[str, Sight] = {}
    for dataset in found:
        name = dataset.name
        if (sight := known.get(name)) is not None:
            seen[name] = replace(sight, dataset=dataset)
        elif name in histories:  # else it went between the two looks
            guids = frozenset(s.guid for s in histories[name].snapshots)
            seen[name] = Sight(dataset, histories[name], held & guids)
            node.settled[name] = (dataset.changed_at or now) + SETTLED_SECONDS <= now
    node.sights = seen
    begun = RescueView(NO_EPOCH, (), seen, True, "")
    return Trees(seen, find_labels(begun))


def find_roots(names: Iterable[str]) -> tuple[str, ...]:
    """Those that stand below no other one."""
    every = sorted(names)
    return tuple(n for n in every if not any(n.startswith(f"{other}/") for other in every))


def find_inherited(node: RoleNode, trees: Trees) -> dict[str, dict[str, str]]:
    """Where the root members are mounted, or would be, and what such a mount allows: it is to be
    carried beside their streams, for what one has by inheritance is not set on it, and on the other
    node it would inherit something else. Those below follow it."""
    roots = find_roots(node.group.members.values())
    seen = {name: trees.seen[name].dataset for name in roots if name in trees.seen}
    mounted = {n: d for n, d in seen.items() if d.mountpoint.startswith("/")}
    return {n: {"mountpoint": d.mountpoint, **d.options} for n, d in mounted.items()}


def _recall(node: RoleNode, dataset: TreeDataset) -> Sight | None:
    """What was seen of a dataset before, if its snapshots are the same for sure."""
    sight = node.sights.get(dataset.name)
    if sight is None or dataset.changed_at is None or not node.settled.get(dataset.name):
        return None
    then = sight.dataset
    same = (then.guid, then.origin, then.changed_at) == (
        dataset.guid, dataset.origin, dataset.changed_at,
    )  # fmt: skip
    return sight if same else None


def _observe_held(histories: Mapping[str, History]) -> Engine[frozenset[int]]:
    """guids of those snapshots of rescues that are held."""
    rescued = {
        join_snapshot(name, s.name): s.guid
        for name, history in histories.items()
        for s in history.snapshots
        if parse_rescue_snapshot(s.name) is not None
    }
    if not rescued:
        return frozenset()
    holds = yield from ask(ZfsPort.observe_holds, tuple(rescued))
    return frozenset(rescued[n] for n, tags in holds.items() if RESCUE_HOLD in tags)


def observe_rescue(
    node: RoleNode,
    trees: Trees,
    bases: Mapping[str, int | None],
    wanted: Collection[str],
    epoch: Epoch | None,
) -> Engine[RescueView]:
    """What core/rejoin.py plans from. `bases`: member → guid of the snapshot that it goes on from;
    a member that is not in it is left alone. `epoch`: in which a tail was written. That all is
    closed is the caller's to say (replace)."""
    view = view_rescue(node, trees, bases, wanted, epoch)
    newest = {m.name: trees.history(m.name).newest for m in view.members}
    since = {name: snapshot.guid for name, snapshot in newest.items() if snapshot is not None}
    written = (yield from ask(DatasetPort.observe_written, since)) if since else {}
    members = [replace(m, written_bytes=written.get(m.name)) for m in view.members]
    return replace(view, members=tuple(members))


def view_rescue(
    node: RoleNode,
    trees: Trees,
    bases: Mapping[str, int | None],
    wanted: Collection[str],
    epoch: Epoch | None,
) -> RescueView:
    """The same without what was written since: as much as a rescue that was begun depends on."""
    places = node.group.members
    members = tuple(Member(places[m], bases[m], m in wanted, None) for m in sorted(bases))
    loadable = _loadable(trees, node)
    return RescueView(epoch or NO_EPOCH, members, trees.seen, False, node.draw(), loadable)


def aligned_bases(node: RoleNode, trees: Trees) -> dict[str, int | None]:
    """What each member is brought to in this node's own newest epoch. Also where it was primary
    before, if it was taken in the middle of a rescue: that is finished first."""
    bases, head = promised_bases(node), node.memory.head
    if bases or head is None or not trees.labels:
        return bases
    every: dict[str, int | None] = {m: g for m, g in head.bases.items() if m in node.group.members}
    begun = not is_whole(view_rescue(node, trees, every, every.keys(), None))
    return every if begun else {}


def find_common(
    node: RoleNode, trees: Trees, theirs: Mapping[str, History]
) -> dict[str, int | None]:
    """Member → guid of its newest snapshot here of which the other node has at least a bookmark."""
    return {
        member: _newest_of(trees.own(node, member), theirs.get(member, EMPTY))
        for member in node.group.members
    }


def _newest_of(own: Iterable[Snapshot], other: History) -> int | None:
    shared = [s.guid for s in own if other.version(s.guid) is not None]
    return shared[-1] if shared else None


def _loadable(trees: Trees, node: RoleNode) -> frozenset[str]:
    """Encryption roots whose key can be had without a person."""
    found = set()
    for name, sight in trees.seen.items():
        place = sight.dataset.local.get("keylocation", "prompt")
        if sight.dataset.encryption_root == name and place != "prompt":
            found.add(name)
    return frozenset(found - node.keyless)


def is_volume(dataset: TreeDataset) -> bool:
    """Of a volume there is no mount."""
    return dataset.kind is Kind.VOLUME


def wants_mount(dataset: TreeDataset, group: RoleGroup) -> bool:
    """Whether its primary mounts it. Not one whose original only holds others, or has no mount
    point. A replica that was told none has one that zr does not know: it counts as wanted, so that
    it is not passed over in silence."""
    if is_volume(dataset) or only_holds(dataset):
        return False
    replica = group.founder != group.here.uuid
    unknown = dataset.mountpoint == "none" and "mountpoint" not in dataset.local
    return dataset.mountpoint.startswith("/") or (replica and unknown)
