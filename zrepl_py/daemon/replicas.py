"""The replicas that this node keeps for others: what it does when a peer asks, as engines.

Per lane it remembers where the replica is and what it has; the memory is dropped on any error and
observed again. Runs as engines of one agenda, so it needs no lock (engine/commands.py), but whoever
runs them gives a lane's engines their turns: one at a time (receiver.py does).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from zrepl_py.core.caution import Removal, plan_removal
from zrepl_py.core.codec import decode, encode
from zrepl_py.core.diff import newest_own
from zrepl_py.core.pins import pin_running
from zrepl_py.core.retention import Votes, join_pins
from zrepl_py.core.selection import is_selected
from zrepl_py.daemon.arrivals import Arrivals
from zrepl_py.daemon.doubts import Doubts
from zrepl_py.daemon.leftovers import Leftovers
from zrepl_py.daemon.troubles import Trouble
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.last_look import LastLook, plan_freshly
from zrepl_py.engine.prune import Doom, prune
from zrepl_py.engine.receipt import check_holding, journal_receipt
from zrepl_py.engine.receive import (
    Place,
    Replica,
    hold_base,
    observe_replica,
    prepare_receive,
    receive_stream,
    store_properties,
)
from zrepl_py.errors import Bug, Passing, Refused, ZrError
from zrepl_py.events import Event
from zrepl_py.model.history import History
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.policy import Keep, Limits, Policy
from zrepl_py.model.receipt import Receipt
from zrepl_py.model.site import Manifest
from zrepl_py.model.wire import Begin, Committed, LaneName
from zrepl_py.ports.journal import JournalPort
from zrepl_py.ports.zfs import ZfsPort

Tell = Callable[..., None]


@dataclass
class Known:
    """One lane as this node knows it."""

    place: Place
    dataset: str
    """The source's name of it."""
    replica: Replica | None = None
    """None: to be observed before it is believed."""
    pruned: Replica | None = None
    """What it was when nothing of it was to be destroyed, and nothing kept anything else."""
    seen: Replica | None = None
    """What it was when it was last known: for people only, `replica` decides."""
    refused: ZrError | None = None
    """Why the last stream was not received; None: it was."""
    trouble: Trouble = field(default_factory=Trouble)
    """What was told of refusals."""

    @property
    def shown(self) -> Replica | None:
        """The newest that is known of it, however old."""
        self.seen = self.replica or self.seen
        return self.seen

    def forget(self) -> None:
        """Believe nothing of it until it is observed."""
        self.seen, self.replica = self.replica or self.seen, None


class Replicas:
    """Every lane that ends at this node."""

    def __init__(
        self,
        *,
        name: str,
        places: Iterable[Place],
        policies: Iterable[Policy],
        ports: Mapping[str, Any],
        tell: Tell,
        arrivals: Arrivals | None = None,
    ) -> None:
        """`ports` are asked for nothing here but what the journal already has. `arrivals`: where
        groups have roles."""
        self.lanes: dict[str, Known] = {}
        self.ports = dict(ports)
        self._name = name
        self._places = {p.source.uuid: p for p in places}
        self._policies = tuple(policies)
        self._arrivals = arrivals or Arrivals()
        self._tell = tell
        self._doubts, self._leftovers = Doubts(tell), Leftovers(tell)
        self.readers: Callable[[], Mapping[int, str]] = dict
        """guid → what a source asks for and reads now."""
        self._peers = {p.source.short: p.source.name for p in self._places.values()}
        self._told: dict[tuple[str, str, str], int] = {}
        """(source, group, epoch) → the newest tick that is journalled here."""
        self._writing: set[tuple[str, str, str]] = set()
        for record in ports["JournalPort"].records("manifest"):
            known: Manifest = decode(Manifest, record["manifest"])
            self._told[record["source"], known.group, known.epoch] = known.seq

    @property
    def questions(self) -> list[dict[str, Any]]:
        """What retention asks here."""
        return self._doubts.questions

    def expects(self, source: str, but: Collection[str]) -> bool:
        """A policy that is none of `but` (names) lets that node (its name) send here."""
        return any(
            policy.source == source and self._name in policy.targets and policy.name not in but
            for policy in self._policies
        )

    def find(self, source: str, lane: LaneName) -> Known:
        """The lane, as far as it is known. Errors: Refused(not-a-target, lane-mismatch);
        Passing(role-closed)."""
        place = self._place(source, lane.dataset)
        self._arrivals.check(source, lane.dataset)
        known = self.lanes.setdefault(lane.lane, Known(place, lane.dataset))
        if known.place.source == place.source and known.place != place:
            known = self.lanes[lane.lane] = Known(place, lane.dataset)  # it has got roles
        if known.place != place:
            raise Refused("lane-mismatch", f"Lane {lane.lane} belongs to another source.")
        return known

    def observe(self, known: Known, lane: LaneName) -> Engine[ReplicaView]:
        """See ReceiverPort.observe_replica."""
        known.forget()
        return (yield from self._replica(known, lane)).view

    def prepare(self, known: Known, begin: Begin) -> Engine[Replica]:
        """What comes before a stream; then comes `receive`, and nothing between them."""
        try:
            replica = yield from self._replica(known, begin.lane)
            known.forget()  # until it is known how this ends
            policy = self._policy_of(known)
            limits = policy.limits if policy else Limits()
            return (yield from prepare_receive(known.place, replica, begin, limits))
        except ZrError as error:
            self._refused(known, begin, error)
            raise

    def receive(self, known: Known, replica: Replica, begin: Begin, fd: int) -> Engine[Committed]:
        """See ReceiverPort.receive; the first command takes over `fd`."""
        before = replica.view.history
        try:
            landed = yield from receive_stream(known.place, replica, begin, fd)
        except ZrError as error:
            self._refused(known, begin, error)
            raise
        known.refused = None
        known.trouble.end()
        after = before.with_snapshots((*before.snapshots, landed))
        view = ReplicaView(True, after, held=frozenset({landed.guid}))
        known.replica = replace(replica, view=view, marked=True)
        self._tell(Event.RECEIVED, dataset=begin.lane.dataset, snapshot=begin.to_name)
        return Committed(landed.guid, landed.createtxg)

    def abort_partial(self, known: Known, lane: LaneName, to_guid: int) -> Engine[None]:
        """See ReceiverPort.abort_partial."""
        name = (yield from self._replica(known, lane)).name
        known.forget()
        yield from ask(ZfsPort.abort_receive, name, to_guid)
        self._tell(Event.RECEIVE_ABORTED, dataset=lane.dataset, guid=to_guid)

    def hold_base(self, known: Known, lane: LaneName, guid: int) -> Engine[None]:
        """See ReceiverPort.hold_base."""
        replica = yield from self._replica(known, lane)
        known.forget()  # until it is known how this ends
        known.replica = yield from hold_base(known.place, replica, lane.lane, guid)

    def store_manifest(self, source: str, manifest: Manifest) -> Engine[None]:
        """See ReceiverPort.store_manifest. Needs no turn."""
        if not self._arrivals.knows(source):
            self._place(source)
        key = (source, manifest.group, manifest.epoch)
        if manifest.seq <= self._told.get(key, 0):
            return  # told again after a restart, or because an answer was lost
        if key in self._writing:
            # The source gave the first try up, and asks again while the disk is slow.
            raise Passing("busy", f"An earlier tick of {manifest.group} is still being written.")
        self._writing.add(key)
        try:
            record = {"source": source, "manifest": encode(manifest)}
            yield from ask(JournalPort.append, "manifest", record)
        finally:
            self._writing.discard(key)
        self._told[key] = manifest.seq
        self._arrivals.note_manifest(source, manifest)
        self._note_arrived(source, manifest)

    def _note_arrived(self, source: str, manifest: Manifest) -> None:
        """What a tick says to be all there is, and is here, is not refused any more."""
        for known in self.lanes.values():
            if known.refused is None or known.place.source.uuid != source or not known.shown:
                continue
            newest = newest_own(known.shown.view.history)
            if newest is not None and manifest.members.get(known.dataset) == newest.guid:
                known.refused = None
                known.trouble.end()

    def store_receipt(self, source: str, receipt: Receipt) -> Engine[None]:
        """See ReceiverPort.store_receipt. Needs no turn: it looks, and remembers nothing of it."""
        if receipt.source != source:
            raise Refused("receipt-false", "A receipt is asked for by the node that it names.")
        for held in receipt.holdings:
            self._arrivals.check(source, held.dataset)
            place = self._place(source, held.dataset)
            known = self.lanes.get(held.lane)
            replica = known.replica if known is not None and known.place == place else None
            if replica is None:
                replica = yield from observe_replica(place, held.lane, held.dataset)
            yield from check_holding(replica.name, held)
        for held in receipt.holdings:  # asked again, right before it is given
            self._arrivals.check(source, held.dataset)
        yield from journal_receipt(receipt)

    def histories_of(self, receipt: Receipt) -> Engine[dict[str, History]]:
        """Lane → what this node has of it, by a look at the pool, for every holding."""
        seen = {}
        for held in receipt.holdings:
            place = self._place(receipt.source, held.dataset)
            replica = yield from observe_replica(place, held.lane, held.dataset)
            seen[held.lane] = replica.view.history
        return seen

    def store_properties(
        self, known: Known, lane: LaneName, properties: Mapping[str, str]
    ) -> Engine[None]:
        """See ReceiverPort.store_properties."""
        name = (yield from self._replica(known, lane)).name
        yield from store_properties(known.place, name, properties)

    def is_pruned(self, known: Known) -> bool:
        """It is as it was when nothing was to be destroyed. What stays follows from the snapshots
        alone, never from the clock."""
        return known.replica is not None and known.replica is known.pruned

    def prune(self, known: Known) -> Engine[None]:
        """Destroy what nobody votes for of one replica, if it is known. Errors are told."""
        try:
            yield from self._prune(known)
        except Bug:
            raise
        except ZrError as error:
            known.forget()
            name = known.dataset
            self._tell(Event.PRUNE_FAILED, dataset=name, reason=error.reason, message=str(error))

    def _prune(self, known: Known) -> Engine[None]:
        policy, replica = self._policy_of(known), known.replica
        if policy is None or replica is None or replica is known.pruned:
            return
        if not self._arrivals.is_open(known.place.source.uuid, known.dataset):
            return
        look = yield from self._look(policy, replica)
        self._doubts.note(replica.name, look.removal)
        left = self._leftovers.note(replica.name, look)
        doomed = tuple(v.snapshot for v in look.removal.doomed)
        if look.gone:
            replica = known.replica = _with_history(replica, look.history)
        if not (doomed or look.removal.withheld or look.spared):
            known.pruned = replica
            return
        self._leftovers.begin(s.guid for s in doomed)
        newest = newest_own(look.history)
        pinned = frozenset(look.pins) | ({newest.guid} if newest else set())
        doom = Doom(doomed, look.history, pinned)
        pruned = yield from prune({replica.name: doom})
        gone = pruned.gone_of(replica.name)
        kept = tuple(s for s in look.history.snapshots if s.name not in gone)
        known.replica = _with_history(replica, look.history.with_snapshots(kept))
        self._leftovers.end(s.guid for s in doomed)
        if pruned.outcomes or left:
            self._tell(Event.PRUNED, dataset=replica.name, **pruned.told(left))

    def _look(self, policy: Policy, replica: Replica) -> Engine[LastLook]:
        view, keep = replica.view, policy.keep.get(self._name, Keep())
        why = "held: the last common base, or what came after it"

        def plan(history: History, found: Votes) -> tuple[Removal, Votes]:
            pins = join_pins(
                found,
                dict.fromkeys(view.held, (why,)),
                pin_running(self.readers()),
            )
            # Without a clock: the times are of the source's.
            return plan_removal(history, keep, policy.limits, pins), pins

        return (
            yield from plan_freshly(
                replica.name, view.history, policy.limits, plan, self._peers, self.readers
            )
        )

    def _policy_of(self, known: Known) -> Policy | None:
        source = known.place.source.name
        if (shared := self._arrivals.policy(known.place.source.uuid, known.dataset)) is not None:
            return shared
        for policy in self._policies:
            if policy.source == source and is_selected(policy.selection, known.dataset):
                return policy
        return None

    def _replica(self, known: Known, lane: LaneName) -> Engine[Replica]:
        known.dataset = lane.dataset
        if known.replica is None:
            known.replica = yield from observe_replica(known.place, lane.lane, lane.dataset)
            before, now = known.seen, known.replica
            if before is not None and before.name == now.name and now.view.exists:
                self._leftovers.compare(now.name, before.view.history, now.view.history)
        return known.replica

    def turn_round(self, source: str) -> None:
        """A role changed in a group that is shared with this node (its uuid): what is remembered
        of its members is not true any more."""
        for lane, known in list(self.lanes.items()):
            of_roles = self._arrivals.policy(source, known.dataset) is not None
            if known.place.source.uuid == source and of_roles:
                del self.lanes[lane]

    def check_open(self, known: Known) -> None:
        """Passing(role-closed) where its source is not followed any more."""
        self._arrivals.check(known.place.source.uuid, known.dataset)

    def _place(self, source: str, dataset: str = "") -> Place:
        place = self._arrivals.place(source, dataset) or self._places.get(source)
        if place is None:
            raise Refused(
                "not-a-target",
                f"{self._name} is not configured to keep replicas of node {source}.",
                "Name a replica parent in zr.toml on the target.",
            )
        return place

    def _refused(self, known: Known, begin: Begin, error: ZrError) -> None:
        known.refused = error
        if known.trouble.is_news(error.reason, str(error)):
            self._tell(
                Event.RECEIVE_REFUSED,
                dataset=begin.lane.dataset,
                snapshot=begin.to_name,
                reason=error.reason,
                message=str(error),
            )


def _with_history(replica: Replica, history: History) -> Replica:
    view = replica.view
    held = frozenset(guid for guid in view.held if history.snapshot(guid) is not None)
    return replace(replica, view=replace(view, history=history, held=held))
