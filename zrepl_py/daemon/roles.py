"""What is this node in each of its groups that have roles? For everybody in the daemon who asks.

`GroupRole` is one group: what is configured, what the engine knows (`node`), and what follows from
both for streams, ticks and receipts. It is read under the monitor of the daemon's agendas, and
changed by its keeper's turns alone (role_keeper.py).

Invariants: before the journal was read, nothing is allowed. Where no epoch of the group was ever
heard of, the policy counts as without roles: the founder ticks and sends, the other one receives.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zrepl_py.core.roles import RIGHTS
from zrepl_py.core.selection import is_selected
from zrepl_py.daemon.role_groups import RolePlan
from zrepl_py.daemon.role_orders import Orders
from zrepl_py.engine.role_node import RoleGroup, RoleNode
from zrepl_py.engine.role_observe import Look
from zrepl_py.engine.role_tree import find_inherited
from zrepl_py.errors import Refused, ZrError
from zrepl_py.model.lineage import Memory
from zrepl_py.model.names import Epoch
from zrepl_py.model.policy import Policy
from zrepl_py.model.roles import State
from zrepl_py.model.site import Manifest, Node

if TYPE_CHECKING:
    from zrepl_py.daemon.role_rescues import RescueSeen

SERVING = (State.PRIMARY, State.PRIMARY_ALONE)
REFRESHED = (*SERVING, State.INIT, State.STANDBY, State.CATCHING_UP)
"""States in which the members are those of the newest tick; in the others they stay."""


def _idle() -> None:
    return None


@dataclass
class Sending:
    """What is on its way to the other node."""

    label: str
    member: str
    bytes: int = 0
    """Of its stream, so far."""


@dataclass
class GroupRole:
    """One group on this node."""

    plan: RolePlan
    node: RoleNode
    """The engine's; a restored one takes its place."""
    restored: bool = False
    """The journal was read: before, nothing is known, and nothing is allowed."""
    look: Look | None = None
    """The newest that came to its end."""
    looked_at: float = 0.0
    """When, by the monotonic clock."""
    tried: float = -1.0
    """When the newest turn began that has ended, well or not, by the monotonic clock."""
    what: str = ""
    """The newest turn's row or step that was not a rest."""
    stuck: str = ""
    """The step that was just tried again and changed nothing."""
    since: float = 0.0
    """When it came into this state, by the wall clock."""
    error: ZrError | None = None
    """Why the last turn came to no end."""
    apart: str = ""
    """Why the other node says nothing of this group, although it answers."""
    services: dict[str, str] = field(default_factory=dict)
    """As each was seen last."""
    address: str = "unknown"
    rescues: "tuple[RescueSeen, ...]" = ()
    """As they were seen last."""
    rescues_at: float | None = None
    """When that was, by the monotonic clock; None: they have changed since."""
    sending: Sending | None = None
    """The rescue's dataset that is being sent now."""
    left_out: tuple[Manifest | None, frozenset[str]] = (None, frozenset())
    """Of that tick these members are not there any more."""
    orders: Orders = field(default_factory=Orders)
    wake: Callable[[], None] = _idle
    """Take a turn now; from any thread."""

    @property
    def policy(self) -> Policy:
        """The policy that has these roles."""
        return self.plan.policy

    @property
    def name(self) -> str:
        """`radio/tank`."""
        return self.plan.name

    @property
    def key(self) -> tuple[str, str]:
        """(policy's name, the founder's pool)"""
        return self.plan.key

    @property
    def pool(self) -> str:
        """The group's pool on this node."""
        return self.plan.pool

    @property
    def prefix(self) -> str:
        """What stands before a member's name in its dataset's name on this node."""
        return self.plan.prefix

    @property
    def peer(self) -> Node:
        """The other node."""
        return self.plan.peer

    def place(self, member: str) -> str:
        """A member's dataset on this node."""
        return f"{self.prefix}{member}"

    def member(self, dataset: str) -> str | None:
        """The name that a dataset of this node has in the group, going by where it stands; whether
        the policy selects it, is the caller's to ask."""
        name = dataset.removeprefix(self.prefix)
        inside = dataset.startswith(self.prefix) and name.partition("/")[0] == self.key[1]
        return name if inside else None

    @property
    def state(self) -> State:
        """What this node is; `init` where no tick of the group is known, so that there is none."""
        empty = self.restored and not self.node.group.members and not self.begun
        return State.INIT if empty else self.node.state

    @property
    def begun(self) -> bool:
        """Some epoch of the group was heard of. Before, everything is as without roles."""
        return self.node.memory.head is not None or self.node.memory.seen is not None

    @property
    def epoch(self) -> Epoch | None:
        """The newest that this node believes; None before there is one."""
        head = self.node.memory.head
        return head.epoch if head is not None else None

    @property
    def plain(self) -> bool:
        """It is replicated as without roles: nobody has set them up, as far as is known."""
        states = (State.INIT, State.UNKNOWN)
        return self.restored and not self.begun and self.state in states

    @property
    def leads(self) -> bool:
        """The newest epoch is this node's; without one: it is the policy's source."""
        head = self.node.memory.head
        if head is None:
            return self.plain and self.plan.founds
        return self.restored and head.node == self.plan.here.uuid

    @property
    def ticks(self) -> bool:
        """This node takes and destroys the group's snapshots, as its source."""
        if self.plain:
            return self.plan.founds
        return self.leads and self.node.memory.opened and self.state in SERVING

    @property
    def sends(self) -> bool:
        """Its streams may leave this node."""
        return self.plan.founds if self.plain else self.leads and RIGHTS[self.state].sends

    @property
    def confirms(self) -> bool:
        """It asks the other node for receipts, and shows them."""
        return self.plan.founds if self.plain else self.leads and RIGHTS[self.state].confirms

    @property
    def accepts(self) -> bool:
        """Streams of the other node may arrive now."""
        if self.plain:
            return not self.plan.founds
        head = self.node.memory.head
        theirs = head is not None and head.node == self.peer.uuid
        return self.restored and theirs and RIGHTS[self.state].accepts

    @property
    def course(self) -> tuple[Epoch | None, bool, bool, bool]:
        """All of its role by which its streams go: epoch, and whether it ticks, sends, accepts."""
        return self.epoch, self.ticks, self.sends, self.accepts

    @property
    def newest_seq(self) -> int:
        """Of all ticks of the group that are known here."""
        return max((manifest.seq for manifest in self.node.manifests), default=0)

    @property
    def inherited(self) -> Mapping[str, Mapping[str, str]]:
        """Root member's dataset → where and how it is mounted, or would be, by the newest look."""
        return find_inherited(self.node, self.look.trees) if self.look is not None else {}

    def note_manifest(self, manifest: Manifest) -> None:
        """A tick of the group, taken here or told, is journalled."""
        self.node.note_manifest(manifest)
        if not self.node.group.members:
            self.wake()  # the first one: there is a group now

    def refresh(self) -> None:
        """The members are those of the newest tick, where the state lets them change."""
        node = self.node
        if not node.manifests or not (node.state in REFRESHED or not node.looked):
            return
        newest = node.manifests[-1]
        if newest is not self.left_out[0]:
            self.left_out = newest, frozenset()
        self._have(newest.members.keys() - self.left_out[1])

    def leave_out(self, seen: Collection[str], roots: Collection[str]) -> None:
        """Of what was looked at, below `roots`, only `seen` is there: other members of the newest
        tick count no more, until the next one."""
        members = self.node.group.members
        gone = {m for m, p in members.items() if p not in seen and is_below(p, roots)}
        if gone and len(gone) < len(members):
            self.left_out = self.left_out[0], self.left_out[1] | gone
            self._have(members.keys() - gone)

    def _have(self, members: Collection[str]) -> None:
        if members != self.node.group.members.keys():
            self.node.group = self.plan.group(members)
            self.node.rest = None  # what was to be done, was of the members before

    def adopt(self, other: "GroupRole") -> None:
        """Go on with what another one of the same group knows, whose turns have ended."""
        self.node = other.node
        self.node.group = self.plan.group(other.node.group.members)
        for kept in ("restored", "look", "looked_at", "what", "stuck", "since", "error", "apart",
                     "services", "address", "rescues", "left_out", "orders"):  # fmt: skip
            setattr(self, kept, getattr(other, kept))


class Roles:
    """Every group of this node that has roles. Empty on a node that has none, and costs nothing."""

    def __init__(
        self,
        plans: Iterable[RolePlan] = (),
        boot: str = "",
        machine: str = "",
        draw: Callable[[], str] = str,
    ) -> None:
        """`boot`: nonce of this daemon's start; `machine`: of the machine's. `draw`: eight random
        hex digits."""
        self.all: list[GroupRole] = [
            GroupRole(plan, RoleNode(plan.group(()), boot, machine, draw, _blank(plan.group(()))))
            for plan in plans
        ]
        self.changed: list[Callable[[GroupRole], None]] = []
        """Called, with the monitor held, after a turn in which a course changed. A state that gives
        the same rights is none: whoever hears of it forgets what it knows of the streams."""

    def __iter__(self) -> Iterator[GroupRole]:
        return iter(self.all)

    def of(self, key: tuple[str, str]) -> GroupRole | None:
        """By policy's name and founder's pool."""
        return next((role for role in self.all if role.key == key), None)

    def of_uuid(self, group: str) -> GroupRole | None:
        """By the group's uuid."""
        return next((role for role in self.all if role.plan.uuid == group), None)

    def of_dataset(self, dataset: str) -> GroupRole | None:
        """By a dataset of this node that the policy selects."""
        for role in self.all:
            name = role.member(dataset)
            if name is not None and is_selected(role.policy.selection, name):
                return role
        return None

    def of_label(self, source: str, label: str) -> GroupRole | None:
        """By what the node `source` (its uuid) calls a dataset."""
        for role in self.all:
            if role.peer.uuid == source and is_selected(role.policy.selection, label):
                return role
        return None

    def find(self, group: str | None) -> GroupRole:
        """By its policy's name; None: the only one. Errors: Refused(no-roles, which-group)."""
        known = ", ".join(role.key[0] for role in self.all)
        found = [role for role in self.all if group in (None, role.key[0])]
        if not found:
            which = "No group" if group is None else f"{group!r}"
            raise Refused(
                "no-roles",
                f"{which} has roles on this node.",
                f"Known: {known}." if known else "A table [roles.POLICY] in zr.toml gives them.",
            )
        if len(found) > 1:
            raise Refused("which-group", f"Several groups have roles here: {known}.", "Name one.")
        return found[0]

    def adopt(self, others: "Roles") -> None:
        """Before the start, at a reload: go on with what is known of the groups that stay. The
        others' turns have ended."""
        for role in self.all:
            other = others.of_uuid(role.plan.uuid)
            if other is not None and other.restored and other.peer == role.peer:
                role.adopt(other)


def is_below(dataset: str, roots: Collection[str]) -> bool:
    """It is one of them, or stands below one."""
    return any(dataset == root or dataset.startswith(f"{root}/") for root in roots)


def _blank(group: RoleGroup) -> Memory:
    return Memory(group.here.uuid, group.uuid)
