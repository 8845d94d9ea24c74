"""What does a node's memory become with each write that the table asks for? Pure.

The caller makes the result durable before the new state counts. Invariants:
- The lineage only grows, and only by what contains it, or by this node's own next entry.
- What was seen only grows, and is at least the newest entry.
- A node takes an epoch by itself only above everything that it knows of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from zrepl_py.core.lineage import Relation, compare, next_number, note, recall
from zrepl_py.errors import Bug
from zrepl_py.model.lineage import Entry, Handover, Intent, Lineage, Memory, Taking
from zrepl_py.model.names import Epoch
from zrepl_py.model.roles import Record, Write


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a write needs to know besides the memory."""

    fork: str = ""
    """8 hex digits, random, for an epoch that this node makes."""
    peer: str = ""
    """The other node's uuid."""
    theirs: Lineage = ()
    """The other node's lineage, as it said it last."""
    given: Handover | None = None
    """What the other node has handed over to this one."""
    bases: Mapping[str, int] = field(default_factory=dict)
    at: int = 0
    accepted: str = ""
    who: str = ""


def remember(memory: Memory, write: Write, now: Circumstances) -> Memory:
    """`memory` after `write`."""
    match write:
        case Write.NOTHING:
            return memory
        case Write.ADOPT:
            return _adopt(memory, now.theirs)
        case Write.OPENED:
            return replace(memory, opened=True)
        case Write.PREPARE:
            intent = Intent(Epoch(next_number(memory), now.fork), now.peer)
            return replace(memory, intent=intent)
        case Write.FORGET:
            return replace(memory, intent=None)
        case Write.TAKE:
            if now.given is None or now.given.to != memory.node:
                raise Bug("role-write", "Nothing was handed over to this node.")
            return _take(memory, now.given.epoch, Taking.HANDED, now)
        case Write.FOUND:
            taken = _take(memory, _next(memory, now), Taking.FOUNDED, now)
            return replace(taken, opened=True)
        case Write.PROMOTE:
            return _take(memory, _next(memory, now), Taking.FORCED, now, _passed_over(memory))
        case Write.RESOLVE:
            if not now.theirs:
                raise Bug("role-write", "There is no other lineage to decide over.")
            entry = _next(memory, now)
            return _take(memory, entry, Taking.RESOLVED, now, now.theirs[-1].epoch)


def hear_epoch(memory: Memory, told: Epoch | None) -> Memory:
    """The other node has told an epoch: noted, and durable, before anything follows from it."""
    return replace(memory, seen=note(memory.seen, told))


def hand_over(memory: Memory, finals: Mapping[str, int]) -> Memory:
    """THE commit point of a switchover: the intent becomes the handover."""
    if memory.intent is None or recall(memory) is not Record.PRIMARY:
        raise Bug("role-write", "Only a primary that has an intent hands over.")
    given = Handover(memory.intent.epoch, memory.intent.to, dict(finals))
    return replace(memory, handover=given, intent=None, opened=False)


def _next(memory: Memory, now: Circumstances) -> Epoch:
    told = max((entry.epoch.n for entry in now.theirs), default=0)
    return Epoch(max(next_number(memory), told + 1), now.fork)


def _passed_over(memory: Memory) -> Epoch | None:
    """The epoch that a forced one is put over: what this node gave away, or was told of. So the
    node that has it comes after this one when it returns; what only it has is set aside there."""
    record = recall(memory)
    if record is Record.HANDED_OVER and memory.handover is not None:
        return memory.handover.epoch
    return memory.seen if record is Record.OVERTAKEN else None


def _take(
    memory: Memory, epoch: Epoch, taking: Taking, now: Circumstances, over: Epoch | None = None
) -> Memory:
    entry = Entry(epoch, memory.node, taking, now.bases, now.at, now.accepted, now.who, over)
    lineage = (*memory.lineage, entry)
    seen = note(memory.seen, epoch)
    return replace(memory, lineage=lineage, seen=seen, opened=False, intent=None)


def _adopt(memory: Memory, theirs: Lineage) -> Memory:
    if compare(memory.lineage, theirs) is not Relation.MINE_IS_PREFIX:
        return memory
    seen = note(memory.seen, theirs[-1].epoch)
    return replace(memory, lineage=theirs, seen=seen, opened=False, intent=None)
