"""Before a switchover: what is known on the primary of all that could be in its way?

Everything, not only the first thing. What only the other node could say is None: `zr doctor` there
says it. Changes nothing.
"""

from collections.abc import Mapping
from typing import Any

from zrepl_py import __version__
from zrepl_py.core.rejoin_check import check_names
from zrepl_py.core.switchover import Objection, Prospects
from zrepl_py.daemon.roles import GroupRole
from zrepl_py.engine.role_observe import Look
from zrepl_py.model.history import Snapshot
from zrepl_py.model.host import ServiceState
from zrepl_py.model.names import parse_tick
from zrepl_py.model.observation import PoolView
from zrepl_py.model.roles import Claim, Fit, State

_LAG = {Claim.STANDBY: True, Claim.BEHIND: False}


def find_prospects(
    role: GroupRole, look: Look, pool: PoolView, version: str | None, behind: Mapping[str, int]
) -> Prospects:
    """`version`: of zr on the other node, None: not known; `behind`: as list_behind. Called with
    the monitor held."""
    datasets = look.trees.placed(role.node)
    return Prospects(
        same_version=None if version is None else version == __version__,
        lag_small=_LAG.get(look.view.claim),
        pools_healthy=_judge_pools(look),
        no_partial=True if look.theirs is not None and not behind else None,
        keys_available=True if all(d.encryption_root is None for d in datasets) else None,
        space_enough=_judge_space(role, pool),
        names_fit=_judge_names(role),
        services_known=False if str(ServiceState.UNKNOWN) in role.services.values() else None,
        rescues_seen=not role.rescues,
    )


def list_behind(role: GroupRole, look: Look) -> dict[str, int]:
    """Member → since how many seconds there is a tick's snapshot of it that the other node has not
    got, and no later one; without those of which it has the newest. All, where it is silent."""
    theirs, behind = look.theirs_has(), dict[str, int]()
    for member, place in role.node.group.members.items():
        have, missing = theirs.get(member, frozenset()), list[Snapshot]()
        for snapshot in look.trees.history(place).snapshots:
            if snapshot.guid in have:
                missing = []  # what came between was passed over
            elif parse_tick(snapshot.name) is not None:
                missing.append(snapshot)
        if missing:
            behind[member] = max(0, round(look.now - missing[0].created_at))
    return behind


def describe_objections(objections: tuple[Objection, ...]) -> list[dict[str, Any]]:
    """As the control socket tells them."""
    return [
        {"fact": o.fact, "sentence": o.sentence, "way_out": o.way_out, "known": o.known}
        for o in objections
    ]


def _judge_pools(look: Look) -> bool | None:
    if look.view.fit is Fit.BROKEN:
        return False
    return None if look.theirs is None else look.theirs.said.state is not State.FAULTED


def _judge_space(role: GroupRole, pool: PoolView) -> bool | None:
    """Of the other node's pool this one knows nothing."""
    least = pool.size_bytes * role.policy.limits.min_free_percent / 100
    return False if pool.free_bytes < least else None


def _judge_names(role: GroupRole) -> bool | None:
    """A founder's datasets are called as the members are; where the other ones are, it knows."""
    places = role.node.group.members
    if check_names(places.values()) is not None:
        return False
    return None if role.plan.founds else check_names(places.keys()) is None
