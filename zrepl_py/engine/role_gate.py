"""One step of the gate: towards open, or towards closed. Performed; never believed.

Whether it is done, the next look says (role_sight.py). Every step may be made again. Errors are
those of the ports: the turn ends with them, and the next one begins with a look.
"""

from zrepl_py.core.gate import CLOSED, OPEN
from zrepl_py.core.opening import TAKING, GateStep
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_node import RoleNode
from zrepl_py.engine.role_rescue import align, render_outcome
from zrepl_py.engine.role_sight import has_right, head_epoch, list_receivable, render_marker
from zrepl_py.engine.role_tick import take_role_tick
from zrepl_py.engine.role_tree import Trees, wants_mount
from zrepl_py.errors import Bug
from zrepl_py.model.host import AddressState, ServiceState
from zrepl_py.model.tree import TreeDataset
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.host import HostPort
from zrepl_py.ports.rolelanes import RoleLanesPort
from zrepl_py.ports.zfs import ZfsPort

_OPENING = frozenset(step for step, _ in TAKING)


def perform_gate(node: RoleNode, trees: Trees, step: GateStep) -> Engine[str]:
    """Perform one step; what it was, for people."""
    if step in _OPENING:
        node.writable = None  # until the next look
    match step:
        case GateStep.FORBID_RECEIVE:
            for parent in node.group.receive_below:
                if (yield from has_right(parent)):
                    yield from ask(DatasetPort.forbid_receive, parent)
        case GateStep.ALLOW_RECEIVE:
            awaited = set(node.group.members.values()) - trees.seen.keys()
            for parent in list_receivable(node, trees):
                if parent in awaited:  # it is made by its first stream, below what is there
                    yield from ask(ZfsPort.create_placeholder, parent.rpartition("/")[0])
                yield from ask(DatasetPort.allow_receive, parent)
        case GateStep.END_RECEIVES:
            yield from ask(RoleLanesPort.end_receives)
        case GateStep.ALIGN:
            done = yield from align(node, trees)
            if isinstance(done, GateStep):
                yield from perform_gate(node, trees, done)
            return f"{step}: {render_outcome(done)}"
        case GateStep.TAKE_EPOCH_SNAPSHOT:
            yield from take_role_tick(node, trees, whole=True)
        case GateStep.START_SERVICES | GateStep.STOP_SERVICES:
            yield from _move_services(node, step is GateStep.START_SERVICES)
        case GateStep.ADD_ADDRESS:
            seen = yield from ask(HostPort.add_address, node.group.hosting)
            if seen.state is AddressState.HERE:
                yield from ask(HostPort.announce_address, node.group.hosting)
        case GateStep.REMOVE_ADDRESS:
            yield from ask(HostPort.remove_address, node.group.hosting)
        case GateStep.END_HOLDERS | GateStep.UNMOUNT | GateStep.PROVE_CLOSED:
            yield from _release(node, trees)
        case GateStep.MAKE_READONLY:
            yield from _set_gate(trees.closable(node), CLOSED, readonly=True)
        case GateStep.MAKE_WRITABLE:
            yield from _set_gate(trees.placed(node), OPEN, readonly=False)
        case GateStep.LOAD_KEYS:
            yield from load_keys(node, trees)
        case GateStep.GIVE_PROPERTIES:
            every = {d.name: d.guid for d in trees.placed(node)}
            yield from ask(DatasetPort.restore_properties, every)
        case GateStep.MOUNT:
            yield from ask(DatasetPort.mount, _mounting(node, trees))
        case GateStep.WRITE_MARKERS:
            names = list(_mounting(node, trees))
            yield from ask(HostPort.write_markers, names, render_marker(head_epoch(node)))
        case _:
            raise Bug("role-step", f"{step} is no step of the gate.")
    return str(step)


def load_keys(node: RoleNode, trees: Trees) -> Engine[None]:
    """Of every member here that is encrypted. Errors: Standing(key-missing)."""
    for dataset in trees.placed(node):  # parents come before children
        if dataset.encryption_root is not None and not dataset.key_loaded:
            yield from ask(DatasetPort.load_key, dataset.name, dataset.guid)


def _mounting(node: RoleNode, trees: Trees) -> dict[str, int]:
    """Which members are mounted here, and their guids."""
    return {d.name: d.guid for d in trees.placed(node) if wants_mount(d, node.group)}


def _move_services(node: RoleNode, start: bool) -> Engine[None]:
    """In their order; stopping in the opposite one. One that fails keeps no other from its turn."""
    group, services = node.group.hosting, node.group.services
    for service in services if start else reversed(services):
        if not start:
            yield from ask(HostPort.stop_service, group, service)
            continue
        state = yield from ask(HostPort.observe_service, group, service)
        if state is not ServiceState.RUNNING:
            yield from ask(HostPort.start_service, group, service)


def _release(node: RoleNode, trees: Trees) -> Engine[None]:
    """Whoever holds a dataset ends; then it is unmounted everywhere."""
    names = [d.name for d in trees.closable(node)]
    holders = yield from ask(HostPort.observe_holders, names)
    if holders:
        processes = tuple(dict.fromkeys(holder.process for holder in holders))
        yield from ask(HostPort.end_holders, names, processes, node.group.patience_seconds)
    yield from ask(HostPort.unmount_everywhere, names)


def _set_gate(datasets: list[TreeDataset], gate: dict[str, str], *, readonly: bool) -> Engine[None]:
    """A dataset with canmount=off holds others, and stays so."""
    holding = {d.name: d.guid for d in datasets if d.canmount == "off"}
    others = {d.name: d.guid for d in datasets if d.canmount != "off"}
    without = {word: value for word, value in gate.items() if word != "canmount"}
    for guids, values in ((others, gate), (holding, without)):
        if guids:
            yield from ask(DatasetPort.set_gate, guids, values)
    yield from ask(HostPort.apply_readonly, [d.name for d in datasets], readonly)
