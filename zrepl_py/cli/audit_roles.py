"""What `zr doctor` looks at where this node has roles: what starts by itself, what is served."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zrepl_py.adapters.doctor.containers import observe_restarts
from zrepl_py.adapters.doctor.datasets import observe_occupied
from zrepl_py.adapters.doctor.system import observe_units
from zrepl_py.core.audit import roles
from zrepl_py.core.audit.finding import Findings, judge_unseen
from zrepl_py.core.audit.seen import Placed
from zrepl_py.core.role_moves import FOLLOWING
from zrepl_py.core.selection import is_selected
from zrepl_py.errors import ZrError
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.host import Hosting, ServiceKind
from zrepl_py.model.policy import Policy


def look_at_roles(
    node: NodeConfig,
    policies: Sequence[Policy],
    placed: Sequence[Placed],
    shown: Sequence[Mapping[str, Any]],
) -> Findings:
    """All findings. `placed`: the datasets of this node's pools; `shown`: the daemon's word of its
    roles, empty where it is silent."""
    following = {name for one in shown if one["state"] in FOLLOWING for name in one["members"]}
    found: Findings = []
    for hosting in node.roles.values():
        found += _look_at_services(hosting)
    for policy in policies:
        if policy.name in node.roles:
            members = list(find_members(node, policy, placed))
            found += roles.judge_boot_mounts(policy.name, members)
            # Of a standby's members alone: what is not mounted would be, if it took over.
            prefix = name_prefix(node, policy)
            closed = [m.name for m in members if m.name.removeprefix(prefix) in following]
            found += _look_at_mountpoints(policy.name, closed)
    return found


def _look_at_mountpoints(group: str, members: Sequence[str]) -> Findings:
    try:
        return roles.judge_mountpoints(group, observe_occupied(members))
    except ZrError as error:
        return [judge_unseen(f"the mount points of group {group}", error.message)]


def _look_at_services(hosting: Hosting) -> Iterator[Any]:
    kinds = {kind: [s.target for s in hosting.services if s.kind is kind] for kind in ServiceKind}
    try:
        if kinds[ServiceKind.UNIT]:
            units = observe_units(kinds[ServiceKind.UNIT]) or []
            yield from roles.judge_boot_units(hosting.group, units)
        for path in kinds[ServiceKind.COMPOSE]:
            yield from roles.judge_boot_containers(hosting.group, path, observe_restarts(path))
    except ZrError as error:
        yield judge_unseen(f"the services of group {hosting.group}", error.message)


def name_prefix(node: NodeConfig, policy: Policy) -> str:
    """What stands before a policy's names on this node."""
    return "" if policy.source == node.name else f"{node.replica_parent}/{policy.source}/"


def find_members(node: NodeConfig, policy: Policy, placed: Sequence[Placed]) -> Iterator[Placed]:
    """A policy's datasets on this node: its own, or their replicas."""
    prefix = name_prefix(node, policy)
    for one in placed:
        if one.name.startswith(prefix):
            name = one.name.removeprefix(prefix)
            if is_selected(policy.selection, name):
                yield one


def find_served(
    node: NodeConfig,
    policies: Sequence[Policy],
    placed: Sequence[Placed],
    shown: Sequence[Mapping[str, Any]],
) -> frozenset[str]:
    """Replicas that are none at this time: their group is served here. `shown`: as above."""
    served = roles.find_served(shown)
    return frozenset(
        one.name
        for policy in policies
        if policy.name in served and policy.source != node.name
        for one in find_members(node, policy, placed)
    )
