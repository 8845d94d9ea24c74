"""A tick that a change of roles takes: the first of an epoch, and the last before a handover.

Its manifest calls the members by their names in the group, and is journalled, as every tick's is.
"""

from zrepl_py.core.diff import newest_own
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_node import RoleNode
from zrepl_py.engine.role_tree import Trees
from zrepl_py.engine.tick import take_tick
from zrepl_py.errors import Bug
from zrepl_py.model.names import TickName, parse_tick
from zrepl_py.model.policy import Limits
from zrepl_py.model.site import Manifest
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.rolelanes import RoleLanesPort

ANY_SPACE = Limits(min_free_percent=0)
"""A change of roles does not fail because a pool is nearly full."""


def take_role_tick(node: RoleNode, trees: Trees, *, whole: bool) -> Engine[Manifest]:
    """Under the node's newest epoch. `whole`: of every member, also where nothing was written."""
    head = node.memory.head
    if head is None:
        raise Bug("role-step", "There is no epoch to take a tick in.")
    called = {name: member for member, name in node.group.members.items()}
    last = {
        d.name: None if whole else newest_own(trees.history(d.name)) for d in trees.placed(node)
    }
    at = int((yield from ask(ClockPort.now)))
    name = TickName(head.epoch, next_seq(node, trees), at)
    done = yield from take_tick(node.group.name, node.group.pool, last, name, ANY_SPACE, called)
    node.note_manifest(done.manifest)
    yield from ask(RoleLanesPort.note_tick, done.taken)
    return done.manifest


def next_seq(node: RoleNode, trees: Trees) -> int:
    """Above every tick of the group that this node knows."""
    known = [manifest.seq for manifest in node.manifests]
    for dataset in trees.placed(node):
        known += [
            tick.seq for s in trees.history(dataset.name).snapshots if (tick := parse_tick(s.name))
        ]
    return max(known, default=0) + 1
