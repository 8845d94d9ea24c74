"""What does a node know of its role in one group: from the settings, from its journal, just now?

`RoleNode` is one group on one node, in memory; a restart forgets it. What must not be forgotten is
`Memory`, and whether the role was proved on this running machine: one record of the journal, which
is durable before anything follows from it (`keep`).

The API of the roles' engine, for whoever runs it (daemon, simulator, tests):

    node = run(restore_role(group, boot, machine, draw), ports)  at each start
    turn = run(take_turn(node), ports)                           again at once while turn.moved,
                                                                 else at the next heartbeat
    node.give(order, accepted, who)                              an order, for the next turn
    say(node)                                                    the answer to the peer's exchange
    node.note_manifest, node.note_heartbeat                      what the peer told
    judge_stream(node.state, node.memory, source, epoch)         before a stream is received
    RIGHTS[node.state].sends / .confirms                         before one is sent, confirmed

Ports: DatasetPort, ZfsPort, HostPort, JournalPort, ClockPort, AuthorityPort, RolePeerPort,
RoleLanesPort. Turns of one node never overlap; `say` may be called between any two commands.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zrepl_py.core.codec import decode, encode
from zrepl_py.core.handshake import GroupWord, MemberWord
from zrepl_py.core.lineage import recall
from zrepl_py.core.promotion import LastWord, Pending
from zrepl_py.core.role_words import Heartbeat, RoleWord, bound_heartbeat
from zrepl_py.core.siteview import PeerWord
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.errors import Passing
from zrepl_py.model.lineage import Memory
from zrepl_py.model.names import parse_epoch
from zrepl_py.model.policy import Limits
from zrepl_py.model.rescue import Blocked, Sight
from zrepl_py.model.roles import Order, State
from zrepl_py.model.site import Manifest, Node
from zrepl_py.model.tree import TreeDataset
from zrepl_py.ports.journal import JournalPort

if TYPE_CHECKING:
    from zrepl_py.engine.role_observe import Look

FORMAT = 1
KEPT_TICKS = 200
"""Of a group, the newest: what a whole tick is looked for in."""
RENEW_SECONDS = 24 * 3600.0
"""So often the record is written again, so that it never leaves with the journal's oldest lines."""


@dataclass(frozen=True, slots=True)
class RoleGroup:
    """What is configured of one group on one node."""

    name: str
    """What manifests call it: `radio/tank`."""
    uuid: str
    here: Node
    peer: Node
    founder: str
    """uuid of the policy's source."""
    members: Mapping[str, str]
    """Member → its dataset on this node. A member's name is its dataset's on the founder."""
    hosting: str = ""
    """What HostPort calls the group: `radio`."""
    services: tuple[str, ...] = ()
    """In the order in which they start."""
    address: bool = False
    receive_below: tuple[str, ...] = ()
    """Where the receiving user has its right while this node follows."""
    raw: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    max_lag_seconds: float = 60.0
    switch_seconds: float = 60.0
    """A switchover that has not come to its commit point by then is taken back."""
    patience_seconds: float = 10.0
    """How long a program has to end by itself."""
    authority: str = "manual"
    stream_flags: frozenset[str] = frozenset({"large_blocks", "compress"})

    @property
    def pool(self) -> str:
        """All members are of one pool."""
        return next(iter(self.members.values())).split("/")[0]


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing was to be done, and this is how it looked."""

    state: State
    memory: Memory
    datasets: Mapping[str, TreeDataset]
    at: float
    """Monotonic."""


@dataclass
class RoleNode:
    """One group on one node, while its daemon runs."""

    group: RoleGroup
    boot: str
    """Nonce of this daemon's start."""
    machine: str
    """Of this machine's start (the kernel's boot id): a role proved under another one is not."""
    draw: Callable[[], str]
    """Eight random hex digits."""
    memory: Memory
    proved: bool = False
    state: State = State.UNKNOWN
    order: Order = Order.NONE
    accepted: str = ""
    who: str = ""
    kept_at: float = 0.0
    """When the record was written last, by the wall clock."""
    manifests: list[Manifest] = field(default_factory=list)
    last_word: tuple[Heartbeat, float] | None = None
    """What the primary told last, and when, by the monotonic clock."""
    pending: tuple[Pending, ...] = ()
    """Files that are not over there yet, as the daemon knows them: told while this node serves."""
    pending_count: int = 0
    words: dict[str, MemberWord] = field(default_factory=dict)
    """What the last look saw of the members; measured against what the peer said in that look."""
    looked: bool = False
    writable: bool | None = None
    """Since the last look; None as soon as a step begins that may change it."""
    rescuing: bool = False
    since: float | None = None
    """When DRAINING began, or an intent was noted: monotonic."""
    again: "Look | None" = None
    """Of the turn before, where that changed nothing but the role: the next one, at once, need not
    look at the pools."""
    finals: dict[str, int] | None = None
    finals_at: float = 0.0
    """When they were taken: monotonic."""
    sent: dict[str, int] | None = None
    """Those of them that have just been sent: its next word will say whether they are there."""
    still: bool | None = None
    blocked: Blocked | None = None
    """Why a rescue does not begin."""
    keyless: set[str] = field(default_factory=set)
    """Encryption roots whose key could not be loaded: a rescue goes on without."""
    shipped: set[int] = field(default_factory=set)
    """guids of rescues that the other node has."""
    sights: dict[str, Sight] = field(default_factory=dict)
    """What the last look saw, by dataset: a glance takes from it what ZFS says is unchanged."""
    settled: dict[str, bool] = field(default_factory=dict)
    """Whether such a change would show for sure."""
    rest: "Rest | None" = None
    """Of the last whole look, where nothing was to be done."""
    silent_at: float | None = None
    """When the other node was asked and did not answer: monotonic."""
    repeated: str = ""
    """The step of the last turn: one that changed nothing is not tried again at once."""

    def give(self, order: Order, accepted: str = "", who: str = "") -> None:
        """A person's order; for FORCE its statement was checked (core/promotion.py)."""
        self.order, self.accepted, self.who = order, accepted, who

    def note_manifest(self, manifest: Manifest) -> None:
        """A tick of the group was taken here, or told and journalled; members by their names."""
        if manifest.group == self.group.name and manifest not in self.manifests:
            self.manifests.append(manifest)
            self.manifests.sort(key=lambda m: (parse_epoch(m.epoch).n, m.seq))
            del self.manifests[:-KEPT_TICKS]

    def note_heartbeat(self, beat: Heartbeat, monotonic: float) -> None:
        """The primary has spoken."""
        self.last_word = (bound_heartbeat(beat), monotonic)

    def hear_last(self, monotonic: float) -> LastWord | None:
        """For the loss report."""
        if self.last_word is None:
            return None
        beat, heard = self.last_word
        return LastWord(beat.at, max(0.0, monotonic - heard), beat.pending, beat.pending_count)


def restore_role(
    group: RoleGroup, boot: str, machine: str, draw: Callable[[], str]
) -> Engine[RoleNode]:
    """What is durable of a role, at the daemon's start. Errors: Corrupt(malformed)."""
    memory, proved, kept_at = Memory(group.here.uuid, group.uuid), "", 0.0
    for record in (yield from ask(JournalPort.records, "role")):
        if record["group"] == group.uuid:
            memory = decode(Memory, record["memory"])
            proved, kept_at = str(record["proved"]), float(str(record["at"]))
    node = RoleNode(group, boot, machine, draw, memory, proved == machine, kept_at=kept_at)
    for kind in ("tick", "manifest"):
        newest = deque[Any](maxlen=KEPT_TICKS)  # of months of them
        for record in (yield from ask(JournalPort.records, kind)):
            told: Any = record["manifest"]
            if told["group"] == group.name:
                newest.append(told)
        for told in newest:
            node.note_manifest(decode(Manifest, told))
    return node


def keep(node: RoleNode, memory: Memory, proved: bool, now: float) -> Engine[None]:
    """Make it durable, and only then believe it. Errors: Passing(no-space): nothing has changed."""
    fresh = now - node.kept_at < RENEW_SECONDS
    if (memory, proved) == (node.memory, node.proved) and fresh:
        return
    if memory != node.memory or proved != node.proved or node.memory.lineage:
        yield from ask(
            JournalPort.append,
            "role",
            {
                "format": FORMAT,
                "group": node.group.uuid,
                "memory": encode(memory),
                "proved": node.machine if proved else "",
            },
        )
    node.memory, node.proved, node.kept_at = memory, proved, now


def say(node: RoleNode) -> RoleWord:
    """What this node says of itself now. Errors: Passing(peer-silent) before its first look."""
    if not node.looked:
        raise Passing("peer-silent", "This node has just started, and does not know itself yet.")
    group, memory = node.group, node.memory
    # Whoever is about to open because the other one is silent does not say any more that it is
    # closed: one that comes back in this very moment must not prove its old role by that.
    opens = node.silent_at is not None and node.order in (Order.FORCE, Order.CONTINUE)
    writable = None if opens else node.writable
    said = PeerWord(node.state, recall(memory), writable, memory.handover)
    word = GroupWord(
        group.here.uuid, group.uuid, memory.lineage, group.founder, group.authority,
        group.stream_flags, dict(node.words), node.rescuing,
    )  # fmt: skip
    return RoleWord(node.boot, said, word, memory.intent)


def promised_bases(node: RoleNode) -> dict[str, int | None]:
    """What the members go on from in this node's own newest epoch, where it had received them until
    then; empty where it was primary before: then it goes on from what it has."""
    lineage = node.memory.lineage
    if len(lineage) < 2 or lineage[-2].node == node.memory.node:
        return {}
    return {m: guid for m, guid in lineage[-1].bases.items() if m in node.group.members}
