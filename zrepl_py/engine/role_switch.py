"""One step of a planned switchover, on either node. The commit point is here: HAND_OVER.

What is remembered in memory (final snapshots, that nothing was written since) is of one attempt and
one process: whoever is restarted before the commit point is a primary that has to be proved anew.
"""

from dataclasses import replace

from zrepl_py.core.gate import mountpoint_unknown, plan_mountpoints
from zrepl_py.core.lineage import recall
from zrepl_py.core.opening import GateStep
from zrepl_py.core.remember import hand_over
from zrepl_py.core.switchover import (
    SourceSight,
    SwitchStep,
    TargetSight,
    are_there,
    judge_target,
    plan_source,
    plan_target,
)
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_gate import load_keys
from zrepl_py.engine.role_node import RoleNode, keep
from zrepl_py.engine.role_observe import Look
from zrepl_py.engine.role_sight import observe_gate
from zrepl_py.engine.role_tick import take_role_tick
from zrepl_py.engine.role_tree import wants_mount
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
        _target_follows(look),
        _is_in_time(node, look),
    )
    return plan_source(sight)


def _target_follows(look: Look) -> bool | None:
    return judge_target(look.view.claim, look.view.verdict)


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


def perform_switch(node: RoleNode, look: Look, step: SwitchStep) -> Engine[tuple[str, ...]]:
    """Perform a step, and what comes after it without another look; their names. None where there
    is nothing to do but to wait for the other node."""
    done = list[str]()
    due: SwitchStep | None = step
    while due is not None and (yield from _perform_one(node, look, due)):
        done.append(str(due))
        due = _follow(node, look, due)
    return tuple(done)


def _follow(node: RoleNode, look: Look, step: SwitchStep) -> SwitchStep | None:
    """Final snapshots are sent at once. In the next look, by which everything is closed and all of
    them are there, the last thing is that nothing was written since: then it is handed over."""
    if step is SwitchStep.TAKE_FINALS:
        return SwitchStep.SEND_FINALS
    if step is not SwitchStep.PROVE_STILL or not node.still or node.finals is None:
        return None
    ready = are_there(node.finals, look.theirs_has()) and _target_follows(look)
    return SwitchStep.HAND_OVER if ready else None


def _perform_one(node: RoleNode, look: Look, step: SwitchStep) -> Engine[bool]:
    memory = node.memory
    match step:
        case SwitchStep.TAKE_FINALS:
            manifest = yield from take_role_tick(node, look.trees, whole=False)
            node.finals, node.still = dict(manifest.members), None
            node.finals_at = yield from ask(ClockPort.monotonic)
        case SwitchStep.PROVE_STILL:
            node.still = yield from _prove_still(node)
            if not node.still:
                node.finals = None
        case SwitchStep.SEND_FINALS:
            if node.sent is not None and node.sent == node.finals:
                node.sent = None  # once more, unless its next word says that they are there
                return False
            yield from ask(RoleLanesPort.send_all)
            node.sent = node.finals
        case SwitchStep.HAND_OVER:
            given = hand_over(memory, node.finals or {})
            yield from keep(node, given, False, look.now)
        case SwitchStep.NOTE_INTENT:
            # Before the primary begins to close: what could not be opened here is not taken over.
            yield from load_keys(node, look.trees)
            yield from _check_mountable(node, look)
            node.since = look.monotonic
            yield from keep(node, replace(memory, intent=asked(look)), node.proved, look.now)
        case SwitchStep.DROP_INTENT:
            node.since = None
            yield from keep(node, replace(memory, intent=None), node.proved, look.now)
        case _:
            return False
    return True


def _check_mountable(node: RoleNode, look: Look) -> Engine[None]:
    """What the primary would mount here has a place, and nothing is in it. Errors: mountpoint-…"""
    members = look.trees.placed(node)
    paths = plan_mountpoints(members)
    for member in members:
        if wants_mount(member, node.group) and not member.mounted and member.name not in paths:
            raise mountpoint_unknown(member.name)
    yield from ask(DatasetPort.check_mountable, paths)


def _prove_still(node: RoleNode) -> Engine[bool]:
    """A second later nothing was written to any member."""
    since = (yield from ask(ClockPort.monotonic)) - node.finals_at
    if since < STILL_SECONDS:
        yield from ask(ClockPort.sleep, STILL_SECONDS - since)
    finals, places = node.finals or {}, node.group.members
    if not finals.keys() <= places.keys():
        return False
    bases = {places[member]: guid for member, guid in finals.items()}
    written = yield from ask(DatasetPort.observe_written, bases)
    return all(value == 0 for value in written.values())
