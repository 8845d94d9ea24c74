"""Destroy what nobody votes for. Two independent checks stand before every destroy.

The first is the verdict (core/retention). The second is here, written without it: whatever the
verdicts say, the newest snapshot, anything pinned, anything not ours and anything that was not just
observed stays. ZFS then compares the guid in the very txg of the destroy.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zrepl_py.engine.commands import Engine, ask
from zrepl_py.errors import Bug
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import join_snapshot, parse_tick
from zrepl_py.model.observation import DestroyOutcome
from zrepl_py.ports.zfs import ZfsPort

BATCH = 100
LEFT_TOLD = 5


@dataclass(frozen=True, slots=True)
class Doom:
    """What should go of one dataset, and what both checks need."""

    snapshots: tuple[Snapshot, ...]
    observed: History
    pinned: frozenset[int]


def check_destroy(doom: Doom) -> None:
    """Raise Bug(unsafe-destroy) unless all of it may go, whatever any verdict said."""
    newest = doom.observed.newest
    there = {s.guid: s for s in doom.observed.snapshots}
    for snapshot in doom.snapshots:
        why = ""
        if parse_tick(snapshot.name) is None:
            why = "it is not one of ours"
        elif newest is None or snapshot.guid == newest.guid:
            why = "it is the newest"
        elif snapshot.guid in doom.pinned:
            why = "it is pinned"
        elif there.get(snapshot.guid) != snapshot:
            why = "it is not what was observed"
        if why:
            raise Bug("unsafe-destroy", f"{snapshot.name} was about to be destroyed, but {why}.")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of all of it."""

    outcomes: tuple[DestroyOutcome, ...]

    def gone_of(self, dataset: str) -> frozenset[str]:
        """Names of the snapshots of `dataset` that are not there any more, without `dataset@`."""
        gone = (o.name.partition("@") for o in self.outcomes if o.destroyed or o.cause == "gone")
        return frozenset(name for where, _, name in gone if where == dataset)

    def told(self, spared: Iterable[str] = ()) -> dict[str, Any]:
        """The fields of the event `pruned`; the first few of what was left, and why. `spared`: what
        stayed because of what was found on it."""
        left = [*spared, *(f"{o.name}: {o.cause}" for o in self.outcomes if not o.destroyed)]
        gone = sum(o.destroyed or o.cause == "gone" for o in self.outcomes)
        return {"destroyed": gone, "left": left[:LEFT_TOLD]}


def prune(dooms: Mapping[str, Doom]) -> Engine[Pruned]:
    """Destroy, oldest first, in batches that span datasets of one pool."""
    doomed: list[tuple[Snapshot, str]] = []
    for dataset, doom in dooms.items():
        check_destroy(doom)
        doomed += [(snapshot, dataset) for snapshot in doom.snapshots]
    doomed.sort(key=lambda item: item[0].createtxg)
    outcomes: list[DestroyOutcome] = []
    for start in range(0, len(doomed), BATCH):
        batch = {
            join_snapshot(dataset, snapshot.name): snapshot.guid
            for snapshot, dataset in doomed[start : start + BATCH]
        }
        outcomes += yield from ask(ZfsPort.destroy_snapshots, batch)
    return Pruned(tuple(outcomes))
