"""Which rescues are here, of this node and of the other one, and how does one of the other one's
arrive?

A rescue of this node stands below POOL/zr-rescue/LABEL; what the other node has sent of its own
below POOL/zr-rescue-of/ITS-8-HEX-DIGITS/LABEL. Destroys only what a person names, and never what
may be all there is of a member.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from zrepl_py.core.gate import CLOSED, rescue_busy
from zrepl_py.core.role_words import ShipOrder
from zrepl_py.daemon.roles import SERVING, GroupRole
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.errors import Refused
from zrepl_py.model.history import EMPTY, History
from zrepl_py.model.names import join_snapshot, parse_hold
from zrepl_py.model.rescue import (
    RESCUE_HOLD,
    RESCUE_PARENT,
    SHIPPED_PARENT,
    parse_rescue_snapshot,
    render_rescue_snapshot,
    rescue_place,
    shipped_place,
)
from zrepl_py.model.roles import State
from zrepl_py.model.tree import TreeDataset
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.zfs import ZfsPort

LASTING = (*SERVING, State.INIT, State.STANDBY, State.CATCHING_UP)


@dataclass(frozen=True, slots=True)
class Aside:
    """One dataset of a rescue."""

    member: str
    dataset: str
    guid: int
    """Of the dataset."""
    snapshot: int
    """guid of the rescue's snapshot."""
    base: str | None
    """`dataset@name` that it has in common with the group; None: it stands for itself."""
    bytes: int | None = None
    """What it alone takes; None: not known."""


@dataclass(frozen=True, slots=True)
class RescueSeen:
    """All of one label, of one node."""

    label: str
    of: str
    """The node whose tail it is."""
    own: bool
    """It is this node's; else the other one has sent it."""
    parts: tuple[Aside, ...]
    shipped: bool
    """Both nodes have it, as far as this one knows."""

    @property
    def bytes(self) -> int | None:
        """What all of it alone takes; None: not known."""
        known = [part.bytes for part in self.parts if part.bytes is not None]
        return sum(known) if len(known) == len(self.parts) else None


def observe_rescues(role: GroupRole) -> Engine[list[RescueSeen]]:
    """Every rescue of the group that is here, oldest label first, own ones before the others."""
    own, sent = own_root(role), sent_root(role)
    trees = yield from ask(DatasetPort.observe_trees, (own, sent))
    found = list(_find(role, trees, own, True)) + list(_find(role, trees, sent, False))
    histories = yield from ask(DatasetPort.observe_histories, [d.name for _, d, _ in found])
    return _group(role, found, histories)


def _find(
    role: GroupRole, trees: Iterable[TreeDataset], root: str, own: bool
) -> Iterable[tuple[str, TreeDataset, tuple[str, bool]]]:
    """(label, dataset, (member, whether it is this node's))."""
    for dataset in trees:
        label, _, _ = dataset.name.removeprefix(f"{root}/").partition("/")
        if parse_rescue_snapshot(render_rescue_snapshot(label)) is None:
            continue
        for member, place in role.node.group.members.items():
            there = rescue_place(place, label) if own else _shipped(role, label, member)
            if there == dataset.name:
                yield label, dataset, (member, own)


def _group(
    role: GroupRole,
    found: list[tuple[str, TreeDataset, tuple[str, bool]]],
    histories: dict[str, History],
) -> list[RescueSeen]:
    parts: dict[tuple[bool, str], list[Aside]] = {}
    for label, dataset, (member, own) in found:
        wanted = render_rescue_snapshot(label)
        for snapshot in histories.get(dataset.name, EMPTY).snapshots:
            if snapshot.name == wanted:
                parts.setdefault((not own, label), []).append(
                    Aside(member, dataset.name, dataset.guid, snapshot.guid, dataset.origin,
                          dataset.used_bytes)
                )  # fmt: skip
    seen = []
    for (theirs, label), asides in sorted(parts.items()):
        shipped = theirs or all(a.snapshot in role.node.shipped for a in asides)
        of = role.peer.name if theirs else role.plan.here.name
        seen.append(RescueSeen(label, of, not theirs, tuple(asides), shipped))
    return seen


def settle_shipped(role: GroupRole, label: str) -> Engine[frozenset[int]]:
    """guids of that rescue's snapshots that the other node has sent here: each is held, and closed,
    before it is said to be here. So a crash right after it arrived leaves nothing undone."""
    places = [p for m in role.node.group.members if (p := _shipped(role, label, m)) is not None]
    found = yield from ask(DatasetPort.observe_trees, places)
    histories = yield from ask(DatasetPort.observe_histories, [d.name for d in found])
    name = render_rescue_snapshot(label)
    arrived = {d: s.guid for d, h in histories.items() for s in h.snapshots if s.name == name}
    held = yield from ask(ZfsPort.observe_holds, [join_snapshot(d, name) for d in arrived])
    for dataset in found:
        snapshot = join_snapshot(dataset.name, name)
        if dataset.name in arrived and RESCUE_HOLD not in held.get(snapshot, ()):
            yield from ask(DatasetPort.set_gate, {dataset.name: dataset.guid}, CLOSED)
            yield from ask(ZfsPort.hold, (snapshot,), RESCUE_HOLD)
    return frozenset(arrived.values())


def observe_own(role: GroupRole, label: str) -> Engine[frozenset[int]]:
    """guids of the snapshots of that rescue, where it is this node's own: the other node asks for
    them before a person drops there what was sent to it."""
    found = yield from ask(DatasetPort.observe_trees, (f"{own_root(role)}/{label}",))
    histories = yield from ask(DatasetPort.observe_histories, [d.name for d in found])
    name = render_rescue_snapshot(label)
    return frozenset(s.guid for h in histories.values() for s in h.snapshots if s.name == name)


def receive_rescue(role: GroupRole, order: ShipOrder, fd: int, taken: list[int]) -> Engine[None]:
    """One dataset's rescue arrives in the pipe `fd`; `taken` gets it once somebody else closes it.
    Errors: Refused(bad-name, base-mismatch), those of ZfsPort.receive."""
    place = _shipped(role, order.label, order.member)
    known = role.node.group.members.get(order.member)
    if place is None or known is None or order.name != render_rescue_snapshot(order.label):
        raise Refused("bad-name", f"{order.name[:80]!r} is no rescue of a member of this group.")
    origin = None
    if order.base_guid:
        origin = yield from _find_base(known, order.base_guid)
    parent = place.rpartition("/")[0]
    yield from ask(ZfsPort.create_placeholder, parent)
    # One that goes whole and was cut has left something; it begins anew.
    yield from ask(ZfsPort.abort_receive, place, order.to_guid)
    # For this stream alone: a node that serves lets nothing in.
    yield from ask(DatasetPort.allow_receive, parent)
    try:
        taken.append(fd)
        yield from ask(
            ZfsPort.receive, join_snapshot(place, order.name), fd=fd, to_guid=order.to_guid,
            from_guid=order.base_guid, raw=order.raw, origin=origin,
        )  # fmt: skip
    finally:
        yield from ask(DatasetPort.forbid_receive, parent)
    if order.to_guid not in (yield from settle_shipped(role, order.label)):
        raise Refused("unexpected-stream", f"The rescue did not arrive at {place}.")


def drop_rescue(role: GroupRole, rescue: RescueSeen) -> Engine[list[str]]:
    """Destroy what a person has named: the datasets of one label, deepest first, with the
    placeholders that held them. Returns their names. Errors: Passing(busy) before anything is
    touched, where something else stands on one; those of DatasetPort.drop_rescue."""
    root = own_root(role) if rescue.own else sent_root(role)
    found = yield from ask(DatasetPort.observe_tree, f"{root}/{rescue.label}")
    yield from _release_own(found)
    gone = []
    for dataset in sorted(found, key=lambda d: d.name, reverse=True):
        yield from ask(DatasetPort.drop_rescue, dataset.name, dataset.guid)
        gone.append(dataset.name)
    return gone


def _release_own(found: Iterable[TreeDataset]) -> Engine[None]:
    """The holds of what was on its way when the tail was set aside: nobody else ends them. That of
    the rescue itself goes with it. Errors: Passing(busy) where anything is not zr's own."""
    names = [dataset.name for dataset in found]
    if mounted := [dataset.name for dataset in found if dataset.mounted]:
        raise rescue_busy(mounted[0], "mounted")
    histories = yield from ask(DatasetPort.observe_histories, names)
    snapshots = [join_snapshot(d, s.name) for d, h in histories.items() for s in h.snapshots]
    left = dict[str, list[str]]()
    for snapshot, stands in (yield from ask(ZfsPort.observe_dependents, snapshots)).items():
        foreign = [tag for tag in stands.tags if tag != RESCUE_HOLD and parse_hold(tag) is None]
        if foreign or stands.clones:
            raise rescue_busy(snapshot, f"kept by {', '.join(sorted((*foreign, *stands.clones)))}")
        for tag in sorted(stands.tags - {RESCUE_HOLD}):
            left.setdefault(tag, []).append(snapshot)
    for tag, held in left.items():
        yield from ask(ZfsPort.release, held, tag)


def check_droppable(role: GroupRole, rescue: RescueSeen) -> None:
    """Refused(rescue-in-use) where a member has not come back to its place yet: then what was set
    aside is all there is of it. By the newest look."""
    seen = role.look.trees.seen if role.look is not None else {}
    back = all(role.place(part.member) in seen for part in rescue.parts)
    if rescue.own and (role.state not in LASTING or not back):
        raise Refused(
            "rescue-in-use",
            f"The group's datasets are not all back in their places ({role.state}).",
            "Drop it when `zr status` says that this node serves or follows.",
        )


def own_root(role: GroupRole) -> str:
    """Below it are the rescues of this node."""
    return f"{role.pool}/{RESCUE_PARENT}"


def sent_root(role: GroupRole) -> str:
    """Below it are those that the other node has sent."""
    return f"{role.pool}/{SHIPPED_PARENT}/{role.peer.short}"


def _find_base(dataset: str, guid: int) -> Engine[str]:
    history = yield from ask(ZfsPort.observe_history, dataset)
    base = history.snapshot(guid)
    if base is None:
        raise Refused("base-mismatch", f"{dataset} has no snapshot {guid} that a rescue starts on.")
    return join_snapshot(dataset, base.name)


def _shipped(role: GroupRole, label: str, member: str) -> str | None:
    return shipped_place(role.pool, role.peer.short, label, member)
