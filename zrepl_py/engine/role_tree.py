"""What datasets of a group are here, and what set aside a tail would see of them?

Looks only. A member may stand under its own name, or, in the middle of a rescue, under that one's.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from zrepl_py.core.rejoin import find_labels
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_node import RoleGroup, RoleNode
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


def observe_trees(node: RoleNode) -> Engine[Trees]:
    """Look at all of it. Errors: those of ports/datasets.py."""
    names = sorted(node.group.members.values())
    roots = [n for n in names if not any(n.startswith(f"{other}/") for other in names)]
    seen: dict[str, Sight] = {}
    for root in (*roots, f"{node.group.pool}/{RESCUE_PARENT}"):
        for dataset in (yield from ask(DatasetPort.observe_tree, root)):
            history = yield from ask(ZfsPort.observe_history, dataset.name)
            held = yield from _observe_held(dataset.name, history)
            seen[dataset.name] = Sight(dataset, history, held)
    begun = RescueView(NO_EPOCH, (), seen, True, "")
    return Trees(seen, find_labels(begun))


def _observe_held(name: str, history: History) -> Engine[frozenset[int]]:
    rescued = {
        join_snapshot(name, s.name): s.guid
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
    members = []
    for member in sorted(bases):
        name = node.group.members[member]
        newest = trees.history(name).newest
        written = None
        if newest is not None:
            written = yield from ask(DatasetPort.observe_written, name, newest.guid)
        members.append(Member(name, bases[member], member in wanted, written))
    return RescueView(
        epoch or NO_EPOCH, tuple(members), trees.seen, False, node.draw(), _loadable(trees, node)
    )


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
    said = dataset.local.get("zr:orig:canmount", dataset.canmount)
    if is_volume(dataset) or said == "off":
        return False
    replica = group.founder != group.here.uuid
    unknown = dataset.mountpoint == "none" and "mountpoint" not in dataset.local
    return dataset.mountpoint.startswith("/") or (replica and unknown)
