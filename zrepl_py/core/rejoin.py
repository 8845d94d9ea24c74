"""How does a node that has a tail come to follow again, and lose nothing? The next step. Pure.

    snapshot → hold → rename → clone at the common snapshot → promote the clone → properties → seal

From what is seen alone (datasets, origins, names, snapshots, holds, keys), never from a memory of
earlier steps: so it goes on after a crash at any point, and running it again changes nothing. The
order is the one that also works for encryption roots.

Invariants: nothing is destroyed, rolled back or forced; between any two steps all of the tail is
under its old name or its rescue's; what the new primary continues is the held common snapshot.

The same steps bring the members of a group to one tick before a promotion: the bases are then the
snapshots of that tick.
"""

from collections.abc import Iterator

from zrepl_py.core.gate import CLOSED
from zrepl_py.core.rejoin_check import check_start
from zrepl_py.model.history import Snapshot
from zrepl_py.model.observation import Kind
from zrepl_py.model.rescue import (
    RESCUED_PROPERTY,
    Blocked,
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
    Settled,
    Shipment,
    Sight,
    Step,
    TakeSnapshot,
    parse_rescue_snapshot,
    render_label,
    render_rescue_snapshot,
    rescue_place,
)
from zrepl_py.model.tree import TreeDataset


def plan_rejoin(view: RescueView) -> Step | Blocked | Settled:
    """What to do next on this node."""
    labels = find_labels(view)
    for label in labels[-1:]:  # another one begins only when the one before is whole
        if (step := next(_steps(view, label), None)) is not None:
            return step if view.closed else Close(tuple(m.name for m in view.members))
    if not any(has_tail(view, member) for member in view.members):
        return Settled(labels)
    if (blocked := check_start(view)) is not None:
        return blocked
    if not view.closed:
        return Close(tuple(m.name for m in view.members))
    return TakeSnapshot(find_roots(view)[0], _snapshot_name(view, view.fresh))


def list_together(view: RescueView, first: Step) -> tuple[Step, ...]:
    """`first`, which plan_rejoin gave, and those of its kind that are due as well: each is about a
    dataset of its own, and none waits for another one (parents come first)."""
    further = (s for label in find_labels(view)[-1:] for s in _steps(view, label))
    return tuple(dict.fromkeys((first, *(s for s in further if type(s) is type(first)))))


def plan_shipping(view: RescueView, shipped: frozenset[int]) -> tuple[Shipment, ...]:
    """Which rescues the new primary has not got, `shipped` being guids of snapshots that it has.
    Each goes as an increment on the common snapshot, so it costs the tail alone."""
    found = []
    for name, sight in sorted(view.seen.items()):
        newest = sight.history.newest
        if newest is None or newest.guid in shipped:
            continue
        label = parse_rescue_snapshot(newest.name)
        if label is not None and f"/{label}/" in name:
            found.append(Shipment(name, newest, sight.dataset.origin))
    return tuple(found)


def find_labels(view: RescueView) -> tuple[str, ...]:
    """The rescues that were begun on this node, oldest first."""
    begun = {
        label: snapshot.createtxg
        for sight in view.seen.values()
        for snapshot in sight.history.snapshots
        if (label := parse_rescue_snapshot(snapshot.name)) is not None
    }
    return tuple(sorted(begun, key=lambda label: begun[label]))


def is_whole(view: RescueView) -> bool:
    """No rescue that was begun here has a step left."""
    return all(next(_steps(view, label), None) is None for label in find_labels(view)[-1:])


def find_roots(view: RescueView) -> list[str]:
    """Members that stand below no other one: what is renamed; the rest follows."""
    names = sorted(member.name for member in view.members)
    return [n for n in names if not any(n.startswith(f"{other}/") for other in names)]


def has_tail(view: RescueView, member: Member) -> bool:
    """Whether this node has of a member what the new primary has not. Not measured: yes."""
    sight = view.seen.get(member.name)
    if sight is None:
        return False
    newest = sight.history.newest
    if newest is None and member.written_bytes == 0:
        return False
    return newest is None or newest.guid != member.base or member.written_bytes != 0


def _steps(view: RescueView, label: str) -> Iterator[Step]:
    """What is missing of one rescue, in order."""
    roots = [root for root in find_roots(view) if root in view.seen]
    begun = [root for root in roots if _rescue_snapshot(view, root, label) is not None]
    for root in roots:
        # All have the snapshot before the first is moved; what came back has none, and is done.
        if begun and root not in begun and rescue_place(root, label) not in view.seen:
            yield TakeSnapshot(root, render_rescue_snapshot(label))
    yield from _holds(view, label)
    for root in begun:
        parent = rescue_place(root, label).rpartition("/")[0]
        if parent not in view.seen:
            yield MakeParent(parent)
        sight = view.seen[root]
        yield MoveAside(root, sight.dataset.guid, rescue_place(root, label))
    for member in sorted(view.members, key=lambda m: m.name):
        yield from _bring_back(view, member, label)


def _holds(view: RescueView, label: str) -> Iterator[Step]:
    for name, sight in sorted(view.seen.items()):
        snapshot = _rescue_snapshot(view, name, label)
        if snapshot is not None and snapshot.guid not in sight.held:
            yield HoldSnapshot(name, snapshot)


def _bring_back(view: RescueView, member: Member, label: str) -> Iterator[Step]:
    """The dataset that goes on at the common snapshot, and the rescue that keeps the rest."""
    aside = view.seen.get(rescue_place(member.name, label))
    if aside is None:
        return
    place = view.seen.get(member.name)
    base = aside.history.snapshot(member.base) if member.base is not None else None
    if place is None and base is not None and member.wanted:
        yield CloneBack(aside.dataset.name, base, member.name)
    if place is not None:
        yield from _finish(view, place, aside, label)
    if not _is_closed(aside.dataset):
        yield Seal(aside.dataset.name, aside.dataset.guid)


def _finish(view: RescueView, place: Sight, aside: Sight, label: str) -> Iterator[Step]:
    dataset = place.dataset
    if dataset.origin is not None and dataset.origin.startswith(f"{aside.dataset.name}@"):
        yield PromoteClone(dataset.name, dataset.guid)
    if not (aside.dataset.origin or "").startswith(f"{dataset.name}@"):
        return  # it came back in another way: a whole stream of the new primary's
    if dataset.local.get(RESCUED_PROPERTY) != label:
        yield GiveProperties(aside.dataset.name, dataset.name, dataset.guid, label)
    if not dataset.key_loaded and dataset.encryption_root in view.loadable:
        yield LoadKey(dataset.name, dataset.guid)


def _is_closed(dataset: TreeDataset) -> bool:
    closed = dataset.readonly and not dataset.mounted
    return closed and (dataset.kind is Kind.VOLUME or dataset.canmount == CLOSED["canmount"])


def _rescue_snapshot(view: RescueView, name: str, label: str) -> Snapshot | None:
    wanted = render_rescue_snapshot(label)
    snapshots = view.seen[name].history.snapshots
    return next((s for s in snapshots if s.name == wanted), None)


def _snapshot_name(view: RescueView, ident: str) -> str:
    return render_rescue_snapshot(render_label(view.epoch, ident))
