"""What separates a replica from its source? Histories in, agreement or conflict out.

Versions are the same when their guid is; each side is ordered by its own createtxg. A conflict is a
value that carries its evidence. Nothing here proposes to force anything.
"""

from dataclasses import dataclass

from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import parse_tick
from zrepl_py.model.plan import (
    Base,
    Conflict,
    Covered,
    Diverged,
    NothingToSend,
    TargetAhead,
    Unrelated,
)


@dataclass(frozen=True, slots=True)
class Agreement:
    """The replica can be continued from `base` (None: from nothing) by `pending`, oldest first."""

    base: Base | None
    pending: tuple[Snapshot, ...]


def diff(source: History, replica: History, *, raw: bool = False) -> Agreement | Conflict:
    """Compare one dataset's histories on both sides.

    Only snapshots that zr took are pending: foreign ones are another tool's business. A foreign
    snapshot on the replica after the last common version is tolerated, for ZFS accepts an
    increment over it as long as the replica's data is unmodified, unless the stream is `raw`;
    one of ours there is a conflict.
    """
    if replica.newest is None:
        own = tuple(s for s in source.snapshots if parse_tick(s.name))
        return Agreement(None, own) if own else NothingToSend()
    last = next((s for s in reversed(replica.snapshots) if source.version(s.guid)), None)
    if last is None:
        return Unrelated(source.newest, replica.newest)
    base = source.version(last.guid)
    assert base is not None
    later = replica.since(last.createtxg)
    ahead = tuple(s for s in later if parse_tick(s.name))
    pending = tuple(s for s in source.since(base.createtxg) if parse_tick(s.name))
    if ahead and pending:
        return Diverged(last, pending, ahead)
    if ahead:
        return TargetAhead(last, ahead)
    if raw and later and pending:
        return Covered(last, later)
    return Agreement(base, pending)


def find_in_origin(replica: History, above: History, origin: str) -> Snapshot | None:
    """The newest version of the replica that a clone still shares with the dataset it is a clone
    of: of that one's history `above`, what is not newer than the snapshot named `origin`.

    `zfs promote` of a clone moves a dataset's snapshots to the clone and leaves it without any; an
    increment can still begin at them.
    """
    made_of = next((s for s in above.snapshots if s.name == origin), None)
    if made_of is None:
        return None
    shared = {s.guid: s for s in above.snapshots if s.createtxg <= made_of.createtxg}
    return next((shared[s.guid] for s in reversed(replica.snapshots) if s.guid in shared), None)


def newest_own(history: History) -> Snapshot | None:
    """The newest snapshot that zr took, or None. Foreign ones come and go as others please: nothing
    that zr keeps (base, hold, cursor) ever hangs on them."""
    return next((s for s in reversed(history.snapshots) if parse_tick(s.name)), None)


def explain_conflict(conflict: Conflict) -> str:
    """One sentence with the evidence."""
    match conflict:
        case Diverged(last, mine, theirs):
            return (
                f"Both sides went on after {last.name}: the source has {len(mine)} snapshots that "
                f"the target has not (first {mine[0].name}, guid {mine[0].guid}), the target has "
                f"{len(theirs)} that the source has not (first {theirs[0].name}, guid "
                f"{theirs[0].guid})."
            )
        case TargetAhead(last, theirs):
            return (
                f"The target has {len(theirs)} snapshots after {last.name}, the source's newest "
                f"(first {theirs[0].name}, guid {theirs[0].guid}): the source was rolled back, or "
                "the target was promoted."
            )
        case Covered(last, foreign):
            return (
                f"On the encrypted replica {len(foreign)} snapshots that zr did not take follow "
                f"{last.name} (first {foreign[0].name}): OpenZFS does not continue it over them. "
                "Once they are destroyed on the target, it goes on."
            )
        case Unrelated(mine_newest, theirs_newest):
            newest = mine_newest.name if mine_newest else "none"
            return (
                f"No version is common: the source's newest is {newest}, the target's is "
                f"{theirs_newest.name} (guid {theirs_newest.guid})."
            )
        case NothingToSend():
            return "The source has no snapshot of zr yet."
