"""Replication between the two nodes of a group, thin: ticks, streams, receipts. Production's lanes
run in the other stories; what decides here which of them may run is production's (`RIGHTS`,
`judge_stream`, `diff`, `take_role_tick`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zrepl_py.core.codec import encode
from zrepl_py.core.diff import Agreement, diff
from zrepl_py.core.handshake import MemberWord
from zrepl_py.core.lineage import may_speak
from zrepl_py.core.role_words import judge_stream
from zrepl_py.core.roles import RIGHTS
from zrepl_py.engine.commands import Command, Engine, ask
from zrepl_py.engine.role_node import RoleNode
from zrepl_py.engine.role_observe import Look
from zrepl_py.engine.role_tick import take_role_tick
from zrepl_py.errors import Passing, Standing, ZrError
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import Epoch, join_snapshot
from zrepl_py.model.properties import ORIGINAL_PREFIX
from zrepl_py.model.receipt import FORMAT, Holding, Receipt
from zrepl_py.model.roles import State
from zrepl_py.model.site import Manifest
from zrepl_py.ports.journal import JournalPort
from zrepl_py.ports.zfs import ZfsPort

if TYPE_CHECKING:
    from tests.simulation.role_node import SimRoleNode

PATIENCE_SECONDS = 60.0
SERVING = (State.PRIMARY, State.PRIMARY_ALONE)


@dataclass(frozen=True)
class Streamed:
    """A stream, on its way."""

    epoch: Epoch
    member: str
    to: Snapshot
    from_guid: int
    content: bytes
    properties: Mapping[str, str]


@dataclass(frozen=True)
class Told:
    """The primary's newest ticks."""

    manifests: tuple[Manifest, ...]


@dataclass(frozen=True)
class Asked:
    """Whether everything of a tick is there: for a receipt."""

    epoch: Epoch
    ident: str
    manifest: Manifest


@dataclass(frozen=True)
class Confirmed:
    """It is."""

    epoch: Epoch
    ident: str


class RoleLane:
    """All lanes of the group on one node, while its daemon runs; implements RoleLanesPort."""

    def __init__(self, node: "SimRoleNode") -> None:
        self.node = node
        self._sent: dict[str, tuple[int, float]] = {}
        """Member → (guid, when) of what is on its way."""
        self._ticked_at = -1e9
        self._told: tuple[Manifest, ...] = ()
        self._receiving: dict[str, bool] = {}
        """Dataset → whether the stream was ended."""
        self.wanted: dict[str, tuple[frozenset[int], Manifest | None]] = {}
        """Receipts that clients wait for: what they had written before, and the tick with it."""
        self._asked_at: dict[str, float] = {}
        self._all = False

    # RoleLanesPort.

    def observe_receives(self) -> frozenset[str]:
        """See the port."""
        return frozenset(self._receiving)

    def end_receives(self) -> None:
        """See the port: what was ended does not commit."""
        self._receiving = dict.fromkeys(self._receiving, True)
        if self._receiving:
            raise Passing("busy", "A stream is still being received.")

    def note_tick(self, taken: Mapping[str, Snapshot]) -> None:
        """See the port: it looks anyhow."""

    def send_all(self) -> None:
        """See the port: what is missing is sent in this turn anyhow."""

    # Sending.

    def turn(self, role: RoleNode, look: Look) -> Engine[None]:
        """Tick where it is time, send what the other one lacks, ask for receipts."""
        head = role.memory.head
        sends = RIGHTS[role.state].sends and role.state in (*SERVING, State.DRAINING)
        if head is None or not sends or head.node != self.node.here.uuid:
            self.wanted.clear()
            return
        if role.state is not State.DRAINING:
            yield from self._tick_if_due(role, look)
        if look.theirs is None or role.memory.head is not head:
            return
        recent = tuple(role.manifests[-8:])
        if recent != self._told:
            self._told = recent
            self.node.site.wire.send(self.node, Told(recent))
        yield from self._send(role, look, head.epoch)
        self._ask(role, head.epoch)

    def _tick_if_due(self, role: RoleNode, look: Look) -> Engine[None]:
        now = self.node.loop.now
        waiting = [ident for ident, (_, manifest) in self.wanted.items() if manifest is None]
        due = now - self._ticked_at >= self.node.site.scenario.cadence_seconds
        whole = all(place in look.trees.seen for place in role.group.members.values())
        if not (due or waiting) or not role.memory.opened or not whole:
            return
        self._ticked_at = now
        manifest = yield from take_role_tick(role, look.trees, whole=False)
        self.wanted |= {i: (self.wanted[i][0], manifest) for i in waiting if i in self.wanted}

    def _send(self, role: RoleNode, look: Look, epoch: Epoch) -> Engine[None]:
        now, theirs = self.node.loop.now, look.theirs
        for member, place in sorted(role.group.members.items()):
            if place not in look.trees.seen or theirs is None:
                continue
            there = theirs.group.members.get(member, MemberWord()).history
            above = member.rpartition("/")[0]
            if above in role.group.members and above not in theirs.group.members:
                continue  # parents come first, as production's receiver demands
            here = yield from ask(ZfsPort.observe_history, place)
            found = diff(here, there)
            if not isinstance(found, Agreement) or not found.pending:
                continue
            to = found.pending[0]
            guid, when = self._sent.get(member, (0, -1e9))
            if guid == to.guid and now - when < PATIENCE_SECONDS:
                continue
            base = join_snapshot(place, found.base.name) if found.base else None
            content = yield Command(
                "ZfsPort", "stream_of", (join_snapshot(place, to.name), base),
                {"raw": False, "resume": None},
            )  # fmt: skip
            properties = yield from ask(ZfsPort.observe_properties, place)
            if not RIGHTS[role.state].sends or not may_speak(epoch, role.memory.seen):
                return
            self._sent[member] = (to.guid, now)
            from_guid = found.base.guid if found.base else 0
            self.node.site.watch.sends(self.node, epoch)
            message = Streamed(epoch, member, to, from_guid, content, properties)
            self.node.site.wire.send(self.node, message)

    # Receiving.

    def arrived(self, message: object) -> None:
        """Something of the other node is here."""
        node, role = self.node, self.node.role
        if node.tasks is None or role is None:
            return
        if isinstance(message, Streamed):
            engine = self._receive(role, message)
            node.tasks.run(engine, node.ports, lambda _v, _e: node.nudge())
        elif isinstance(message, Told):
            node.tasks.run(self._learn(role, message), node.ports, lambda _v, _e: None)
        elif isinstance(message, Asked):
            node.tasks.run(self._confirm(role, message), node.ports, lambda _v, _e: None)
        elif isinstance(message, Confirmed):
            self._confirmed(role, message)

    def check_right(self, snapshot: str) -> None:
        """The kernel's own check, at the moment of the commit."""
        place = snapshot.partition("@")[0]
        rights = self.node.machine.datasets.may_receive
        if not any(f"{place}/".startswith(f"{above}/") for above in rights):
            raise Standing("no-rights", f"The receiving user may not receive into {place}.")
        if self._receiving.get(place):
            raise Passing("stream-cut", "The receive was ended.")

    def _learn(self, role: RoleNode, told: Told) -> Engine[None]:
        for manifest in told.manifests:
            if manifest not in role.manifests:
                record = {"source": self.node.peer.here.uuid, "manifest": encode(manifest)}
                yield from ask(JournalPort.append, "manifest", record)
                role.note_manifest(manifest)

    def _admits(self, role: RoleNode, epoch: Epoch) -> bool:
        try:
            judge_stream(role.state, role.memory, self.node.peer.here.uuid, epoch)
        except ZrError as error:
            self.node.site.watch.seen[f"stream refused: {error.reason}"] += 1
            return False
        return True

    def _receive(self, role: RoleNode, streamed: Streamed) -> Engine[None]:
        place = role.group.members[streamed.member]
        if not self._admits(role, streamed.epoch) or place in self._receiving:
            return
        self._receiving[place] = False
        try:
            resume = yield from ask(ZfsPort.observe_resume, place)
            if resume is not None:
                yield from ask(ZfsPort.abort_receive, place, resume.to_guid)
            if streamed.from_guid == 0:
                yield from ask(ZfsPort.create_placeholder, place.rpartition("/")[0])
            name = join_snapshot(place, streamed.to.name)
            yield Command(
                "ZfsPort", "receive_stream", (name, streamed.content),
                {"to_guid": streamed.to.guid, "from_guid": streamed.from_guid, "raw": False},
            )  # fmt: skip
            originals = {f"{ORIGINAL_PREFIX}{k}": v for k, v in streamed.properties.items()}
            yield from ask(ZfsPort.set_user_properties, (place,), originals)
        except ZrError as error:
            self.node.site.watch.seen[f"receive failed: {error.reason}"] += 1
        finally:
            del self._receiving[place]

    # Receipts.

    def want(self, ident: str, before: frozenset[int]) -> bool:
        """A client asks for a receipt; False where this node does not give any now."""
        role = self.node.role
        if role is None or not RIGHTS[role.state].confirms or role.memory.head is None:
            return False
        self.wanted[ident] = (before, None)
        self.node.nudge()
        return True

    def _ask(self, role: RoleNode, epoch: Epoch) -> None:
        if not RIGHTS[role.state].confirms:
            self.wanted.clear()
        for ident, (_, manifest) in self.wanted.items():
            now = self.node.loop.now
            if manifest is not None and now - self._asked_at.get(ident, -1e9) > 1.0:
                self._asked_at[ident] = now
                self.node.site.wire.send(self.node, Asked(epoch, ident, manifest))

    def _confirm(self, role: RoleNode, asked: Asked) -> Engine[None]:
        if not self._admits(role, asked.epoch):
            return
        holdings = []
        for member, guid in sorted(asked.manifest.members.items()):
            history = yield from ask(ZfsPort.observe_history, role.group.members[member])
            found = history.snapshot(guid)
            if found is None:
                return
            holdings.append(Holding(member, member, guid, found.name))
        me, other = role.group.here, role.group.peer
        receipt = Receipt(
            FORMAT, other.uuid, other.name, me.uuid, me.name, str(asked.epoch), asked.manifest.at,
            asked.manifest.at, {role.group.name: asked.manifest.seq}, tuple(holdings),
        )  # fmt: skip
        if not self._admits(role, asked.epoch):  # asked again, right before it is given
            return
        record = {"id": asked.ident, "receipt": encode(receipt)}
        yield from ask(JournalPort.append, "receipt", record)
        self.node.site.watch.confirms(self.node, asked.epoch)
        self.node.site.wire.send(self.node, Confirmed(asked.epoch, asked.ident))

    def _confirmed(self, role: RoleNode, said: Confirmed) -> None:
        """The standby has it: the client hears so, if this node still may say it."""
        head = role.memory.head
        waiting = self.wanted.pop(said.ident, None)
        if waiting is None or head is None or head.epoch != said.epoch:
            return
        if RIGHTS[role.state].confirms and may_speak(said.epoch, role.memory.seen):
            self.node.site.watch.receipted(self.node, said.ident, waiting[0])
