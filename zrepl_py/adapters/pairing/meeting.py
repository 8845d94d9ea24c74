"""One conversation of two nodes: cards, proof, and whether both accept. Both sides are here.

Neither stores anything before both have proven the code and both have accepted. The host stores
first and says so; a guest that did not hear it may simply pair again, which changes nothing twice.
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


def meet_guest(talk: Talk, code: str, manners: Manners, proving: Callable[[], None]) -> Met:
    """The side that shows the code. `proving()` is called before the guest may try the code.

    Errors: Refused(wrong-code, peer-refused), those of `judge` and `store`, of Talk.
    """
    line, fields = talk.hear()
    theirs = parse_card(fields)
    mine = talk.say(render_card(manners.card))
    proving()
    sealed = prove(talk, HOST, code, line, mine)
    error = _say_verdict(sealed, manners, theirs)
    met = _hear_verdict(sealed, theirs, talk.host)
    if error is not None:
        raise error
    manners.store(met)
    with contextlib.suppress(Passing):  # it is stored here, whether the guest hears of it or not
        sealed.say({"done": True})
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
    mine_is_no = _say_verdict(sealed, manners, theirs)
    if mine_is_no is not None or refusal is not None or met is None:
        raise mine_is_no or refusal or Corrupt("protocol", "The other node gave no verdict.")
    if sealed.hear().get("done") is not True:
        raise Corrupt("protocol", "The other node did not say that it is done.")
    manners.store(met)
    return met


def _say_verdict(sealed: Sealed, manners: Manners, theirs: Card) -> ZrError | None:
    try:
        policies = dict(manners.judge(theirs))
    except ZrError as error:
        sealed.say({"accept": False, "message": error.message})
        return error
    sealed.say({"accept": True, "policies": policies})
    return None


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
