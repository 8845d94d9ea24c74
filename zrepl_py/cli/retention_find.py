"""Which datasets of this node does a retention mean, and what stands on their snapshots now?

Looks at the pools itself, with the caller's rights: the answer does not depend on a daemon that
may be down, and what it remembers does not count. Reads only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zrepl_py.adapters.control import CONTROL_SOCKET, call
from zrepl_py.adapters.doctor.datasets import observe_names, observe_room
from zrepl_py.adapters.zfs.command import CommandZfs
from zrepl_py.core.caps import NO_CAPS, Caps, find_awaited, judge_room
from zrepl_py.core.caution import Removal, plan_removal
from zrepl_py.core.copies import plan_copies
from zrepl_py.core.explain import find_nearest
from zrepl_py.core.pins import pin_bases, pin_dependents, pin_running
from zrepl_py.core.retention import Verdict, Votes, join_pins, judge, own_of
from zrepl_py.core.selection import is_selected, select_datasets
from zrepl_py.errors import Refused, Standing, ZrError
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.history import History
from zrepl_py.model.names import join_snapshot
from zrepl_py.model.observation import PoolView
from zrepl_py.model.policy import Keep, Policy
from zrepl_py.ports.zfs import ZfsPort
from zrepl_py.wiring import wire_pins

READERS_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Meant:
    """A dataset of this node whose snapshots a retention judges."""

    name: str
    """Its name here."""
    source: str
    """The node whose dataset it is."""
    dataset: str
    """Its name there; the same where it is this node's own."""
    policy: Policy
    keep: Keep
    has_roles: bool = False

    @property
    def is_replica(self) -> bool:
        """Kept for another node."""
        return self.name != self.dataset

    @property
    def targets(self) -> tuple[str, ...]:
        """Where its copies go. With roles the other node, whoever serves now: a pool does not
        say."""
        if not self.is_replica:
            return self.policy.targets
        return (self.source,) if self.has_roles else ()


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of one dataset, and what follows."""

    meant: Meant
    history: History
    pins: Votes
    verdicts: tuple[Verdict, ...]
    """Of all that zr made, oldest first, as the rules say; without caution."""
    removal: Removal
    around: "Around | None" = None


@dataclass(frozen=True, slots=True)
class Around:
    """What counts beside the dataset itself."""

    peers: Mapping[str, str]
    """As in core/pins.py."""
    room: PoolView


def find_meant(node: NodeConfig, policies: Sequence[Policy], wanted: str | None) -> list[Meant]:
    """All, or the one that is called `wanted`: here, or on its source.

    Errors: Refused(not-protected) where no policy means it.
    """
    names = observe_names()
    found = [*_own(node, policies, names), *_replicas(node, policies)]
    if wanted is None:
        return found
    one = [m for m in found if m.name == wanted] or [m for m in found if m.dataset == wanted]
    if not one:
        near = find_nearest(wanted, [m.name for m in found])
        raise Refused(
            "not-protected",
            f"No retention of this node means {wanted}"
            + (f"; did you mean {' or '.join(near)}?" if near else "."),
            "`zr policy explain` says why.",
        )
    return one


def look(meant: Meant, peers: Mapping[str, str], readers: Mapping[int, str], now: float) -> Looked:
    """Observe it, and judge. `readers`: whom the daemon knows. Errors: those of ZFS."""
    pool = meant.name.split("/")[0]
    seen = observe_room(pool, meant.policy.limits.min_free_percent)  # needs no rights
    room = PoolView(pool, 0, "", seen.size_bytes, seen.free_bytes)
    return look_through(CommandZfs(), meant, Around(peers, room), readers, now)


def look_through(
    zfs: ZfsPort, meant: Meant, around: Around, readers: Mapping[int, str], now: float
) -> Looked:
    """The same, through this port. Errors: those of ZFS."""
    history = zfs.observe_history(meant.name)
    names = {join_snapshot(meant.name, s.name): s.guid for s in own_of(history)}
    dependents = zfs.observe_dependents(tuple(names))
    pins = join_pins(
        pin_dependents({names[n]: d for n, d in dependents.items()}, around.peers, readers),
        pin_bases(history, around.peers),
        pin_running(readers),
    )
    return judge_look(meant, history, pins, now, around)


def judge_look(
    meant: Meant, history: History, pins: Votes, now: float, around: Around | None = None
) -> Looked:
    """The same, of what was observed."""
    limits, caps = meant.policy.limits, NO_CAPS
    if around is not None and meant.targets:
        awaited = find_awaited(history, meant.targets, meant.policy.keep, around.peers)
        caps = Caps(awaited, judge_room(around.room, limits))
    # Times of a replica's snapshots are of its source's clock, not of this one.
    clock = None if meant.is_replica else now
    removal = plan_removal(history, meant.keep, limits, pins, now=clock, caps=caps)
    verdicts = judge(history, meant.keep, limits, pins, caps=caps)
    return Looked(meant, history, pins, verdicts, removal, around)


def find_peers(node: NodeConfig) -> dict[str, str]:
    """First 8 hex digits of each paired node's uuid → its name; as far as they can be read."""
    try:
        return {pin.node.short: name for name, pin in wire_pins(node).items()}
    except ZrError:
        return {}


def find_readers(node: NodeConfig) -> dict[int, str]:
    """guid → who reads it, as the daemon knows it; nobody where it does not answer: what it does
    ends with it."""
    path = Path(node.run_dir) / CONTROL_SOCKET
    try:
        said: dict[str, str] = call(path, "status", READERS_SECONDS).get("readers", {})
    except ZrError:
        return {}
    return {int(guid): who for guid, who in said.items()}


def _own(node: NodeConfig, policies: Sequence[Policy], names: Sequence[str]) -> Iterator[Meant]:
    reserved = (node.replica_parent,) if node.replica_parent else ()
    for policy in policies:
        if policy.source == node.name:
            keep = policy.keep.get(node.name, Keep())
            for name in select_datasets(policy.selection, tuple(names), reserved).names:
                yield Meant(name, node.name, name, policy, keep)


def _replicas(node: NodeConfig, policies: Sequence[Policy]) -> Iterator[Meant]:
    if node.replica_parent is None:
        return
    try:
        datasets = CommandZfs().observe_datasets(node.replica_parent)
    except Standing as error:
        if error.reason not in ("dataset-missing", "pool-missing"):
            raise
        return
    for copy in plan_copies(node.replica_parent, datasets):
        for policy in policies:
            if policy.source == copy.source and is_selected(policy.selection, copy.dataset):
                keep = policy.keep.get(node.name, Keep())
                has_roles = policy.name in node.roles
                yield Meant(copy.stored, copy.source, copy.dataset, policy, keep, has_roles)
