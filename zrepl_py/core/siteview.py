"""What of a node's memory, its pools and its peer's word counts for a decision? Pure.

Turns what is known into the few words of a SiteView. Must never turn something that is not known
into a word that gives a right.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from zrepl_py.model.lineage import Handover
from zrepl_py.model.names import parse_epoch
from zrepl_py.model.roles import Authority, Claim, Fit, Order, Record, State
from zrepl_py.model.site import Manifest


@dataclass(frozen=True, slots=True)
class PeerWord:
    """What the other node says of itself over a connection that is open now. A word that is older
    than the connection, or than this node's start, is none."""

    state: State
    record: Record
    writable: bool | None = None
    """Whether its datasets can be written to; None: it does not know."""
    handover: Handover | None = None


_PLAIN = {
    State.INIT: Claim.ASIDE,
    State.PRIMARY: Claim.PRIMARY,
    State.PRIMARY_ALONE: Claim.PRIMARY,
    State.DRAINING: Claim.PRIMARY,
    State.PROMOTING: Claim.TAKING,
    State.FAULTED: Claim.ASIDE,
}
_CLOSED = {
    State.STANDBY: Claim.STANDBY,
    State.CATCHING_UP: Claim.BEHIND,
}
_STARTED = {
    Record.PRIMARY: Claim.WAS_PRIMARY,
    Record.PROMOTING: Claim.WAS_PRIMARY,
    Record.STANDBY: Claim.WAS_STANDBY,
}


def hear(word: PeerWord | None, me: str, have: Mapping[str, Collection[int]]) -> Claim:
    """The peer's word as a claim. `me`: this node's uuid. `have`: member → guids that this node's
    pool shows: what was handed over counts only when all of it is here."""
    if word is None:
        return Claim.SILENT
    if word.state in _PLAIN:
        return _PLAIN[word.state]
    if word.writable is not False:
        return Claim.PRIMARY
    if word.state is State.DEMOTED or word.record is Record.HANDED_OVER:
        given = word.handover
        whole = given is not None and given.to == me
        if given is not None and whole and _all_here(given.finals, have):
            return Claim.HANDED
        return Claim.ASIDE
    if word.state is State.UNKNOWN:
        return _STARTED.get(word.record, Claim.ASIDE)
    return _CLOSED.get(word.state, Claim.ASIDE)


def find_whole_tick(
    manifests: Collection[Manifest], have: Mapping[str, Collection[int]]
) -> Manifest | None:
    """The newest tick of which every member is here: the one that a promotion presents."""
    whole = [m for m in manifests if m.members and _all_here(m.members, have)]
    return max(whole, key=lambda m: (parse_epoch(m.epoch).n, m.seq), default=None)


def judge_fit(
    sound: bool, whole: Manifest | None, lag_seconds: float | None, max_lag_seconds: float
) -> Fit:
    """`sound`: pool, journal and members are. `lag_seconds`: how old the whole tick is, None where
    that is not known."""
    if not sound:
        return Fit.BROKEN
    if whole is None:
        return Fit.SEEDING
    fresh = lag_seconds is not None and lag_seconds <= max_lag_seconds
    return Fit.FRESH if fresh else Fit.LAGGING


def answer_by_hand(order: Order) -> Authority:
    """The authority `manual`: only a person grants, and only by an order whose statement was
    checked. It never takes anything away, for it never sees the other node."""
    asks = order in (Order.FORCE, Order.CONTINUE, Order.RESOLVE)
    return Authority.GRANTED if asks else Authority.UNKNOWN


def _all_here(wanted: Mapping[str, int], have: Mapping[str, Collection[int]]) -> bool:
    return all(guid in have.get(member, ()) for member, guid in wanted.items())
