"""Who stands on what is about to be destroyed? The pool is asked right before, never earlier.

A plan is made from what is remembered. Before any of it is performed, each snapshot that would go
is looked at, and the plan is made again with what was found: holds, clones, readers, and what is
gone already. A plan of nothing costs no look. Must never let a snapshot go that was not looked at.
A look takes as long as the pool does, so what goes is judged once more when all looks are over.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from zrepl_py.core.caution import Removal
from zrepl_py.core.pins import pin_dependents
from zrepl_py.core.retention import Votes, own_of
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.prune import Doom
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import join_snapshot
from zrepl_py.model.observation import Dependents
from zrepl_py.model.policy import Limits
from zrepl_py.ports.zfs import ZfsPort

BATCH = 1000

Planner = Callable[[History, Votes], tuple[Removal, Votes]]
"""(what is there, what was found to stand on it) → what goes, and all the pins that were counted.
Asked again after every look that found something."""


@dataclass(frozen=True, slots=True)
class LastLook:
    """A plan that may be performed now."""

    removal: Removal
    pins: Votes
    """All that were counted."""
    history: History
    """Without what is gone."""
    spared: Mapping[Snapshot, tuple[str, ...]]
    """What would have gone, had nothing been found to stand on it; what that is."""
    gone: tuple[Snapshot, ...]
    """What was remembered, and is not there any more."""
    looked: bool = True
    """False: nothing would go by what is remembered, so the pool was not asked."""
    found: Votes = field(default_factory=dict)
    """What stands on what was looked at."""


def plan_freshly(
    dataset: str,
    history: History,
    limits: Limits,
    plan: Planner,
    peers: Mapping[str, str],
    readers: Callable[[], Collection[int]],
) -> Engine[LastLook]:
    """Plan, look, and plan again, until everything that goes was looked at.

    `peers`, `readers`: as in core/pins.py; whose reader is known, the planner pins itself.
    Errors: those of ZfsPort.observe_dependents.
    """
    seen: dict[int, Dependents] = {}
    gone: dict[int, Snapshot] = {}
    wanted: dict[int, Snapshot] = {}
    found: Votes = {}
    while True:
        removal, pins = plan(history, found)
        going = [v.snapshot for v in (*removal.doomed, *removal.withheld)]
        wanted |= {s.guid: s for s in going}
        own = own_of(history)
        # What is pinned does not count for the cap: there every pin decides about others too.
        looks = own if going and len(own) > limits.max_snapshots else going
        unseen = [s for s in looks if s.guid not in seen]
        if not unseen:
            break
        for start in range(0, len(unseen), BATCH):
            batch = {join_snapshot(dataset, s.name): s for s in unseen[start : start + BATCH]}
            there = yield from ask(ZfsPort.observe_dependents, tuple(batch))
            seen |= {s.guid: there.get(name, Dependents()) for name, s in batch.items()}
            gone |= {s.guid: s for name, s in batch.items() if name not in there}
        history = _without(history, gone)
        found = pin_dependents(seen, peers, readers())
        if not found and not gone:
            break  # nothing that the plan did not know
    spared = {s: found[guid] for guid, s in wanted.items() if guid in found}
    return LastLook(removal, pins, history, spared, tuple(gone.values()), bool(wanted), found)


def still_doomed(look: LastLook, plan: Planner) -> Doom | None:
    """What may go of what was looked at, by all that is known at this moment; None: nothing.

    While the pool was asked, of this dataset and of others, streams have committed: what came
    after a target's first snapshot waits for it from then on.
    """
    if not look.removal.doomed:
        return None
    removal, pins = plan(look.history, look.found)
    again = {v.snapshot.guid for v in removal.doomed}
    doomed = tuple(v.snapshot for v in look.removal.doomed if v.snapshot.guid in again)
    return Doom(doomed, look.history, frozenset(pins)) if doomed else None


def _without(history: History, gone: Mapping[int, Snapshot]) -> History:
    if not gone:
        return history
    return history.with_snapshots(tuple(s for s in history.snapshots if s.guid not in gone))
