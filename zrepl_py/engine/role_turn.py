"""One turn of a node's role: look, decide, and make one change; or the next steps of what the state
does.

Invariants: what the table wants written is durable before the new state counts; a step is performed
only in the state whose look planned it; whoever begins to close is not proved any more, durably.
Several steps of the gate follow each other in one turn, each only when the one before was seen to
be done; that all of it is done, a whole look of the next turn says. A glance, which looks at less,
is good for one answer: that there is nothing to do. Everything else is decided by a whole look.
A turn that was cut anywhere is simply lost: the next one looks again.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from zrepl_py.core.opening import (
    CLOSING,
    GateStep,
    find_missing,
    is_closed,
    is_taken,
    plan_gate,
    wanted_steps,
)
from zrepl_py.core.promotion import NOT_FOUNDER, STATEMENT_REFUSALS, render_moment
from zrepl_py.core.rejoin_check import check_names
from zrepl_py.core.remember import Circumstances, remember
from zrepl_py.core.role_moves import FOLLOWING, SERVING
from zrepl_py.core.role_words import Heartbeat, bound_heartbeat
from zrepl_py.core.roles import TABLE, decide
from zrepl_py.core.switchover import SwitchStep
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_gate import perform_gate
from zrepl_py.engine.role_glance import glance, note_rest
from zrepl_py.engine.role_node import RoleNode, keep
from zrepl_py.engine.role_observe import RESTS, Look, observe_site
from zrepl_py.engine.role_rescue import (
    Outcome,
    perform_rescue,
    plan_aside,
    render_outcome,
    ship_rescues,
)
from zrepl_py.engine.role_sight import observe_gate, observe_steps
from zrepl_py.engine.role_switch import decide_target, observe_source, perform_switch
from zrepl_py.engine.role_tree import Trees, observe_trees
from zrepl_py.errors import Passing
from zrepl_py.model.rescue import Blocked, Settled
from zrepl_py.model.roles import (
    Advance,
    Claim,
    Decision,
    Fit,
    Order,
    Progress,
    Refusal,
    Refuse,
    State,
    Write,
)
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.rolepeer import RolePeerPort

TURN_SECONDS = 4.0
"""Then the other node is heard again before the next step."""
LEAVE_DATASETS = frozenset(
    {GateStep.FORBID_RECEIVE, GateStep.ALLOW_RECEIVE, GateStep.END_RECEIVES, GateStep.WRITE_MARKERS,
     GateStep.START_SERVICES, GateStep.STOP_SERVICES, GateStep.ADD_ADDRESS, GateStep.REMOVE_ADDRESS,
     GateStep.END_HOLDERS}
)  # fmt: skip
"""What a look at the datasets sees is the same after these."""
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
    steps: tuple[str, ...] = ()
    """All that was done, where it was more than `what`: that is the last of them."""


def take_turn(node: RoleNode, *, ships: bool = True) -> Engine[Turn]:
    """One turn. `ships`: rescues are sent in it; else the caller sends them beside (find_shipment),
    where must_ship. Errors: those of the ports; nothing follows from a turn that failed."""
    glanced, rests = (yield from glance(node)) if node.rest is not None else (None, False)
    if rests and glanced is not None:
        if node.state in SERVING:
            yield from tell_heartbeat(node, glanced)
        return Turn(RESTS, False, glanced)
    node.rest = None
    silent = glanced is not None and glanced.theirs is None
    again, node.again = node.again, None
    look = yield from observe_site(node, ask_peer=not silent, again=again)
    plan, progress = yield from _observe_procedure(node, look)
    outcome = decide(replace(look.view, progress=progress))
    if (refused := _judge_order(node, look, outcome)) is not None:
        node.give(Order.NONE)
        return Turn(refused.reason, False, look, refused)
    if isinstance(outcome, Advance):
        yield from _enter(node, look, outcome)
        node.again = look
        return Turn(outcome.row, True, look)
    if isinstance(outcome, Refuse):
        node.give(Order.NONE)
        return Turn(outcome.row, False, look, outcome.refusal)
    # A renewal of the record; nothing where it is young.
    yield from keep(node, node.memory, node.proved, look.now)
    steps = yield from _perform(node, look, plan)
    if ships and steps == (RESTS,) and must_ship(node, look):
        sent = yield from ship_rescues(node, look.trees, TURN_SECONDS)
        steps = (f"ship-rescue {len(node.shipped)}",) if sent else steps
    what = steps[-1]
    repeated, node.repeated = node.repeated, what
    if what == RESTS:
        node.rest = note_rest(node, look)
    node.again = look if what == SwitchStep.HAND_OVER else None
    return Turn(what, what not in (RESTS, repeated), look, steps=steps)


def _judge_order(node: RoleNode, look: Look, outcome: Decision) -> Refusal | None:
    """The first primary is the policy's source, whose members have names under which they can be
    set aside; and what a person has accepted to lose must be what it is at this very moment. Where
    the table refuses an order itself, its word is the better one."""
    if node.order is Order.BEGIN and node.state is State.INIT:
        if node.group.founder != node.group.here.uuid:
            return NOT_FOUNDER
        long = check_names(node.group.members.values())
        return STATEMENT_REFUSALS["names-too-long"] if long is not None else None
    if node.order is not Order.FORCE or not node.accepted or look.whole is None:
        return None
    if isinstance(outcome, Refuse):
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
    proved = node.proved or outcome.to in (*SERVING, State.PROMOTING)
    yield from keep(node, memory, proved, look.now)
    if outcome.to is not node.state:
        node.since, node.finals, node.sent = None, None, None
        node.still, node.repeated = None, ""
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


def _perform(node: RoleNode, look: Look, plan: Plan) -> Engine[tuple[str, ...]]:
    """The next step, or steps; their names."""
    if isinstance(plan, GateStep):
        done, trees = yield from _perform_gate(node, look, plan)
        if node.state is not State.DRAINING or trees is None:
            return done
        # Closed, and seen to be: nobody can write any more, and somebody waits.
        seen = replace(look, trees=trees)
        return done + (yield from perform_switch(node, seen, SwitchStep.TAKE_FINALS))
    if isinstance(plan, SwitchStep):
        return (yield from perform_switch(node, look, plan)) or (RESTS,)
    if node.state in SERVING and node.memory.intent is not None:
        # Of a switchover that this node has begun and, restarted, does not go on with.
        memory = remember(node.memory, Write.FORGET, Circumstances())
        yield from keep(node, memory, node.proved, look.now)
        return (str(SwitchStep.DROP_INTENT),)
    if plan is not None and not isinstance(plan, Blocked | Settled):
        yield from perform_rescue(node, plan)
        return (render_outcome(plan),)
    if node.state in SERVING:
        yield from tell_heartbeat(node, look)
    return (RESTS,)


def must_ship(node: RoleNode, look: Look) -> bool:
    """Whether what this node has set aside, if anything, is to be sent to the other one: that is
    the primary now, and this one follows it."""
    return node.state in FOLLOWING and look.view.claim is Claim.PRIMARY


def _perform_gate(
    node: RoleNode, look: Look, first: GateStep
) -> Engine[tuple[tuple[str, ...], Trees | None]]:
    """`first`, and what comes after it, as long as each is seen to be done. Returns what was done;
    and where nothing is left to do, the datasets as they were seen last."""
    wanted, trees, done = wanted_steps(node.state), look.trees, list[str]()
    step: GateStep | None = first
    while step is not None:
        if node.proved and step in CLOSING_STEPS:
            yield from keep(node, node.memory, False, look.now)
        said = yield from perform_gate(node, trees, step)
        if said in done:
            return tuple(done), None  # it was tried again, and changed nothing
        done.append(said)
        spent = (yield from ask(ClockPort.monotonic)) - look.monotonic
        if spent > TURN_SECONDS:
            return tuple(done), None
        if step not in LEAVE_DATASETS:
            trees = yield from observe_trees(node, look.now, glance=True)
        wanted = wanted[[due for due, _ in wanted].index(step) :]
        step = find_missing(wanted, (yield from observe_steps(node, trees, wanted)))
    return tuple(done), trees


def tell_heartbeat(node: RoleNode, look: Look) -> Engine[None]:
    """Where this node serves, and the other one has just answered."""
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
