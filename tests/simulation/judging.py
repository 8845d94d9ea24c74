"""What may go of one dataset on one node, and what may stay? wanted.py's rules put together with
what waits for targets, with the cap, and with a pool that is short of room: what core/retention.py
and core/caps.py decide, judged in another way.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from tests.simulation.wanted import (
    LADDER,
    Wish,
    is_in_doubt,
    sparse_of,
    wish_of,
    wish_waiting,
)
from zrepl_py.model.policy import Keep, Policy

if TYPE_CHECKING:
    from tests.simulation.node import SimNode


def judge_wish(
    node: "SimNode",
    source: int,
    policy: Policy,
    guids: Sequence[int],
    now: float | None,
    unheard: Collection[str] = (),
) -> tuple[set[int], set[int]]:
    """(guids that must not go, guids that may stay) of these, oldest first.

    `source`: the dataset's guid there. `now`: the clock, where it is this node's own that the
    labels tell and it can be relied on to be what the daemon saw. `unheard`: targets of which this
    node need not know yet that they have something.
    """
    truth, keep = node.site.truth, policy.keep.get(node.node.name, Keep())
    labels = truth.labels(guids)
    parts = [(0, wish_of(labels, keep))]
    short, over = node.site.faults.is_short(node), len(guids) - policy.limits.max_snapshots
    tight = short or over > 0
    firm = [(0, sparse_of(labels, keep)), (0, wish_of(labels, LADDER))] if tight else []
    begins = len(guids)
    for first, there in _awaited(node, source, policy, guids, unheard):
        late = labels[first:]
        begins = min(begins, first)
        parts.append((first, wish_waiting(late, there, policy.limits.keep_waiting)))
        if tight:
            firm.append((first, sparse_of(late, there)))
    surely = _shifted((first, wish.surely) for first, wish in parts)
    perhaps = _shifted((first, wish.perhaps) for first, wish in parts)
    everything = set(range(len(guids)))
    if (keep.grid or keep.calendar) and is_in_doubt(labels, now):
        surely, firm = everything, [(0, Wish(frozenset(everything), frozenset(everything)))]
        perhaps = set(everything)  # what is taken from `surely` below stays here
    stays = _shifted((first, wish.surely) for first, wish in firm) | {len(guids) - 1}
    if short:
        surely &= stays
    if over > 0:
        surely -= set(range(over)) | (set(range(begins, len(guids))) - stays)
    return {guids[place] for place in surely}, {guids[place] for place in perhaps}


def _awaited(
    node: "SimNode", source: int, policy: Policy, guids: Sequence[int], unheard: Collection[str]
) -> Iterable[tuple[int, Keep]]:
    """(place of the first that it has not, its retention) of each target that has a base."""
    if node.node.name != policy.source:
        return
    truth = node.site.truth
    place = truth.lineages[source].place
    places = [place[guid] for guid in guids]
    for target in policy.targets:
        arrived = truth.arrived.get((target, source))
        if arrived and target not in unheard:
            first = bisect_right(places, place[arrived[-1]])
            yield first, policy.keep.get(target, Keep())


def _shifted(parts: Iterable[tuple[int, Iterable[int]]]) -> set[int]:
    return {first + place for first, places in parts for place in places}
