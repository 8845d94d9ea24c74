"""What of the gate is seen here? For each step of core/opening.py, the sight that proves it.

Looks in the order of the steps that the state wants, and no further than the first thing that is
missing: so the steady state costs one round, and a step that is due is found without looking at
what comes after it. Nothing is believed that was not read back in this very look.
"""

from collections.abc import Callable

from zrepl_py.core.gate import plan_restored
from zrepl_py.core.opening import GateSight, Steps, wanted_steps
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_node import RoleNode
from zrepl_py.engine.role_observe import observe_volumes, observe_writable
from zrepl_py.engine.role_tree import Trees, aligned_bases, is_volume, wants_mount
from zrepl_py.errors import Standing
from zrepl_py.model.host import AddressState, MountSeen, ServiceState
from zrepl_py.model.names import Epoch, parse_tick
from zrepl_py.model.properties import EPOCH_PROPERTY
from zrepl_py.model.roles import State
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.host import HostPort
from zrepl_py.ports.rolelanes import RoleLanesPort

SHUT = ("noauto", "off")


def observe_gate(node: RoleNode, trees: Trees, state: State) -> Engine[GateSight]:
    """The sights of the steps that `state` wants, up to the first that is not True."""
    return (yield from observe_steps(node, trees, wanted_steps(state)))


def observe_steps(node: RoleNode, trees: Trees, steps: Steps) -> Engine[GateSight]:
    """The same of any steps."""
    found: dict[str, bool] = {}
    for _, sight in steps:
        found[sight] = yield from _SIGHTS[sight](node, trees)
        if not found[sight]:
            break
    return GateSight(**found)


def head_epoch(node: RoleNode) -> Epoch | None:
    """The newest epoch that this node believes."""
    return node.memory.head.epoch if node.memory.head else None


def render_marker(epoch: Epoch | None) -> str:
    """What `.zr/epoch` says."""
    return f"{epoch}\n"


def has_right(parent: str) -> Engine[bool]:
    """Whether the receiving user may receive below a dataset; not where there is none, as while a
    rescue has moved it aside and not brought it back."""
    try:
        return (yield from ask(DatasetPort.observe_receive_right, parent))
    except Standing as error:
        if error.reason != "dataset-missing":
            raise
        return False


def list_receivable(node: RoleNode, trees: Trees) -> list[str]:
    """Below which the right is wanted where this node follows. Not for a member that is not here
    yet, and would be made by its first stream directly below the pool: a pool's own dataset never
    gets the right, so a person has to let it in."""
    members = set(node.group.members.values())
    return [
        place
        for place in node.group.receive_below
        if place in trees.seen or place not in members or place.count("/") > 1
    ]


def _receive_forbidden(node: RoleNode, trees: Trees) -> Engine[bool]:
    for parent in node.group.receive_below:
        if (yield from has_right(parent)):
            return False
    return True


def _receive_allowed(node: RoleNode, trees: Trees) -> Engine[bool]:
    for parent in list_receivable(node, trees):
        if not (yield from has_right(parent)):
            return False
    return True


def _no_receive_runs(node: RoleNode, trees: Trees) -> Engine[bool]:
    return not (yield from ask(RoleLanesPort.observe_receives))


def _aligned(node: RoleNode, trees: Trees) -> Engine[bool]:
    yield from ()
    epoch = str(head_epoch(node))
    members = trees.placed(node)
    here = {d.name for d in members}
    whole = all(node.group.members[member] in here for member in aligned_bases(node, trees))
    return whole and all(d.local.get(EPOCH_PROPERTY) == epoch for d in members)


def _keys_loaded(node: RoleNode, trees: Trees) -> Engine[bool]:
    yield from ()
    return all(d.encryption_root is None or d.key_loaded for d in trees.placed(node))


def _properties_given(node: RoleNode, trees: Trees) -> Engine[bool]:
    yield from ()
    return all(
        plan_restored(d.local).items() <= d.local.items() for d in trees.placed(node)
    )  # fmt: skip


def _writable(node: RoleNode, trees: Trees) -> Engine[bool]:
    members = trees.placed(node)
    if any(d.readonly or not _is_shut(d.canmount, is_volume(d)) for d in members):
        return False
    mounts = yield from _observe_own_mounts([d.name for d in members])
    volumes = yield from observe_volumes(members)
    return not any(m.readonly for m in mounts) and not any(v.readonly for v in volumes)


def _is_shut(canmount: str, volume: bool) -> bool:
    """The system's start does not mount it: its primary does."""
    return volume or canmount in SHUT


def _mounted(node: RoleNode, trees: Trees) -> Engine[bool]:
    wanted = {d.name for d in trees.placed(node) if wants_mount(d, node.group)}
    mounts = yield from _observe_own_mounts(sorted(wanted))
    return wanted <= {m.dataset for m in mounts}


def _observe_own_mounts(names: list[str]) -> Engine[list[MountSeen]]:
    mounts = yield from ask(HostPort.observe_mounts, names)
    return [m for m in mounts if m.own and m.root == "/"]


def _marked(node: RoleNode, trees: Trees) -> Engine[bool]:
    wanted = render_marker(head_epoch(node))
    names = [d.name for d in trees.placed(node) if wants_mount(d, node.group)]
    said = yield from ask(HostPort.read_markers, names)
    return all(said.get(name) == wanted for name in names)


def _epoch_snapshot(node: RoleNode, trees: Trees) -> Engine[bool]:
    yield from ()
    epoch = head_epoch(node)
    return all(
        any((tick := parse_tick(s.name)) is not None and tick.epoch == epoch
            for s in reversed(trees.history(d.name).snapshots))
        for d in trees.placed(node)
    )  # fmt: skip


def _services_run(node: RoleNode, trees: Trees) -> Engine[bool]:
    for service in node.group.services:
        state = yield from ask(HostPort.observe_service, node.group.hosting, service)
        if state is not ServiceState.RUNNING:
            return False
    return True


def _services_stopped(node: RoleNode, trees: Trees) -> Engine[bool]:
    for service in node.group.services:
        state = yield from ask(HostPort.observe_service, node.group.hosting, service)
        if state not in (ServiceState.STOPPED, ServiceState.FAILED):
            return False
    return True


def _address_here(node: RoleNode, trees: Trees) -> Engine[bool]:
    if not node.group.address:
        return True
    seen = yield from ask(HostPort.observe_address, node.group.hosting)
    return seen.state is AddressState.HERE


def _address_absent(node: RoleNode, trees: Trees) -> Engine[bool]:
    if not node.group.address:
        return True
    seen = yield from ask(HostPort.observe_address, node.group.hosting)
    return seen.state is AddressState.ABSENT


def _no_holders(node: RoleNode, trees: Trees) -> Engine[bool]:
    names = [d.name for d in trees.closable(node)]
    return not (yield from ask(HostPort.observe_holders, names))


def _unmounted(node: RoleNode, trees: Trees) -> Engine[bool]:
    datasets = trees.closable(node)
    mounts = yield from ask(HostPort.observe_mounts, [d.name for d in datasets])
    return not mounts and not any(d.mounted for d in datasets)


def _readonly(node: RoleNode, trees: Trees) -> Engine[bool]:
    datasets = trees.closable(node)
    if any(not d.readonly or not _is_shut(d.canmount, is_volume(d)) for d in datasets):
        return False
    volumes = yield from observe_volumes(datasets)
    return all(v.readonly for v in volumes)


def _nothing_in_use(node: RoleNode, trees: Trees) -> Engine[bool]:
    if (yield from observe_writable(node, trees)):
        return False
    names = [d.name for d in trees.closable(node)]
    return not (yield from ask(HostPort.observe_holders, names))


_SIGHTS: dict[str, Callable[[RoleNode, Trees], Engine[bool]]] = {
    "receive_forbidden": _receive_forbidden,
    "receive_allowed": _receive_allowed,
    "no_receive_runs": _no_receive_runs,
    "aligned": _aligned,
    "keys_loaded": _keys_loaded,
    "properties_given": _properties_given,
    "writable": _writable,
    "mounted": _mounted,
    "marked": _marked,
    "epoch_snapshot": _epoch_snapshot,
    "services_run": _services_run,
    "services_stopped": _services_stopped,
    "address_here": _address_here,
    "address_absent": _address_absent,
    "no_holders": _no_holders,
    "unmounted": _unmounted,
    "readonly": _readonly,
    "nothing_in_use": _nothing_in_use,
}
