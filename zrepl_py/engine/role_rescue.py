"""One step of setting a tail aside; bringing a group to one tick; shipping what was set aside.

The next step follows from what is seen (core/rejoin.py). Nothing here destroys, rolls back or
forces; a step that is found done does nothing.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from zrepl_py.core.gate import CLOSED
from zrepl_py.core.opening import GateStep, plan_gate
from zrepl_py.core.rejoin import is_whole, list_together, plan_rejoin, plan_shipping
from zrepl_py.core.role_words import ShipOrder
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_node import RoleNode
from zrepl_py.engine.role_sight import head_epoch, observe_gate
from zrepl_py.engine.role_tree import NO_EPOCH, Trees, aligned_bases, observe_rescue, view_rescue
from zrepl_py.errors import Bug, Passing, Standing
from zrepl_py.model.names import Epoch, join_snapshot
from zrepl_py.model.properties import EPOCH_PROPERTY
from zrepl_py.model.rescue import (
    RESCUE_HOLD,
    RESCUED_PROPERTY,
    Blocked,
    CloneBack,
    GiveProperties,
    HoldSnapshot,
    LoadKey,
    MakeParent,
    MoveAside,
    PromoteClone,
    RescueView,
    Seal,
    Settled,
    Step,
    TakeSnapshot,
    render_step,
    rescue_place,
)
from zrepl_py.model.roles import State
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.host import HostPort
from zrepl_py.ports.rolepeer import RolePeerPort
from zrepl_py.ports.zfs import ZfsPort

Steps = tuple[Step, ...]
"""Of one kind, each about a dataset of its own; never empty."""
Outcome = Steps | GateStep | Blocked | Settled
"""What is due: steps, or one of the gate that has to come first."""


@dataclass(frozen=True, slots=True)
class Shipping:
    """One dataset of a rescue that is to be sent."""

    snapshot: str
    """`dataset@name` of this node."""
    base: str | None
    """What it is an increment on; None: it goes whole."""
    order: ShipOrder


def plan_aside(
    node: RoleNode,
    trees: Trees,
    bases: Mapping[str, int | None],
    wanted: Collection[str],
    epoch: Epoch | None,
) -> Engine[Outcome]:
    """The next step that sets a tail aside; first of all everything must be proven closed."""
    gate = yield from observe_gate(node, trees, State.RESCUING)
    closing = plan_gate(State.RESCUING, gate)
    view = view_rescue(node, trees, bases, wanted, epoch)
    if is_whole(view):
        view = yield from observe_rescue(node, trees, bases, wanted, epoch)
    plan = plan_rejoin(replace(view, closed=True))
    if isinstance(plan, Settled | Blocked):
        return plan
    return closing or list_together(view, plan)


def perform_rescue(node: RoleNode, steps: Steps) -> Engine[None]:
    """Perform steps of one kind."""
    if isinstance(steps[0], HoldSnapshot):
        holds = [s for s in steps if isinstance(s, HoldSnapshot)]
        names = [join_snapshot(s.dataset, s.snapshot.name) for s in holds]
        yield from ask(ZfsPort.hold, names, RESCUE_HOLD)
    elif isinstance(steps[0], Seal):
        sealed = {s.name: s.guid for s in steps if isinstance(s, Seal)}
        yield from ask(DatasetPort.set_gate, sealed, CLOSED)
    else:
        for step in steps:
            yield from _perform_one(node, step)


def _perform_one(node: RoleNode, step: Step) -> Engine[None]:
    match step:
        case TakeSnapshot(root, name):
            yield from _replay_logs(root)
            yield from ask(DatasetPort.snapshot_tree, root, name)
        case MakeParent(name):
            yield from ask(ZfsPort.create_placeholder, name)
        case MoveAside(name, guid, new):
            yield from ask(DatasetPort.rename, name, guid, new)
        case CloneBack(source, base, name):
            yield from ask(DatasetPort.clone, join_snapshot(source, base.name), base.guid, name)
        case PromoteClone(name, guid):
            yield from ask(DatasetPort.promote, name, guid)
        case GiveProperties(source, name, guid, label):
            yield from ask(DatasetPort.copy_properties, source, name, guid)
            yield from ask(ZfsPort.set_user_properties, (name,), {RESCUED_PROPERTY: label})
        case LoadKey(name, guid):
            if not (yield from _load_key(name, guid)):
                node.keyless.add(name)  # following needs no key, and a person can load it later
        case _:
            raise Bug("role-step", f"{step} is not performed here.")


def _replay_logs(root: str) -> Engine[None]:
    """After a loss of power the last that fsync had promised is in no snapshot of a file system
    that was not mounted since. Without its key the log stays where it is: in the rescue's dataset,
    which takes it up when a person loads the key and mounts it."""
    seen = yield from ask(DatasetPort.observe_trees, [root])
    for dataset in seen:  # parents come before children
        if dataset.encryption_root == dataset.name and not dataset.key_loaded:
            yield from _load_key(dataset.name, dataset.guid)
    yield from ask(HostPort.replay_logs, [dataset.name for dataset in seen])


def _load_key(name: str, guid: int) -> Engine[bool]:
    """False: it is not on this node."""
    try:
        yield from ask(DatasetPort.load_key, name, guid)
    except Standing as error:
        if error.reason != "key-missing":
            raise
        return False
    return True


def align(node: RoleNode, trees: Trees) -> Engine[Outcome]:
    """One step towards this: every member stands at the tick that the epoch goes on from. Which of
    them does, is written on it (`zr:epoch`): what is written there afterwards is the epoch's.
    Returns what was done; a step of the gate has to be performed by the caller: it must be closed
    first. Errors: Standing(rescue-…) where a person must look first (core/rejoin_check.py)."""
    epoch = head_epoch(node)
    todo = {
        member: name
        for member, name in node.group.members.items()
        if name not in trees.seen
        or trees.seen[name].dataset.local.get(EPOCH_PROPERTY) != str(epoch)
    }
    bases = {m: guid for m, guid in aligned_bases(node, trees).items() if m in todo}
    before = node.memory.lineage[-2].epoch if bases else None
    plan = yield from plan_aside(node, trees, bases, bases.keys(), before)
    node.blocked = plan if isinstance(plan, Blocked) else None
    if isinstance(plan, Settled):
        here = [name for name in todo.values() if name in trees.seen]
        yield from ask(ZfsPort.set_user_properties, here, {EPOCH_PROPERTY: str(epoch)})
    elif isinstance(plan, Blocked):
        raise Standing(plan.reason, plan.sentence, plan.way_out)
    elif not isinstance(plan, GateStep):
        yield from perform_rescue(node, plan)
    return plan


def render_outcome(outcome: Outcome) -> str:
    """`MoveAside tank/audio`, `MoveAside tank/audio and 2 more`; for people."""
    if isinstance(outcome, GateStep):
        return str(outcome)
    if isinstance(outcome, Blocked | Settled):
        return render_step(outcome)
    more = f" and {len(outcome) - 1} more" if len(outcome) > 1 else ""
    return render_step(outcome[0]) + more


def ship_rescues(node: RoleNode, trees: Trees, seconds: float) -> Engine[int]:
    """Send rescues that the other node has not got yet, as long as `seconds` are not over; how
    many. 0: none is left, or it is silent."""
    sent, began = 0, (yield from ask(ClockPort.monotonic))
    with suppress(Passing):
        while (due := (yield from find_shipment(node, trees))) is not None:
            yield from ship_rescue(node, due)
            sent += 1
            if (yield from ask(ClockPort.monotonic)) - began > seconds:
                break
    return sent


def find_shipment(node: RoleNode, trees: Trees) -> Engine[Shipping | None]:
    """What is to be sent next; None: the other node has all of it. It is asked only where that is
    not known here. Errors: those of RolePeerPort.observe_shipped."""
    labels = set[str]()
    for shipping in list_unshipped(node, trees):
        if shipping.order.label not in labels:
            labels.add(shipping.order.label)
            node.shipped |= yield from ask(RolePeerPort.observe_shipped, shipping.order.label)
        if shipping.order.to_guid not in node.shipped:
            return shipping
    return None


def list_unshipped(node: RoleNode, trees: Trees) -> list[Shipping]:
    """All of this node's rescues of which it does not know that the other one has them."""
    members = {rescue_place(n, label): (m, label)
               for label in trees.labels for m, n in node.group.members.items()}  # fmt: skip
    view = RescueView(NO_EPOCH, (), trees.seen, True, "")
    found = []
    for due in plan_shipping(view, frozenset(node.shipped)):
        if due.dataset not in members:
            continue
        member, label = members[due.dataset]
        encrypted = trees.seen[due.dataset].dataset.encryption_root is not None
        base = _guid_of(trees, due.origin)
        order = ShipOrder(label, member, due.snapshot.name, due.snapshot.guid, base, encrypted)
        snapshot = join_snapshot(due.dataset, due.snapshot.name)
        found.append(Shipping(snapshot, due.origin if base else None, order))
    return found


def ship_rescue(node: RoleNode, due: Shipping) -> Engine[None]:
    """Send it. Errors: those of RolePeerPort.ship_rescue."""
    yield from ask(RolePeerPort.ship_rescue, due.snapshot, due.base, due.order)
    node.shipped.add(due.order.to_guid)


def _guid_of(trees: Trees, snapshot: str | None) -> int:
    dataset, _, name = (snapshot or "").partition("@")
    found = (s.guid for s in trees.history(dataset).snapshots if s.name == name)
    return next(found, 0)
