"""One step of setting a tail aside; bringing a group to one tick; shipping what was set aside.

The next step follows from what is seen (core/rejoin.py). Nothing here destroys, rolls back or
forces; a step that is found done does nothing.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace

from zrepl_py.core.gate import CLOSED
from zrepl_py.core.opening import GateStep, plan_gate
from zrepl_py.core.rejoin import plan_rejoin, plan_shipping
from zrepl_py.core.role_words import ShipOrder
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_node import RoleNode, promised_bases
from zrepl_py.engine.role_sight import EPOCH_PROPERTY, head_epoch, observe_gate
from zrepl_py.engine.role_tree import Trees, observe_rescue
from zrepl_py.errors import Bug, Passing, Standing
from zrepl_py.model.names import Epoch, join_snapshot
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
    Seal,
    Settled,
    Step,
    TakeSnapshot,
    rescue_place,
)
from zrepl_py.model.roles import State
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.rolepeer import RolePeerPort
from zrepl_py.ports.zfs import ZfsPort

Outcome = Step | GateStep | Blocked | Settled
"""What was done: a step, or one of the gate that had to come first."""


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
    view = yield from observe_rescue(node, trees, bases, wanted, epoch)
    plan = plan_rejoin(replace(view, closed=True))
    if closing is not None and not isinstance(plan, Settled | Blocked):
        return closing
    return plan


def perform_rescue(node: RoleNode, step: Step) -> Engine[None]:
    """Perform one step."""
    match step:
        case TakeSnapshot(root, name):
            yield from ask(DatasetPort.snapshot_tree, root, name)
        case HoldSnapshot(dataset, snapshot):
            yield from ask(ZfsPort.hold, (join_snapshot(dataset, snapshot.name),), RESCUE_HOLD)
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
            yield from ask(ZfsPort.set_user_properties, name, {RESCUED_PROPERTY: label})
        case Seal(name, guid):
            yield from ask(DatasetPort.set_gate, name, guid, CLOSED)
        case LoadKey(name, guid):
            try:
                yield from ask(DatasetPort.load_key, name, guid)
            except Standing as error:
                if error.reason != "key-missing":
                    raise
                node.keyless.add(name)  # following needs no key, and a person can load it later
        case _:
            raise Bug("role-step", f"{step} is not performed here.")


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
    bases = {m: guid for m, guid in promised_bases(node).items() if m in todo}
    before = node.memory.lineage[-2].epoch if bases else None
    plan = yield from plan_aside(node, trees, bases, bases.keys(), before)
    node.blocked = plan if isinstance(plan, Blocked) else None
    if isinstance(plan, Settled):
        for name in todo.values():
            if name in trees.seen:
                yield from ask(ZfsPort.set_user_properties, name, {EPOCH_PROPERTY: str(epoch)})
    elif isinstance(plan, Blocked):
        raise Standing(plan.reason, plan.sentence, plan.way_out)
    elif not isinstance(plan, GateStep):
        yield from perform_rescue(node, plan)
    return plan


def ship_rescues(node: RoleNode, trees: Trees) -> Engine[bool]:
    """Send one rescue that the other node has not got yet; False: none is left, or it is silent."""
    members = {rescue_place(n, label): (m, label)
               for label in trees.labels for m, n in node.group.members.items()}  # fmt: skip
    with suppress(Passing):
        for label in trees.labels:
            node.shipped |= yield from ask(RolePeerPort.observe_shipped, label)
        view = yield from observe_rescue(node, trees, {}, (), None)
        for shipment in plan_shipping(view, frozenset(node.shipped)):
            if shipment.dataset not in members:
                continue
            member, label = members[shipment.dataset]
            encrypted = trees.seen[shipment.dataset].dataset.encryption_root is not None
            base = _guid_of(trees, shipment.origin)
            order = ShipOrder(
                label, member, shipment.snapshot.name, shipment.snapshot.guid, base, encrypted
            )
            snapshot = join_snapshot(shipment.dataset, shipment.snapshot.name)
            yield from ask(
                RolePeerPort.ship_rescue, snapshot, shipment.origin if base else None, order
            )
            node.shipped.add(shipment.snapshot.guid)
            return True
    return False


def _guid_of(trees: Trees, snapshot: str | None) -> int:
    dataset, _, name = (snapshot or "").partition("@")
    found = (s.guid for s in trees.history(dataset).snapshots if s.name == name)
    return next(found, 0)
