"""What does a node do next, given what it knows? The table of roles, and who reads it. Pure.

    decide(view) → Advance | Stay | Refuse: the outcome of the first row that holds

Invariants, each with a test over all combinations:
- Total: some row always holds. No row is shadowed: each is the first for some view.
- Every state can be reached and left.
- Nothing that is not known (silent, unjudged, nobody answers) gives a right that was not there.
- No order and no fact turns a state that writes into another that writes, except the end of taking
  over and whether the other node follows.

docs/design/roles.md shows the table; core/role_page.py writes it there.
"""

from functools import lru_cache

from zrepl_py.core.role_moves import ANY, BELIEF, BROKEN, ORDERS, PROCEDURES, PROOF, ROUTINE
from zrepl_py.core.role_refusals import REFUSALS
from zrepl_py.core.role_row import Row, stay
from zrepl_py.model.roles import Decision, Gate, Rights, SiteView, State

RIGHTS: dict[State, Rights] = {
    State.INIT: Rights(Gate.AS_IT_WAS, True, True, True, "no role was set up yet"),
    State.UNKNOWN: Rights(Gate.AS_IT_WAS, False, False, False,
        "started; the role is not proven, so what is closed stays closed"),
    State.CATCHING_UP: Rights(Gate.CLOSED, True, False, False,
        "the standby; its newest whole tick is too old, or there is none yet"),
    State.STANDBY: Rights(Gate.CLOSED, True, False, False, "the standby, fresh"),
    State.PRIMARY: Rights(Gate.OPEN, False, True, True, "serves, and the standby follows"),
    State.PRIMARY_ALONE: Rights(Gate.OPEN, False, True, False,
        "serves; the other node does not follow, so it confirms nothing"),
    State.DRAINING: Rights(Gate.CLOSING, False, True, False, "hands over, and can still go back"),
    State.DEMOTED: Rights(Gate.CLOSED, False, True, False,
        "has handed over, durably; waits for the next epoch's stream"),
    State.PROMOTING: Rights(Gate.OPENING, False, False, False, "takes over; only goes forward"),
    State.FENCED: Rights(Gate.CLOSING, False, False, False,
        "was told of a higher epoch, or lost the authority; closes, and proves it"),
    State.DIVERGED: Rights(Gate.CLOSED, False, False, False,
        "has what is not in the group's lineage; all of it is kept"),
    State.RESCUING: Rights(Gate.CLOSED, False, False, False,
        "sets aside what only it has, so that it can follow again"),
    State.SPLIT: Rights(Gate.AS_IT_WAS, False, False, False,
        "both nodes went on; a person chooses, and until then nothing changes"),
    State.FAULTED: Rights(Gate.CLOSING, False, False, False,
        "its pool, its journal or a member is not usable"),
}  # fmt: skip

WAITING: dict[State, str] = {
    State.INIT: "No role was set up in this group yet.",
    State.UNKNOWN: "The role is not proven: the other node, the authority or a person must speak.",
    State.CATCHING_UP: "It follows, and is not fresh yet.",
    State.STANDBY: "It follows.",
    State.PRIMARY: "It serves, and the other node follows.",
    State.PRIMARY_ALONE: "It serves, and the other node does not follow.",
    State.DRAINING: "The switchover runs.",
    State.DEMOTED: "It has handed over, and waits for the other node's stream.",
    State.PROMOTING: "It is taking over.",
    State.FENCED: "It is closed, and waits to learn what it has that the other node has not.",
    State.DIVERGED: "It keeps what only it has, and waits for the primary.",
    State.RESCUING: "It is setting aside what only it has.",
    State.SPLIT: "Both nodes went on; a person must choose.",
    State.FAULTED: "It waits until its pool, its journal and its members are usable.",
}

STAYS: tuple[Row, ...] = tuple(
    stay(f"stays-{state}", state, sentence) for state, sentence in WAITING.items()
)

TABLE: tuple[Row, ...] = (
    *BROKEN, *BELIEF, *PROOF, *PROCEDURES, *ORDERS, *ROUTINE, *REFUSALS, *STAYS,
)  # fmt: skip

_BY_STATE = {state: tuple(row for row in TABLE if state in row.when["state"]) for state in ANY}


@lru_cache(maxsize=4096)  # a view comes again at every heartbeat
def decide(view: SiteView) -> Decision:
    """The outcome of the first row that holds for `view`."""
    return next(row.outcome for row in _BY_STATE[view.state] if row.holds(view))
