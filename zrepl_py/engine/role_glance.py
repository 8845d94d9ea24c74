"""Is everything still as it was when there was nothing to do? The turn of a quiet group, cheap.

Whether snapshots were written to since, and the sights of the gate that stay as they are while
nothing touches the datasets, are not looked at: only what shows whether something did. Where
anything is different, or is not known, a whole look decides. So nothing that is remembered here
gives a right: its one answer is that the node does nothing but what it does already.
"""

from collections.abc import Mapping
from dataclasses import replace

from zrepl_py.core.opening import SERVING, find_missing
from zrepl_py.core.roles import RIGHTS, decide
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_node import Rest, RoleNode
from zrepl_py.engine.role_observe import Look, is_measured, observe_site
from zrepl_py.engine.role_sight import observe_steps
from zrepl_py.engine.role_switch import asked
from zrepl_py.engine.role_tree import Trees
from zrepl_py.model.roles import Gate, Order, State, Stay
from zrepl_py.model.tree import TreeDataset
from zrepl_py.ports.clock import ClockPort

WHOLE_SECONDS = 60.0
"""So often everything is looked at, also where nothing seems to happen."""
RESTING = frozenset(State) - {
    State.DRAINING, State.PROMOTING, State.FENCED, State.RESCUING, State.FAULTED,
}  # fmt: skip
"""States in which there can be nothing to do for long."""


def note_rest(node: RoleNode, look: Look) -> Rest | None:
    """After a whole look by which nothing was to be done."""
    if node.state not in RESTING or not _is_shut(node):
        return None
    return Rest(node.state, node.memory, _outline(look.trees), look.monotonic)


def glance(node: RoleNode) -> Engine[tuple[Look | None, bool]]:
    """What was seen, and whether there is nothing to do. Errors: as those of observe_site."""
    rest, since = node.rest, (yield from ask(ClockPort.monotonic))
    if rest is None or since - rest.at > WHOLE_SECONDS or not _is_as_before(node, rest):
        return None, False
    look = yield from observe_site(node, glance=True)
    if not _is_as_before(node, rest) or not _is_quiet(node, look, rest):
        return look, False
    if RIGHTS[node.state].gate is Gate.OPEN:
        seen = yield from observe_steps(node, look.trees, SERVING)
        return look, find_missing(SERVING, seen) is None
    return look, True


def _is_as_before(node: RoleNode, rest: Rest) -> bool:
    same = (node.state, node.memory) == (rest.state, rest.memory)
    return same and node.order is Order.NONE and node.memory.intent is None


def _is_quiet(node: RoleNode, look: Look, rest: Rest) -> bool:
    known = look.theirs is None or is_measured(look.words, look.common)
    return (
        (look.leads or known)
        and _is_shut(node)
        and asked(look) is None
        and _outline(look.trees) == rest.datasets
        and isinstance(decide(look.view), Stay)
    )


def _is_shut(node: RoleNode) -> bool:
    """Or need not be."""
    return RIGHTS[node.state].gate is not Gate.CLOSED or node.writable is False


def _outline(trees: Trees) -> Mapping[str, TreeDataset]:
    """All of the datasets but what every write and every snapshot changes."""
    seen = (sight.dataset for sight in trees.seen.values())
    return {d.name: replace(d, written_bytes=None, changed_at=None) for d in seen}
