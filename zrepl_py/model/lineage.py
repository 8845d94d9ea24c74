"""Who was primary, one after another, and what a node must not forget about it.

A lineage only grows. Two entries are the same when their epoch is: the fork is random, so no two
nodes ever make the same one. `Memory` is what is on stable storage; everything else of a role is
found out again after each start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from zrepl_py.model.names import Epoch


class Taking(StrEnum):
    """How a node became primary."""

    FOUNDED = "founded"
    """The group got its first epoch."""
    HANDED = "handed"
    """`zr switchover`: the one before gave it."""
    FORCED = "forced"
    """`zr promote`: the one before was not asked."""
    RESOLVED = "resolved"
    """`zr resolve`: of two that both went on, a person chose this one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One epoch: who took it, how, and from which versions it went on."""

    epoch: Epoch
    node: str
    """uuid of the node that is primary in this epoch: no other one ever is."""
    taking: Taking = field(default=Taking.FOUNDED, compare=False)
    bases: Mapping[str, int] = field(default_factory=dict, compare=False)
    """Member → guid of the last snapshot of the epoch before that is part of this one."""
    at: int = field(default=0, compare=False)
    """Seconds since 1970 by that node's clock: for people."""
    accepted: str = field(default="", compare=False)
    """What a person accepted to lose, as it was typed; empty where nothing could be lost."""
    who: str = field(default="", compare=False)
    """The person, as the command line knew it."""
    over: Epoch | None = field(default=None, compare=False)
    """RESOLVED only: the newest epoch of the other side, which yields to this entry."""


Lineage = tuple[Entry, ...]
"""Oldest first; n grows from entry to entry, not always by one."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A switchover that both nodes have agreed to try. It gives no right to anything."""

    epoch: Epoch
    """The epoch that would be taken."""
    to: str
    """uuid of the node that would take it."""


@dataclass(frozen=True, slots=True)
class Handover:
    """THE commit point of a switchover: the old primary's one durable record. From here on it is
    not primary, and only `to` may take `epoch`."""

    epoch: Epoch
    to: str
    finals: Mapping[str, int] = field(default_factory=dict, compare=False)
    """Member → guid of its last snapshot, taken when nothing could write any more."""


@dataclass(frozen=True, slots=True)
class Memory:
    """All that a node knows of its role after a power loss."""

    node: str
    """Its own uuid."""
    group: str = ""
    """uuid of the group."""
    lineage: Lineage = ()
    seen: Epoch | None = None
    """The highest epoch that it was ever told of, written down before anything followed from it."""
    opened: bool = False
    """The newest epoch is its own, and taking it was finished: marked, and open for clients."""
    intent: Intent | None = None
    handover: Handover | None = None

    @property
    def head(self) -> Entry | None:
        """The newest entry, or None."""
        return self.lineage[-1] if self.lineage else None
