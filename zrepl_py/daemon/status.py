"""What does this node know of its own safety? Remembered facts, no look at a pool: a daemon whose
pool hangs still answers. "Safe" is said only of what the target has committed and acknowledged.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from zrepl_py import __version__
from zrepl_py.core.diff import explain_conflict, newest_own
from zrepl_py.daemon.contacts import Contacts, describe_error
from zrepl_py.daemon.courses import GroupKey
from zrepl_py.daemon.lanes import LaneState
from zrepl_py.daemon.loss import render_loss, render_twice, render_unpaired
from zrepl_py.daemon.progress import Progress
from zrepl_py.daemon.proof_jobs import describe_known
from zrepl_py.daemon.replicas import Known, Replicas
from zrepl_py.daemon.role_view import Landed, describe_role, find_primary
from zrepl_py.daemon.roles import SERVING, GroupRole
from zrepl_py.daemon.source import Source
from zrepl_py.daemon.ticks import Ticks
from zrepl_py.model.history import EMPTY, Snapshot
from zrepl_py.model.policy import Policy
from zrepl_py.model.proof import LastProofs
from zrepl_py.model.site import Node
from zrepl_py.ports.clock import ClockPort

FORMAT = 1
NO_PROOFS = LastProofs()


def describe(
    node: Node,
    source: Source,
    replicas: Replicas,
    clock: ClockPort,
    progress: Progress,
    contacts: Contacts | None = None,
    last_proofs: Callable[[str], LastProofs] = lambda _: NO_PROOFS,
    told: Callable[[str, str], LastProofs] = lambda *_: NO_PROOFS,
    roles: Iterable[GroupRole] = (),
) -> dict[str, Any]:
    """The answer to `zr status --json` (docs/reference/status.md)."""
    targets = contacts.describe_targets() if contacts else []
    sources = contacts.describe_sources() if contacts else []
    twice = list(contacts.twice()) if contacts else []
    now, monotonic = clock.now(), clock.monotonic()
    roles = tuple(roles)
    groups = [
        _describe_group(source, key, source.policies[key], monotonic)
        for key in source.courses.ticking()
    ]
    lanes = [
        _describe_lane(source, state, now, progress, last_proofs(uuid))
        for uuid, state in source.lanes.states.items()
    ]
    kept = [
        describe_replica(known, told(known.place.source.uuid, lane), now)
        for lane, known in replicas.lanes.items()
    ]
    kept += [one for role in roles for one in describe_followed(role, kept)]
    sent = {lane["dataset"] for lane in lanes}
    members = {name for key in source.policies for name in _members(source, key)}
    shown = [describe_role(role, now, monotonic, _find_landed(role, replicas)) for role in roles]
    served = find_served(roles, replicas, {one["source"] for one in kept})
    sources = [{**one, "served": one["source"] in served} for one in sources]
    loss = render_loss(lanes, groups, sorted(members - sent), targets, sources, roles=shown)
    return {
        "format": FORMAT,
        "version": __version__,
        "node": node.name,
        "uuid": node.uuid,
        "sentence": loss + render_twice(twice) + render_unpaired(source.unpaired),
        "groups": groups,
        "lanes": lanes,
        "replicas": kept,
        "unsent": sorted(members - sent),
        "unpaired": source.unpaired,
        "targets": targets,
        "sources": sources,
        "twice": twice,
        "roles": shown,
        "questions": source.questions + replicas.questions,
        "readers": {
            str(guid): who for guid, who in {**source.readers(), **replicas.readers()}.items()
        },
    }


def find_served(
    roles: Iterable[GroupRole], replicas: Replicas, copied: Collection[str]
) -> set[str]:
    """Nodes of which nothing is kept here but what this node serves itself now. `copied`: those of
    which there are replicas."""
    served = {role.peer.name for role in roles if role.state in SERVING}
    shared = {role.policy.name for role in roles}
    return {name for name in served - set(copied) if not replicas.expects(name, shared)}


def _find_landed(role: GroupRole, replicas: Replicas) -> Landed:
    """What came of the group's members, as those remember who received it."""
    if role.state in SERVING:
        return {}
    mine = (k for k in replicas.lanes.values() if k.place.source == role.peer and k.shown)
    newest = ((k.dataset, newest_own(k.shown.view.history)) for k in mine if k.shown)
    return {dataset: snapshot.guid for dataset, snapshot in newest if snapshot is not None}


def describe_followed(role: GroupRole, kept: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of `replicas`, those of a group that the other node leads and of which nothing came since
    this one's role changed: they are here all the same, as the role's newest look shows."""
    peer, look = role.peer.name, role.look
    if look is None or role.state in SERVING or find_primary(role) != peer:
        return
    named = {one["dataset"] for one in kept if one["source"] == peer}
    for member, place in role.node.group.members.items():
        if member not in named and place in look.trees.seen:
            newest = newest_own(look.trees.history(place))
            yield {
                "dataset": member,
                "source": peer,
                "replica": place,
                "newest": newest.name if newest else None,
                "refused": None,
                "proof": None,
            }


def _describe_group(
    source: Source, key: GroupKey, policy: Policy, monotonic: float
) -> dict[str, Any]:
    """One of `groups`."""
    return {
        "policy": key[0],
        "pool": key[1],
        "members": _members(source, key),
        "missing": list(source.groups[key].missing) if key in source.groups else [],
        "refused": dict(source.groups[key].refused) if key in source.groups else {},
        "every_seconds": policy.every_seconds,
        "seq": source.manifests[key].seq if key in source.manifests else None,
        "tick_age_seconds": round(monotonic - source.last_tick[key], 1)
        if key in source.last_tick
        else None,
        "timezone": policy.timezone,
        "targets": list(policy.targets),
        "room": source.rooms.describe(key, policy),
        **_describe_ticks(source.ticks.get(key, Ticks())),
    }


def _members(source: Source, key: GroupKey) -> list[str]:
    return sorted(source.groups[key].members) if key in source.groups else []


def _describe_ticks(ticks: Ticks) -> dict[str, Any]:
    return {
        "ticks_ended": ticks.ended,
        "taken": ticks.taken,
        "error": describe_error(ticks.error),
    }


def describe_replica(
    known: Known, proofs: LastProofs = NO_PROOFS, now: float = 0.0
) -> dict[str, Any]:
    """One of `replicas`: as it was last known, and why the last stream did not come."""
    newest = newest_own(known.shown.view.history) if known.shown else None
    return {
        "dataset": known.dataset,
        "source": known.place.source.name,
        "replica": known.shown.name if known.shown else None,
        "newest": newest.name if newest else None,
        "refused": describe_error(known.refused),
        "proof": describe_known(proofs, now),
    }


def _describe_lane(
    source: Source, state: LaneState, now: float, progress: Progress, proofs: LastProofs
) -> dict[str, Any]:
    history = source.history_of(state.lane.dataset) or EMPTY
    newest, committed = newest_own(history), state.committed
    word = _judge_lane(state, newest)
    since = source.valid_until(state.lane.dataset, committed) if committed else None
    return {
        "lane": state.lane.uuid,
        "dataset": state.lane.dataset,
        "target": state.lane.target.name,
        "newest": newest.name if newest else None,
        "committed": committed.name if committed else None,
        "state": word,
        "in_sync": word == "in-sync",
        "lag_seconds": 0 if word == "in-sync" else _age(now, since if word == "behind" else None),
        "proof": describe_known(proofs, now),
        "transfers": state.transfers,
        "sent_bytes": progress.sent_bytes(state.lane.uuid),
        "failures": state.failures,
        "conflict": explain_conflict(state.conflict) if state.conflict else None,
        "error": describe_error(state.error),
    }


def _judge_lane(state: LaneState, newest: Snapshot | None) -> str:
    """`in-sync`, `behind`, `no-copy`, `conflict`, or `unknown`: the target was not asked yet."""
    if state.conflict is not None:
        return "conflict"
    if state.committed is None:
        return "unknown" if state.view is None else "no-copy"
    return "in-sync" if newest and newest.guid == state.committed.guid else "behind"


def _age(now: float, since: int | None) -> int | None:
    return None if since is None else max(0, round(now - since))
