"""The receiver's side of one stream: place it, receive, read back, journal, hold.

"Committed" is said only after the pool showed the guid and the journal has it. The source's dataset
name is a label: it is checked as a ZFS name and placed strictly below this node's replica parent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from zrepl_py.core.diff import newest_own
from zrepl_py.core.placement import choose_name, find_marked, find_unmarked
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.errors import Corrupt, Passing, Refused, Standing
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import (
    check_dataset_name,
    check_room,
    join_snapshot,
    parse_tick,
    render_hold,
)
from zrepl_py.model.observation import Dataset, ReplicaView
from zrepl_py.model.policy import Limits
from zrepl_py.model.properties import LANE_PROPERTY, ORIGINAL_PREFIX
from zrepl_py.model.site import Node
from zrepl_py.model.wire import Begin
from zrepl_py.ports.journal import JournalPort, Json
from zrepl_py.ports.zfs import ZfsPort


@dataclass(frozen=True, slots=True)
class Place:
    """Where one source's replicas live on this node."""

    parent: str
    """`back/zr/alpha`: made for this source alone. Empty: a dataset is called as at its source."""
    source: Node
    fixed: str = ""
    """Of a group with roles, its pool here: a member is found by its name alone, for it was here
    before any lane, and lanes change with the direction."""

    @property
    def pool(self) -> str:
        """The pool's name."""
        return self.fixed or self.parent.split("/")[0]

    def replica(self, dataset: str) -> str:
        """The replica's name for a source's dataset; raises Refused(bad-name)."""
        check_dataset_name(dataset)
        above = f"{self.parent}/" if self.parent else ""
        return check_room(check_dataset_name(f"{above}{dataset}"))


@dataclass(frozen=True, slots=True)
class Replica:
    """One lane's replica on this node: where it is (or will be), and what it has."""

    name: str
    view: ReplicaView
    marked: bool = False
    """It says itself which lane it belongs to, so it is found whatever the source calls it."""


def observe_replica(place: Place, lane: str, dataset: str) -> Engine[Replica]:
    """Find a lane's replica, and look at it.

    The lane's uuid decides, so a renamed source keeps its replica. Errors: Refused(lane-mismatch)
    where another lane's replica stands at the name that this one would get.
    """
    seen = yield from _datasets_below(place)
    usual = place.replica(dataset)
    if place.fixed:
        found = next((d for d in seen if d.name == usual), None)
    else:
        found = find_marked(seen, lane) or find_unmarked(seen, usual, lane)
    if found is None:
        if not place.fixed and any(
            d.name == usual and LANE_PROPERTY in d.user_properties for d in seen
        ):
            raise Refused(
                "lane-mismatch",
                f"{usual} is the replica of another dataset than lane {lane}: the source's "
                f"{dataset} was destroyed and made again, or renamed over.",
                f"Rename {usual} on the target to keep it; a new replica is then begun.",
            )
        return Replica(usual, ReplicaView(False), not place.parent)
    history = yield from ask(ZfsPort.observe_history, found.name)
    resume = yield from ask(ZfsPort.observe_resume, found.name)
    held = yield from _observe_held(place, found.name, history)
    mark = found.user_properties.get(LANE_PROPERTY)
    marked = mark is not None
    if place.fixed:  # its lane may be another one by now; at its founder it has never had one
        marked = mark == lane or not place.parent
    return Replica(found.name, ReplicaView(True, history, resume, held), marked)


def _datasets_below(place: Place) -> Engine[list[Dataset]]:
    try:
        seen = yield from ask(ZfsPort.observe_datasets, place.parent or place.pool)
    except Standing as error:
        if error.reason != "dataset-missing":
            raise
        return []  # nothing of this source was ever received
    return seen


def _observe_held(place: Place, name: str, history: History) -> Engine[frozenset[int]]:
    tag = render_hold(place.source.short)
    guids = {join_snapshot(name, s.name): s.guid for s in history.snapshots}
    holds = yield from ask(ZfsPort.observe_holds, tuple(guids))
    return frozenset(guids[snapshot] for snapshot, tags in holds.items() if tag in tags)


def hold_base(place: Place, replica: Replica, lane: str, guid: int) -> Engine[Replica]:
    """Hold the snapshot that the source calls the last common one, and our newest; release others.

    The newest too: where the sides have diverged, it may be the only copy of what it has. That both
    have one proves whose replica it is: one that a crash left unmarked is marked, before the hold,
    for its children wait for the mark. Errors: Standing(snapshot-missing).
    """
    history, held = replica.view.history, replica.view.held
    newest = newest_own(history)
    wanted = frozenset({guid, newest.guid} if newest else {guid})
    if history.snapshot(guid) is None:
        raise Standing(
            "snapshot-missing",
            f"The snapshot that should be the base of {replica.name} (guid {guid}) is gone there.",
            "Nothing is to be done: both sides are looked at again.",
        )
    tag = render_hold(place.source.short)
    if not replica.marked:
        yield from ask(ZfsPort.set_user_properties, (replica.name,), {LANE_PROPERTY: lane})
    if wanted - held:
        yield from ask(ZfsPort.hold, _names(replica, wanted - held), tag)
    if held - wanted:
        yield from ask(ZfsPort.release, _names(replica, held - wanted), tag)
    return replace(replica, view=replace(replica.view, held=wanted), marked=True)


def _names(replica: Replica, guids: frozenset[int]) -> tuple[str, ...]:
    snapshots = replica.view.history.snapshots
    return tuple(join_snapshot(replica.name, s.name) for s in snapshots if s.guid in guids)


def prepare_receive(
    place: Place, replica: Replica, begin: Begin, limits: Limits
) -> Engine[Replica]:
    """What must be true before a stream is read; a replica that is new here gets its name.

    Errors: Refused(bad-name); Passing(low-space, parent-missing).
    """
    if parse_tick(begin.to_name) is None:
        raise Refused("bad-name", f"{begin.to_name!r} is not a snapshot that zr took.")
    pool = yield from ask(ZfsPort.observe_pool, place.pool)
    if pool.free_bytes * 100 < pool.size_bytes * limits.min_free_percent:
        raise Passing(
            "low-space",
            f"Pool {pool.name} has {pool.free_bytes >> 20} MiB free of {pool.size_bytes >> 20}, "
            f"less than {limits.min_free_percent} %: nothing is received.",
            "Free space on the target, or shorten its retention.",
        )
    if replica.view.exists or begin.from_guid or begin.resumes:
        return replica
    seen = yield from _datasets_below(place)
    name = replica.name
    if not place.fixed:
        above = _check_parent(seen, begin)
        name = choose_name(seen, name, begin.lane.lane, above)
    folder = name.rpartition("/")[0]
    if all(d.name != folder for d in seen):
        yield from ask(ZfsPort.create_placeholder, folder)
    return replace(replica, name=name)


def _check_parent(seen: Sequence[Dataset], begin: Begin) -> Dataset | None:
    """The replica of the dataset above. It comes first, so that no placeholder takes its name and
    what belongs together stands together."""
    if not begin.parent:
        return None
    above = find_marked(seen, begin.parent)
    if above is None:
        raise Passing(
            "parent-missing",
            f"The replica of the dataset above {begin.lane.dataset} is not here.",
            "Its lane is looked at again, and sent first.",
        )
    return above


def receive_stream(place: Place, replica: Replica, begin: Begin, fd: int) -> Engine[Snapshot]:
    """Receive one stream into a replica; returns what landed, as the pool shows it.

    The first command takes over `fd`: whatever fails later, it is closed.
    Errors: those of ZfsPort.receive; Corrupt(wrong-guid).
    """
    name = replica.name
    snapshot = join_snapshot(name, begin.to_name)
    try:
        yield from ask(
            ZfsPort.receive,
            snapshot,
            fd=fd,
            to_guid=begin.to_guid,
            from_guid=begin.from_guid,
            raw=begin.raw,
        )
    except Standing as error:
        if not place.fixed or error.reason != "no-rights":
            raise
        # A member that is new: the next turn of the role gives the right.
        raise Passing(
            "role-closed",
            f"The right to receive into {name} is not given yet.",
            "It is tried again by itself; if it lasts for minutes, `zr status` on the node that "
            "receives says why.",
        ) from error
    landed = yield from ask(ZfsPort.observe_snapshot, snapshot)
    if landed is None or landed.guid != begin.to_guid:
        found = landed.guid if landed else "nothing"
        raise Corrupt("wrong-guid", f"{snapshot} was received, but the pool shows {found} there.")
    if not replica.marked:
        lane = {LANE_PROPERTY: begin.lane.lane}
        yield from ask(ZfsPort.set_user_properties, (name,), lane)
    record: dict[str, Json] = {
        "lane": begin.lane.lane,
        "source": place.source.uuid,
        "dataset": begin.lane.dataset,
        "guid": landed.guid,
        "name": landed.name,
        "epoch": begin.epoch,
    }
    yield from ask(JournalPort.append, "received", record)
    tag = render_hold(place.source.short)
    yield from ask(ZfsPort.hold, (snapshot,), tag)
    others = _names(replica, replica.view.held - {landed.guid})
    if others:
        yield from ask(ZfsPort.release, others, tag)
    return landed


def store_properties(place: Place, name: str, properties: Mapping[str, str]) -> Engine[None]:
    """Store the source's properties as `zr:orig:*` on the replica, and remove those not named."""
    seen = yield from _datasets_below(place)
    found = next((d for d in seen if d.name == name), None)
    stored = found.user_properties if found else {}
    wanted = {ORIGINAL_PREFIX + key: value for key, value in properties.items()}
    gone = {key: "" for key in stored if key.startswith(ORIGINAL_PREFIX) and key not in wanted}
    changed = {key: value for key, value in wanted.items() if stored.get(key) != value}
    if changed or gone:
        yield from ask(ZfsPort.set_user_properties, (name,), {**changed, **gone})
