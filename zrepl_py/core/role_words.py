"""What do two nodes say to each other about a group's roles, and is it sensible? Pure.

A `RoleWord` is all that one node tells of itself; it counts only over the connection on which it
came, and only for the look in which it came: it is never stored. Must never believe a size that the
other side chose: everything here is bounded (`check_word`, `bound_heartbeat`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from zrepl_py.core.handshake import GroupWord
from zrepl_py.core.lineage import may_speak
from zrepl_py.core.promotion import MOST_PENDING, Pending
from zrepl_py.core.roles import RIGHTS
from zrepl_py.core.siteview import PeerWord
from zrepl_py.errors import Corrupt, Passing, Refused
from zrepl_py.model.history import History
from zrepl_py.model.lineage import Intent, Memory
from zrepl_py.model.names import Epoch
from zrepl_py.model.roles import State

MOST_MEMBERS = 1000
MOST_ENTRIES = 1000
"""Of a lineage: so many changes of roles."""
MOST_VERSIONS = 100_000
LONGEST_PATH = 1024


@dataclass(frozen=True, slots=True)
class RoleWord:
    """One node, of one group, now."""

    boot: str
    """The nonce that its daemon drew when it started. Another one than before: it has forgotten."""
    said: PeerWord
    group: GroupWord
    intent: Intent | None = None
    """The switchover that it has noted. It asks for it only while it is DRAINING."""
    services: Mapping[str, str] = field(default_factory=dict)
    """The group's services there → their state, as it was seen last. Shown to people only."""
    address: str | None = None
    """Of the group's address, alike; None: it has none, or nothing is said of it."""
    trouble: str = ""
    """Why its last turn came to no end, as a sentence; alike."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A primary says, now and then: I am here, and these files are not over there yet."""

    boot: str
    at: int
    """By its own clock."""
    pending: tuple[Pending, ...] = ()
    """At most MOST_PENDING; of the others there is only the count."""
    pending_count: int = 0


@dataclass(frozen=True, slots=True)
class ShipOrder:
    """A rescue's snapshot is offered. No path: the receiver chooses the place from the label, the
    member's name, which it must know, and who the connection has proven to be."""

    label: str
    member: str
    name: str
    """Of the snapshot, after the @."""
    to_guid: int
    base_guid: int
    """Of the common snapshot that the increment starts from; 0: it goes whole."""
    raw: bool


def check_word(word: RoleWord) -> RoleWord:
    """Corrupt(malformed) of a word that no honest node says."""
    group = word.group
    versions = sum(_count(member.history) for member in group.members.values())
    if (
        len(group.members) > MOST_MEMBERS
        or len(group.lineage) > MOST_ENTRIES
        or versions > MOST_VERSIONS
        or any(
            a.epoch.n >= b.epoch.n for a, b in zip(group.lineage, group.lineage[1:], strict=False)
        )
    ):
        raise Corrupt("malformed", "The other node's word of its roles is too large, or unordered.")
    return word


def bound_heartbeat(beat: Heartbeat) -> Heartbeat:
    """As much of it as is told and kept."""
    pending = tuple(p for p in beat.pending[:MOST_PENDING] if len(p.path) <= LONGEST_PATH)
    return replace(beat, pending=pending, pending_count=max(beat.pending_count, len(beat.pending)))


def judge_stream(state: State, memory: Memory, source: str, epoch: Epoch) -> None:
    """Return where a stream of `source` (a node's uuid, proven by its connection) under `epoch` may
    be received. Where a group has roles this is the receiver's epoch check, before anything is
    opened; and it is asked again before a receipt is given.

    Refused(peer-epoch): another epoch, another primary. Passing(role-closed): not in this state.
    """
    head = memory.head
    known = head is not None and head.epoch == epoch and head.node == source
    if head is None:
        known = RIGHTS[state].accepts  # no roles yet: the policy says who sends
    if not known or not may_speak(epoch, memory.seen):
        mine = head.epoch if head else "none"
        raise Refused(
            "peer-epoch",
            f"This node follows epoch {mine}, the stream is of {epoch}.",
            "Look at `zr status` on both nodes to see which one was promoted last.",
        )
    if not RIGHTS[state].accepts:
        raise Passing(
            "role-closed",
            f"This node is {state}, and receives nothing of this group now.",
            "It is tried again; `zr status` on that node shows what it waits for.",
        )


def _count(history: History) -> int:
    return len(history.snapshots) + len(history.bookmarks)
