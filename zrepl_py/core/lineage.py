"""Which of two lineages is to be believed, and may a node still speak under its epoch? Pure.

Invariants:
- A node believes the longest lineage that contains its own from the beginning, and no other.
- What was seen only grows (`note`): a node that has seen an epoch never again sends, receives or
  acknowledges under a lower one (`may_speak`).
- A new epoch is higher than everything its node has ever heard of (`next_number`).
- Two that went on from the same entry are forked, and no rule chooses between them; only an entry
  that a person made over the other one's newest epoch does.
"""

from enum import StrEnum

from zrepl_py.model.lineage import Entry, Lineage, Memory
from zrepl_py.model.names import Epoch
from zrepl_py.model.roles import Record


class Relation(StrEnum):
    """Of my lineage to theirs."""

    EQUAL = "equal"
    MINE_IS_PREFIX = "mine-is-prefix"
    """Theirs goes on where mine ends: theirs is to be believed."""
    THEIRS_IS_PREFIX = "theirs-is-prefix"
    FORKED = "forked"
    """Both go on, differently, after a common entry."""
    UNRELATED = "unrelated"
    """Not even the first entry is the same."""


def compare(mine: Lineage, theirs: Lineage) -> Relation:
    """How two lineages stand to each other."""
    common = count_common(mine, theirs)
    if common == len(mine) == len(theirs):
        return Relation.EQUAL
    if common == len(mine) or _decided_over(mine, theirs[common:]):
        return Relation.MINE_IS_PREFIX
    if common == len(theirs) or _decided_over(theirs, mine[common:]):
        return Relation.THEIRS_IS_PREFIX
    return Relation.FORKED if common else Relation.UNRELATED


def count_common(mine: Lineage, theirs: Lineage) -> int:
    """How many entries are the same, from the first on: what follows is after the fork."""
    pairs = enumerate(zip(mine, theirs, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(mine), len(theirs)))


def believe(mine: Lineage, theirs: Lineage) -> Lineage:
    """The one to go on with: theirs where it contains mine, else mine."""
    return theirs if compare(mine, theirs) is Relation.MINE_IS_PREFIX else mine


def note(seen: Epoch | None, told: Epoch | None) -> Epoch | None:
    """The highest epoch heard of so far. Of two with the same n the first stays: which of them is
    right, is the lineages' matter."""
    if seen is None or told is None:
        return seen or told
    return told if told.n > seen.n else seen


def may_speak(epoch: Epoch, seen: Epoch | None) -> bool:
    """Whether a node that has seen `seen` may send, receive or acknowledge under `epoch`."""
    return seen is None or epoch == seen or epoch.n > seen.n


def next_number(memory: Memory) -> int:
    """n of the next epoch that this node may take by itself: above all that it knows of, also
    above one that it only agreed to, or has given away."""
    known = [memory.seen, *(entry.epoch for entry in memory.lineage)]
    known += [given.epoch for given in (memory.intent, memory.handover) if given]
    return max((epoch.n for epoch in known if epoch), default=0) + 1


def recall(memory: Memory) -> Record:
    """What a node is, by its journal alone."""
    head = memory.head
    if head is None:
        return Record.NOTHING
    if memory.handover is not None and memory.handover.epoch.n > head.epoch.n:
        return Record.HANDED_OVER
    if not may_speak(head.epoch, memory.seen):
        return Record.OVERTAKEN
    if head.node != memory.node:
        return Record.STANDBY
    return Record.PRIMARY if memory.opened else Record.PROMOTING


def _decided_over(yielding: Lineage, later: tuple[Entry, ...]) -> bool:
    """Whether a person has put one of `later` over the newest epoch of `yielding`."""
    return bool(yielding) and any(entry.over == yielding[-1].epoch for entry in later)
