"""What did people order of a group's role, and what became of it?

An order is given to the engine at the beginning of a turn, one at a time. It is over when it is
refused, when it waited too long for something that may not come, or when the state that it led to
is one that lasts. Remembered in memory only: what a change of roles has done is found by looking.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from zrepl_py.core.role_moves import FOLLOWING
from zrepl_py.core.roles import TABLE, WAITING
from zrepl_py.engine.role_node import RoleNode
from zrepl_py.engine.role_turn import Turn
from zrepl_py.errors import Passing, Refused, ZrError
from zrepl_py.model.roles import Advance, Order, Refusal, State

KEPT = 20
WAIT_SECONDS = 30.0
"""So long an order waits for what it needs; then it is withdrawn: it must not be carried out when
nobody thinks of it any more."""
UNDERWAY = (State.DRAINING, State.PROMOTING, State.RESCUING, State.FENCED)
"""States that a change of roles only passes through."""
_SENTENCES = {row.name: row.outcome.sentence for row in TABLE if isinstance(row.outcome, Advance)}
_GAVE_UP = ("switchover-failed", "switchover-aborted")


@dataclass
class Ordered:
    """One order."""

    ident: int
    order: Order
    accepted: str
    who: str
    began: float
    """By the monotonic clock."""
    given: bool = False
    """The engine has it, or had it."""
    taken: bool = False
    """And carries it out, or has."""
    judged: bool = False
    """A turn has ended since, well or not."""
    over: bool = False
    ended: float | None = None
    refusal: ZrError | None = None
    steps: list[str] = field(default_factory=list)
    """Not looked at yet."""
    waits_for: str = ""


@dataclass
class Orders:
    """Of one group."""

    known: list[Ordered] = field(default_factory=list)
    _count: int = 0

    def begin(self, order: Order, accepted: str, who: str, now: float) -> Ordered:
        """Note one for the next turn. Errors: Passing(order-running)."""
        for ordered in self.known:
            if not (ordered.over or ordered.taken):  # what is carried out, the table knows
                raise Passing(
                    "order-running",
                    f"Another order for this group waits: {ordered.order}.",
                    "It is carried out, refused or withdrawn within half a minute.",
                )
        self._count += 1
        ordered = Ordered(self._count, order, accepted, who, now)
        self.known = [*self.known, ordered][-KEPT:]
        return ordered

    def find(self, ident: int) -> Ordered:
        """Errors: Refused(no-order)."""
        for ordered in self.known:
            if ordered.ident == ident:
                return ordered
        raise Refused("no-order", "The daemon does not know of this order.", "It was restarted.")

    def give(self, node: RoleNode) -> None:
        """At the beginning of a turn: the engine gets what was ordered since the last one."""
        for ordered in self.known:
            if not ordered.given:
                ordered.given = True
                node.give(ordered.order, ordered.accepted, ordered.who)

    def note_turn(self, node: RoleNode, turn: Turn, refusal: ZrError | None, now: float) -> None:
        """A turn has ended; `refusal`: its, rendered."""
        for ordered in self.known:
            if ordered.over or not ordered.given:
                continue
            ordered.judged = True
            if turn.what != "rest":
                ordered.steps += turn.steps or (turn.what,)
            if not ordered.taken:
                _note_given(node, ordered, turn, refusal, now)
            elif turn.what in _GAVE_UP and ordered.order is Order.SWITCHOVER:
                why = (*_tell_state(node, turn), *_tell_trouble(node, turn))
                said = " ".join([_SENTENCES[turn.what], *why])
                ordered.refusal = Passing(turn.what, said, "Give it again later.")
            waits_for = [WAITING[node.state], *_tell_trouble(node, turn)]
            ordered.waits_for = "" if turn.moved else " ".join(waits_for)
            lasts = ordered.taken and not turn.moved
            lasts = lasts and not _passes_through(ordered.order, node.state)
            if lasts or ordered.refusal is not None:
                ordered.over, ordered.ended, ordered.waits_for = True, now, ""

    def note_error(self, error: ZrError) -> None:
        """A turn came to no end."""
        for ordered in self.known:
            if ordered.given and not ordered.over:
                ordered.judged = True
                ordered.waits_for = str(error)


def _tell_state(node: RoleNode, turn: Turn) -> Iterator[str]:
    """What the other node is, where nothing can be handed over to it."""
    theirs = turn.look.theirs
    if theirs is None:
        yield f"{node.group.peer.name} is silent."
    elif theirs.said.state not in FOLLOWING:
        yield f"{node.group.peer.name} does not follow: it is {theirs.said.state}."


def _tell_trouble(node: RoleNode, turn: Turn) -> Iterator[str]:
    """What the other node cannot do now: it may be what the order waits for."""
    if (theirs := turn.look.theirs) is not None and theirs.trouble:
        yield f"{node.group.peer.name} says: {theirs.trouble}"


def _note_given(
    node: RoleNode, ordered: Ordered, turn: Turn, refusal: ZrError | None, now: float
) -> None:
    """The engine was given the order, and has not been seen to carry it out."""
    if refusal is not None:
        ordered.refusal = refusal
    elif node.order is Order.NONE:
        ordered.taken = True
    elif ordered.order is Order.REJOIN and node.state is State.RESCUING:
        node.give(Order.NONE)  # it is done already, by itself
        ordered.taken = True
    elif not turn.moved and now - ordered.began > WAIT_SECONDS:
        node.give(Order.NONE)
        ordered.refusal = Passing(
            "order-waits", WAITING[node.state], "The order is withdrawn; give it again later."
        )


def _passes_through(order: Order, state: State) -> bool:
    return state in UNDERWAY or (order is Order.SWITCHOVER and state is State.DEMOTED)


def render_refusal(refusal: Refusal, here: str, peer: str, group: str) -> ZrError:
    """The table's refusal as the error that a person gets."""
    names = {"here": here, "peer": peer, "group": group}
    price = f" Its price: {refusal.price.format(**names)}" if refusal.price else ""
    sentence = refusal.sentence.format(**names)
    return refusal.kind(refusal.reason, f"{sentence}{price}", refusal.way_out.format(**names))


def describe_refusal(error: ZrError | None) -> dict[str, Any] | None:
    """As the control socket tells it."""
    if error is None:
        return None
    return {
        "kind": type(error).__name__,
        "reason": error.reason,
        "message": error.message,
        "remedy": error.remedy,
    }
