"""One turn of a node's role: look, decide, and make one change; or one step of what the state does.

Invariants: what the table wants written is durable before the new state counts; a step is performed
only in the state whose look planned it; whoever begins to close is not proved any more, durably.
A turn that was cut anywhere is simply lost: the next one looks again.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from zrepl_py.core.opening import CLOSING, GateStep, is_closed, is_taken, plan_gate
from zrepl_py.core.promotion import STATEMENT_REFUSALS, render_moment
from zrepl_py.core.remember import Circumstances, remember
from zrepl_py.core.role_words import Heartbeat, bound_heartbeat
from zrepl_py.core.roles import TABLE, decide
from zrepl_py.core.switchover import SwitchStep
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_gate import perform_gate
from zrepl_py.engine.role_node import RoleNode, keep
from zrepl_py.engine.role_observe import Look, observe_site
from zrepl_py.engine.role_rescue import Outcome, perform_rescue, plan_aside, ship_rescues
from zrepl_py.engine.role_sight import observe_gate
from zrepl_py.engine.role_switch import decide_target, observe_source, perform_switch
from zrepl_py.errors import Passing
from zrepl_py.model.rescue import Blocked, Settled, render_step
from zrepl_py.model.roles import (
    Advance,
    Claim,
    Fit,
    Order,
    Progress,
    Refusal,
    Refuse,
    State,
    Write,
)
from zrepl_py.ports.rolepeer import RolePeerPort

SERVING = (State.PRIMARY, State.PRIMARY_ALONE)
FOLLOWING = (State.STANDBY, State.CATCHING_UP)
CLOSING_STEPS = frozenset(step for step, _ in CLOSING)
ORDERED = frozenset(row.name for row in TABLE if "order" in row.when) - {"automatic"} | {"rejoin"}
"""Rows that carry out what a person has ordered."""

Plan = SwitchStep | GateStep | Outcome | None


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn did."""

    what: str
    """The row of the table, or the step; `rest` where nothing was to be done."""
    moved: bool
    """Something was changed: the next turn should follow at once."""
    look: Look
    refusal: Refusal | None = None
    """A person's order is answered with this, and is over."""


def take_turn(node: RoleNode) -> Engine[Turn]:
    """One turn. Errors: those of the ports; nothing follows from a turn that failed."""
    look = yield from observe_site(node)
    plan, progress = yield from _observe_procedure(node, look)
    if (stale := _judge_bound(node, look)) is not None:
        node.give(Order.NONE)
        return Turn(stale.reason, False, look, stale)
    view = replace(look.view, progress=progress)
    outcome = decide(view)
    if isinstance(outcome, Advance):
        yield from _enter(node, look, outcome)
        return Turn(outcome.row, True, look)
    if isinstance(outcome, Refuse):
        node.give(Order.NONE)
        return Turn(outcome.row, False, look, outcome.refusal)
    # A renewal of the record; nothing where it is young.
    yield from keep(node, node.memory, node.proved, look.now)
    what = yield from _perform(node, look, plan)
    repeated, node.repeated = node.repeated, what
    moved = what != "rest" and what != repeated
    return Turn(what, moved, look)


def _judge_bound(node: RoleNode, look: Look) -> Refusal | None:
    """What a person has accepted to lose must be what it is at this very moment."""
    if node.order is not Order.FORCE or not node.accepted or look.whole is None:
        return None
    same = render_moment(look.whole.at) == node.accepted
    return None if same else STATEMENT_REFUSALS["loss-bound-stale"]


def _observe_procedure(node: RoleNode, look: Look) -> Engine[tuple[Plan, Progress]]:
    """The state's next step, and how far it is."""
    state, trees = node.state, look.trees
    if look.view.fit is Fit.BROKEN and state is not State.FAULTED:
        return None, Progress.RUNNING
    if state is State.DRAINING:
        step = yield from observe_source(node, look)
        return step, Progress.FAILED if step is SwitchStep.GIVE_UP else Progress.RUNNING
    if state is State.RESCUING:
        plan = yield from _plan_rescue(node, look)
        node.blocked = plan if isinstance(plan, Blocked) else None
        return plan, Progress.DONE if isinstance(plan, Settled) else Progress.RUNNING
    if state in FOLLOWING and (step := decide_target(node, look)) is not SwitchStep.WAIT:
        return step, Progress.RUNNING
    gate = yield from observe_gate(node, trees, state)
    done = (state is State.PROMOTING and is_taken(gate)) or (
        state is State.FENCED and is_closed(gate)
    )
    return plan_gate(state, gate), Progress.DONE if done else Progress.RUNNING


def _plan_rescue(node: RoleNode, look: Look) -> Engine[Outcome | None]:
    if look.theirs is None or look.theirs.said.state not in SERVING:
        # From which snapshots it goes on, the primary says; whoever has just started, or has lost
        # its pool, shows no members, and that is no word about them.
        return None
    head = node.memory.head
    wanted = look.theirs.group.members.keys()
    return (
        yield from plan_aside(node, look.trees, look.common, wanted, head.epoch if head else None)
    )


def _enter(node: RoleNode, look: Look, outcome: Advance) -> Engine[None]:
    """Durable first; then the state."""
    memory = remember(node.memory, outcome.write, _circumstances(node, look, outcome.write))
    proved = node.proved or outcome.to in SERVING
    yield from keep(node, memory, proved, look.now)
    if outcome.to is not node.state:
        node.since, node.finals, node.still, node.repeated = None, None, None, ""
    node.state = outcome.to
    if outcome.row in ORDERED:
        node.give(Order.NONE)


def _circumstances(node: RoleNode, look: Look, write: Write) -> Circumstances:
    theirs = look.theirs
    given = theirs.said.handover if theirs is not None else None
    bases = look.whole.members if look.whole is not None else {}
    if write is Write.TAKE and given is not None:
        bases = dict(given.finals)
    return Circumstances(
        fork=node.draw(),
        peer=node.group.peer.uuid,
        theirs=theirs.group.lineage if theirs is not None else (),
        given=given,
        bases=bases,
        at=int(look.now),
        accepted=node.accepted,
        who=node.who,
    )


def _perform(node: RoleNode, look: Look, plan: Plan) -> Engine[str]:
    """One step; its name."""
    if isinstance(plan, GateStep):
        if node.proved and plan in CLOSING_STEPS:
            yield from keep(node, node.memory, False, look.now)
        return (yield from perform_gate(node, look.trees, plan))
    if isinstance(plan, SwitchStep):
        moved = yield from perform_switch(node, look, plan)
        return str(plan) if moved else "rest"
    if node.state in SERVING and node.memory.intent is not None:
        # Of a switchover that this node has begun and, restarted, does not go on with.
        memory = remember(node.memory, Write.FORGET, Circumstances())
        yield from keep(node, memory, node.proved, look.now)
        return str(SwitchStep.DROP_INTENT)
    if plan is not None and not isinstance(plan, Blocked | Settled):
        yield from perform_rescue(node, plan)
        return render_step(plan)
    if node.state in SERVING:
        yield from _tell_heartbeat(node, look)
    follows = node.state in FOLLOWING and look.view.claim is Claim.PRIMARY
    if follows and look.trees.labels and (yield from ship_rescues(node, look.trees)):
        return f"ship-rescue {len(node.shipped)}"
    return "rest"


def _tell_heartbeat(node: RoleNode, look: Look) -> Engine[None]:
    if look.theirs is not None:
        beat = Heartbeat(node.boot, int(look.now), node.pending, node.pending_count)
        with suppress(Passing):
            yield from ask(RolePeerPort.tell_heartbeat, bound_heartbeat(beat))


def settle(
    node: RoleNode, most: int, after: Callable[[Turn], None] = lambda turn: None
) -> Engine[Turn]:
    """Turns until nothing moves, at most `most` of them; the last one."""
    turn = yield from take_turn(node)
    for _ in range(most - 1):
        after(turn)
        if not turn.moved:
            break
        turn = yield from take_turn(node)
    return turn
