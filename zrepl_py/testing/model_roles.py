"""Two machines' ports of the roles, in memory: the wire between them, their lanes, an authority.

A `RoleEnd` is one machine's side as the other one reaches it; `node` is None while its daemon does
not run. Everything that is told goes through the codec, as it will on the wire. A cut wire, or a
daemon that does not run, is silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from zrepl_py.core.codec import decode, encode
from zrepl_py.core.diff import Agreement, diff
from zrepl_py.core.role_words import Heartbeat, RoleWord, ShipOrder, judge_stream
from zrepl_py.core.roles import RIGHTS
from zrepl_py.engine.role_node import RoleNode, say
from zrepl_py.engine.role_tree import Trees, find_inherited
from zrepl_py.errors import Passing, Refused, Standing, ZrError
from zrepl_py.model.history import EMPTY, Snapshot
from zrepl_py.model.names import join_snapshot
from zrepl_py.model.properties import ORIGINAL_PREFIX
from zrepl_py.model.rescue import Sight, render_rescue_snapshot, shipped_place
from zrepl_py.model.roles import Authority, Order
from zrepl_py.ports.clock import ClockPort
from zrepl_py.testing.model_datasets import ModelDatasets
from zrepl_py.testing.model_journal import ModelJournal
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import Version

T = TypeVar("T")


@dataclass
class RoleEnd:
    """One machine, as the other one can reach it."""

    uuid: str
    short: str
    zfs: ModelZfs
    datasets: ModelDatasets
    journal: ModelJournal
    clock: ClockPort
    node: RoleNode | None = None


@dataclass
class RoleWire:
    """Between the two."""

    ends: dict[str, RoleEnd] = field(default_factory=dict)
    up: bool = True

    def other(self, uuid: str) -> tuple[RoleEnd, RoleNode]:
        """Who is at the other end. Errors: Passing(peer-silent)."""
        end = next(e for u, e in self.ends.items() if u != uuid)
        if not self.up or end.node is None:
            raise Passing("peer-silent", "The other node does not answer.")
        return end, end.node


class ModelRolePeer:
    """See RolePeerPort."""

    def __init__(self, wire: RoleWire, me: str) -> None:
        self._wire, self._me = wire, me

    def exchange(self, mine: RoleWord) -> RoleWord:
        """See the port."""
        _, node = self._wire.other(self._me)
        _through(RoleWord, mine)
        return _through(RoleWord, say(node))

    def tell_heartbeat(self, beat: Heartbeat) -> None:
        """See the port."""
        end, node = self._wire.other(self._me)
        node.note_heartbeat(_through(Heartbeat, beat), end.clock.monotonic())

    def observe_shipped(self, label: str) -> frozenset[int]:
        """See the port."""
        end, node = self._wire.other(self._me)
        found = set()
        for member in node.group.members:
            place = self._place(node, label, member)
            for dataset in end.datasets.observe_tree(place):
                found |= {s.guid for s in end.zfs.observe_history(dataset.name).snapshots}
        return frozenset(found)

    def ship_rescue(self, snapshot: str, base: str | None, order: ShipOrder) -> None:
        """See the port."""
        end, node = self._wire.other(self._me)
        order = _through(ShipOrder, order)
        place, mine = self._place(node, order.label, order.member), self._wire.ends[self._me]
        version = mine.zfs.pools.version(snapshot)
        if version is None or order.name != render_rescue_snapshot(order.label):
            raise Refused("bad-name", f"{order.name!r} is no rescue's snapshot.")
        if order.to_guid in self.observe_shipped(order.label):
            return
        pools, name = end.zfs.pools, node.group.members[order.member]
        end.zfs.create_placeholder(place.rpartition("/")[0])
        found = pools.find(name)
        origin = (
            next((v for v in found.snapshots if v.guid == order.base_guid), None) if found else None
        )
        if origin is not None:
            pools.clone(join_snapshot(name, origin.name), place)
        elif order.base_guid:
            raise Refused("base-mismatch", f"{name} has no snapshot {order.base_guid}.")
        made = pools.dataset(place) if origin else pools.make_dataset(place, mounted=False)
        made.mounted, made.files = False, version.files
        made.local.update({"readonly": "on", "canmount": "noauto"})
        txg = pools.pools[place.split("/")[0]].sync()
        made.changed_txg = txg
        made.snapshots.append(
            Version(order.name, order.to_guid, txg, version.created_at, version.files, txg)
        )

    def _place(self, node: RoleNode, label: str, member: str) -> str:
        place = shipped_place(node.group.pool, self._wire.ends[self._me].short, label, member)
        if place is None or member not in node.group.members:
            raise Refused("bad-name", f"There is no rescue {label!r} of a member {member!r}.")
        return place


class ModelRoleLanes:
    """See RoleLanesPort: the lanes of one group, a whole stream at a time."""

    def __init__(self, wire: RoleWire, me: str) -> None:
        self._wire, self._me = wire, me
        self.receiving: set[str] = set()
        """Datasets into which a stream comes at this moment."""

    def observe_receives(self) -> frozenset[str]:
        """See the port."""
        return frozenset(self.receiving)

    def end_receives(self) -> None:
        """See the port."""
        self.receiving.clear()

    def note_tick(self, taken: Mapping[str, Snapshot]) -> None:
        """See the port: it looks anyhow."""

    def send_all(self) -> None:
        """See the port. Also what the lanes do by themselves, as often as they are let."""
        here = self._wire.ends[self._me]
        end, target = self._wire.other(self._me)
        source = here.node
        if source is None or not RIGHTS[source.state].sends:
            return
        if source.memory.head is None and source.group.founder != self._me:
            return
        for manifest in source.manifests:
            if manifest not in target.manifests:
                told = {"source": source.group.here.uuid, "manifest": encode(manifest)}
                end.journal.append("manifest", told)
                target.note_manifest(manifest)
        for member in sorted(source.group.members):
            try:
                self._send(member, here, source, end, target)
            except ZrError as error:
                if not isinstance(error, Refused | Passing):
                    raise

    def _send(
        self, member: str, here: RoleEnd, source: RoleNode, end: RoleEnd, target: RoleNode
    ) -> None:
        name, place = source.group.members[member], target.group.members[member]
        if here.zfs.pools.find(name) is None:
            return
        there = end.zfs.observe_history(place) if end.zfs.pools.find(place) else EMPTY
        agreement = diff(here.zfs.observe_history(name), there)
        if not isinstance(agreement, Agreement):
            return
        base = agreement.base
        for snapshot in agreement.pending:
            head = source.memory.head
            if head is not None:
                judge_stream(target.state, target.memory, self._me, head.epoch)
            if not any(
                _may_receive(end, above)
                for above in target.group.receive_below
                if f"{place}/".startswith(f"{above}/")
            ):
                raise Refused("peer-epoch", f"Nothing may be received below {place}.")
            if base is None and end.zfs.pools.find(place.rpartition("/")[0]) is None:
                end.zfs.create_placeholder(place.rpartition("/")[0])
            since = join_snapshot(name, base.name) if base else None
            full = join_snapshot(name, snapshot.name)
            raw = here.zfs.pools.dataset(name).encrypted
            stream = here.zfs.stream_of(full, since, raw=raw, resume=None)
            end.zfs.receive_stream(
                join_snapshot(place, snapshot.name), stream, to_guid=snapshot.guid,
                from_guid=base.guid if base else 0, raw=raw,
            )  # fmt: skip
            base = snapshot
        if agreement.pending:
            trees = Trees({d.name: Sight(d) for d in here.datasets.observe_tree(name)})
            beside = find_inherited(source, trees)
            carried = {**beside.get(name, {}), **here.zfs.observe_properties(name)}
            originals = {f"{ORIGINAL_PREFIX}{k}": v for k, v in carried.items()}
            end.zfs.set_user_properties((place,), originals)


def _may_receive(end: RoleEnd, place: str) -> bool:
    try:
        return end.datasets.observe_receive_right(place)
    except Standing:
        return False  # it is not there, and cannot be made either


@dataclass
class ModelAuthority:
    """See AuthorityPort: says what a test sets, else what `manual` says."""

    says: Authority | None = None

    def answer(self, order: Order) -> Authority:
        """See the port."""
        if self.says is not None:
            return self.says
        stated = order in (Order.FORCE, Order.CONTINUE, Order.RESOLVE)
        return Authority.GRANTED if stated else Authority.UNKNOWN


def _through(kind: type[T], value: T) -> T:
    return decode(kind, encode(value))
