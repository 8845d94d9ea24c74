"""One conversation of two nodes: cards, proof, and whether both accept. Both sides are here.

Neither stores anything before both have proven the code and both have accepted. The host stores
first and says so; a guest that did not hear it may simply pair again, which changes nothing twice.
Who only receives lets its daemon read it first: so no source dials a target that does not know it.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zrepl_py.adapters.pairing.card import Card, parse_card, render_card
from zrepl_py.adapters.pairing.proof import GUEST, HOST, Sealed, prove
from zrepl_py.adapters.pairing.talk import Talk
from zrepl_py.errors import Corrupt, Passing, Refused, ZrError

MAX_POLICIES = 100


@dataclass(frozen=True, slots=True)
class Met:
    """The other node, proven."""

    card: Card
    policies: Mapping[str, str]
    """Texts of its own policies that name this node as a target, by their names."""
    host: str
    """Its address, as this machine sees it."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How this node takes part."""

    card: Card
    judge: Callable[[Card], Mapping[str, str]]
    """Returns the policies to give to that node; raises ZrError where it is not accepted."""
    store: Callable[[Met], None]
    settle: Callable[[], None] = lambda: None
    """Lets this node's daemon read what was stored. Never raises."""


def meet_guest(talk: Talk, code: str, manners: Manners, proving: Callable[[], int]) -> Met:
    """The side that shows the code. `proving()` is called before the guest may try the code, and
    returns how many more tries there are.

    Errors: Refused(wrong-code, peer-refused), those of `judge` and `store`, of Talk.
    """
    line, fields = talk.hear()
    theirs = parse_card(fields)
    mine = talk.say(render_card(manners.card))
    left = proving()
    sealed = prove(talk, HOST, code, line, mine, left)
    error, sends = _say_verdict(sealed, manners, theirs)
    met = _hear_verdict(sealed, theirs, talk.host)
    if error is not None:
        raise error
    manners.store(met)
    if not sends:
        manners.settle()
    with contextlib.suppress(Passing):  # it is stored here, whether the guest hears of it or not
        sealed.say({"done": True})
    if sends:
        with contextlib.suppress(Passing, Corrupt):  # an older guest says nothing more
            sealed.hear()
        manners.settle()
    return met


def meet_host(talk: Talk, code: str, manners: Manners) -> Met:
    """The side on which the code was typed. Errors: as meet_guest."""
    mine = talk.say(render_card(manners.card))
    line, fields = talk.hear()
    theirs = parse_card(fields)
    sealed = prove(talk, GUEST, code, mine, line)
    met, refusal = None, None
    try:
        met = _hear_verdict(sealed, theirs, talk.host)
    except Refused as error:
        refusal = error
    mine_is_no, _ = _say_verdict(sealed, manners, theirs)
    if mine_is_no is not None or refusal is not None or met is None:
        raise mine_is_no or refusal or Corrupt("protocol", "The other node gave no verdict.")
    if sealed.hear().get("done") is not True:
        raise Corrupt("protocol", "The other node did not say that it is done.")
    manners.store(met)
    manners.settle()
    with contextlib.suppress(Passing):  # an older host does not wait for it
        sealed.say({"done": True})
    return met


def _say_verdict(sealed: Sealed, manners: Manners, theirs: Card) -> tuple[ZrError | None, bool]:
    """Why this node does not accept the other one, or None; and whether it will send to it."""
    try:
        policies = dict(manners.judge(theirs))
    except ZrError as error:
        sealed.say({"accept": False, "message": error.message})
        return error, False
    sealed.say({"accept": True, "policies": policies})
    return None, bool(policies)


def _hear_verdict(sealed: Sealed, theirs: Card, host: str) -> Met:
    verdict = sealed.hear()
    if verdict.get("accept") is not True:
        said = str(verdict.get("message", ""))[:300]
        shown = "".join(c if c.isprintable() else "?" for c in said)
        raise Refused(
            "peer-refused",
            f"{theirs.name} does not accept this node: {shown}",
            f"See what `zr pair` says on {theirs.name}.",
        )
    policies = verdict.get("policies", {})
    if not isinstance(policies, dict) or len(policies) > MAX_POLICIES:
        raise Corrupt("protocol", "The other node sent policies that are none.")
    if not all(isinstance(text, str) for text in policies.values()):
        raise Corrupt("protocol", "The other node sent policies that are none.")
    return Met(theirs, policies, host)
