"""One step of a planned switchover, on either node. The commit point is here: HAND_OVER.

What is remembered in memory (final snapshots, that nothing was written since) is of one attempt and
one process: whoever is restarted before the commit point is a primary that has to be proved anew.
"""

from dataclasses import replace

from zrepl_py.core.lineage import recall
from zrepl_py.core.opening import GateStep
from zrepl_py.core.remember import hand_over
from zrepl_py.core.switchover import (
    SourceSight,
    SwitchStep,
    TargetSight,
    plan_source,
    plan_target,
)
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_node import RoleNode, keep
from zrepl_py.engine.role_observe import Look
from zrepl_py.engine.role_sight import observe_gate
from zrepl_py.engine.role_tick import take_role_tick
from zrepl_py.model.lineage import Intent
from zrepl_py.model.roles import Fit, Record, State
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.rolelanes import RoleLanesPort

STILL_SECONDS = 1.0
"""Between the final snapshots and the second look."""


def observe_source(node: RoleNode, look: Look) -> Engine[SwitchStep | GateStep]:
    """What the node that is DRAINING does next."""
    gate = yield from observe_gate(node, look.trees, State.DRAINING)
    theirs = look.theirs
    sight = SourceSight(
        node.memory.intent,
        recall(node.memory) is Record.HANDED_OVER,
        theirs.intent if theirs is not None else None,
        gate,
        node.finals,
        node.still,
        look.theirs_has(),
        _is_in_time(node, look),
    )
    return plan_source(sight)


def decide_target(node: RoleNode, look: Look) -> SwitchStep:
    """What the node does that follows."""
    noted = node.memory.intent is not None
    if not noted:
        node.since = None
    sight = TargetSight(
        node.memory.intent,
        asked(look),
        look.view.claim,
        look.view.fit in (Fit.FRESH, Fit.LAGGING),
        not noted or _is_in_time(node, look),
    )
    return plan_target(sight)


def asked(look: Look) -> Intent | None:
    """The switchover that the other node asks for now: only while it is DRAINING."""
    theirs = look.theirs
    draining = theirs is not None and theirs.said.state is State.DRAINING
    return theirs.intent if theirs is not None and draining else None


def _is_in_time(node: RoleNode, look: Look) -> bool:
    if node.since is None:
        node.since = look.monotonic
    return look.monotonic - node.since <= node.group.switch_seconds


def perform_switch(node: RoleNode, look: Look, step: SwitchStep) -> Engine[bool]:
    """Perform one step; False where there is nothing to do but to wait for the other node."""
    memory = node.memory
    match step:
        case SwitchStep.TAKE_FINALS:
            manifest = yield from take_role_tick(node, look.trees, whole=False)
            node.finals, node.still = dict(manifest.members), None
        case SwitchStep.PROVE_STILL:
            node.still = yield from _prove_still(node)
            if not node.still:
                node.finals = None
        case SwitchStep.SEND_FINALS:
            yield from ask(RoleLanesPort.send_all)
        case SwitchStep.HAND_OVER:
            given = hand_over(memory, node.finals or {})
            yield from keep(node, given, False, look.now)
        case SwitchStep.NOTE_INTENT:
            node.since = look.monotonic
            yield from keep(node, replace(memory, intent=asked(look)), node.proved, look.now)
        case SwitchStep.DROP_INTENT:
            node.since = None
            yield from keep(node, replace(memory, intent=None), node.proved, look.now)
        case _:
            return False
    return True


def _prove_still(node: RoleNode) -> Engine[bool]:
    """A second later nothing was written to any member."""
    yield from ask(ClockPort.sleep, STILL_SECONDS)
    for member, guid in (node.finals or {}).items():
        name = node.group.members.get(member)
        if name is None or (yield from ask(DatasetPort.observe_written, name, guid)) != 0:
            return False
    return True
