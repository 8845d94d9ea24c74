"""Which datasets of this node does a retention mean, and what stands on their snapshots now?

Looks at the pools itself, with the caller's rights: the answer does not depend on a daemon that
may be down, and what it remembers does not count. Reads only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from zrepl_py.adapters.doctor.datasets import observe_names
from zrepl_py.adapters.zfs.command import CommandZfs
from zrepl_py.adapters.zfs.dependents import observe_dependents
from zrepl_py.core.caution import Removal, plan_removal
from zrepl_py.core.copies import plan_copies
from zrepl_py.core.explain import find_nearest
from zrepl_py.core.pins import pin_bases, pin_cloned, pin_held, pin_partial
from zrepl_py.core.retention import Verdict, Votes, join_pins, judge
from zrepl_py.core.selection import is_selected, select_datasets
from zrepl_py.errors import Refused, Standing, ZrError
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.history import History
from zrepl_py.model.policy import Keep, Policy
from zrepl_py.wiring import wire_pins


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

    @property
    def is_replica(self) -> bool:
        """Kept for another node."""
        return self.name != self.dataset


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of one dataset, and what follows."""

    meant: Meant
    history: History
    pins: Votes
    verdicts: tuple[Verdict, ...]
    """Of all that zr made, oldest first, as the rules say; without caution."""
    removal: Removal


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


def look(meant: Meant, peers: Mapping[str, str], now: float) -> Looked:
    """Observe it, and judge. Errors: those of ZFS."""
    zfs = CommandZfs()
    history = zfs.observe_history(meant.name)
    dependents = observe_dependents(meant.name)
    pins = join_pins(
        pin_held(dependents.tags, peers),
        pin_bases(history, peers),
        pin_cloned(dependents.clones),
        pin_partial(_observe_partial(zfs, meant.name)) if meant.is_replica else {},
    )
    return judge_look(meant, history, pins, now)


def judge_look(meant: Meant, history: History, pins: Votes, now: float) -> Looked:
    """The same, of what was observed."""
    limits = meant.policy.limits
    # Times of a replica's snapshots are of its source's clock, not of this one.
    clock = None if meant.is_replica else now
    removal = plan_removal(history, meant.keep, limits, pins, now=clock)
    return Looked(meant, history, pins, judge(history, meant.keep, limits, pins), removal)


def find_peers(node: NodeConfig) -> dict[str, str]:
    """First 8 hex digits of each paired node's uuid → its name; as far as they can be read."""
    try:
        return {pin.node.short: name for name, pin in wire_pins(node).items()}
    except ZrError:
        return {}


def _observe_partial(zfs: CommandZfs, name: str) -> int | None:
    try:
        point = zfs.observe_resume(name)
    except ZrError:
        return None  # a damaged token: the base is held by replication too
    return point.from_guid if point else None


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
                yield Meant(copy.stored, copy.source, copy.dataset, policy, keep)
