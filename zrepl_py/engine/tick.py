"""One tick of a group: take an atomic snapshot of what changed, and journal what is valid.

The tick's manifest is durable before anything is sent, so that "nothing was written here" is known
of every member, not guessed later.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from zrepl_py.core.codec import encode
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.errors import Passing
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import TickName, render_tick
from zrepl_py.model.observation import Taken, Unfinished
from zrepl_py.model.policy import Limits
from zrepl_py.model.site import Manifest
from zrepl_py.ports.journal import JournalPort
from zrepl_py.ports.zfs import ZfsPort


@dataclass(frozen=True, slots=True)
class TickResult:
    """What a tick did."""

    taken: dict[str, Snapshot]
    """Dataset → the new snapshot; members in which nothing was written are not here."""
    manifest: Manifest
    valid: dict[str, int]
    """The same as the manifest's members, by the datasets' own names."""
    unfinished: tuple[str, ...] = ()
    """Members that are nothing but somebody's unfinished receive: ZFS snapshots no such."""


def take_tick(
    group: str,
    pool: str,
    last: Mapping[str, Snapshot | None],
    name: TickName,
    limits: Limits,
    labels: Mapping[str, str] | None = None,
) -> Engine[TickResult]:
    """`last`: member dataset → our newest snapshot of it. `labels`: what the manifest calls them,
    where that is not their name. Errors: those of snapshot_changed, and
    Passing(low-space) where the pool's free share is under the policy's limit."""
    view = yield from ask(ZfsPort.observe_pool, pool)
    if view.free_bytes * 100 < view.size_bytes * limits.min_free_percent:
        raise Passing(
            "low-space",
            f"Pool {pool} has {view.free_bytes >> 20} MiB free of {view.size_bytes >> 20}, less "
            f"than the {limits.min_free_percent} % that policy {group} asks for: no snapshots are "
            "taken.",
            "Free space, shorten the retention, or lower min_free.",
        )
    text = render_tick(name)
    since = {dataset: snapshot.name if snapshot else None for dataset, snapshot in last.items()}
    outcomes = yield from ask(ZfsPort.snapshot_changed, since, text)
    taken = {
        dataset: Snapshot(outcome.guid, outcome.createtxg, text, outcome.created_at)
        for dataset, outcome in outcomes.items()
        if isinstance(outcome, Taken)
    }
    valid = {**{d: s.guid for d, s in last.items() if s}, **{d: s.guid for d, s in taken.items()}}
    called = labels or {}
    members = {called.get(dataset, dataset): guid for dataset, guid in valid.items()}
    manifest = Manifest(group, name.seq, str(name.epoch), name.at, members)
    yield from ask(JournalPort.append, "tick", {"manifest": encode(manifest)})
    unfinished = tuple(d for d, o in outcomes.items() if isinstance(o, Unfinished))
    return TickResult(taken, manifest, valid, unfinished)
