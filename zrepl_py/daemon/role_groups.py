"""Which groups have roles on this node, and what is configured of each? From zr.toml and policies.

A policy that has a table `[roles.NAME]` in zr.toml has roles, on the node whose datasets it names
(the founder) and on its one target. A member is called as its dataset on the founder; on the other
node it stands below `REPLICAS/FOUNDER/`, whoever is primary.

Must not guess: what does not fit is Standing(config), and says what to write.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from zrepl_py.engine.group import pools_of
from zrepl_py.engine.role_node import RoleGroup
from zrepl_py.engine.role_tree import find_roots
from zrepl_py.errors import Standing
from zrepl_py.model.host import Hosting
from zrepl_py.model.policy import Policy
from zrepl_py.model.site import Node, group_uuid

FRESH_SECONDS = 60.0
FRESH_TICKS = 3
"""A standby is fresh while its newest whole tick is not older than this many ticks, or a minute."""


@dataclass(frozen=True, slots=True)
class RolePlan:
    """One group that has roles, as it is configured; its members are not known by that."""

    policy: Policy
    hosting: Hosting
    here: Node
    peer: Node
    founder: Node
    founder_pool: str
    prefix: str
    """What stands before a member's name in its dataset's name on this node."""

    @property
    def key(self) -> tuple[str, str]:
        """(policy's name, the founder's pool)"""
        return self.policy.name, self.founder_pool

    @property
    def name(self) -> str:
        """What manifests call it: `radio/tank`."""
        return "/".join(self.key)

    @property
    def uuid(self) -> str:
        """The same on both nodes."""
        return group_uuid(self.founder.uuid, self.name)

    @property
    def pool(self) -> str:
        """The group's pool on this node."""
        return self.prefix.partition("/")[0] or self.founder_pool

    @property
    def founds(self) -> bool:
        """This node is the policy's source."""
        return self.founder == self.here

    def group(self, members: Collection[str]) -> RoleGroup:
        """With these members."""
        places = {member: f"{self.prefix}{member}" for member in sorted(members)}
        roots = find_roots(places.values())
        return RoleGroup(
            name=self.name,
            uuid=self.uuid,
            here=self.here,
            peer=self.peer,
            founder=self.founder.uuid,
            members=places,
            hosting=self.policy.name,
            services=tuple(service.name for service in self.hosting.services),
            address=self.hosting.address is not None,
            receive_below=roots,
            limits=self.policy.limits,
            max_lag_seconds=max(FRESH_SECONDS, FRESH_TICKS * float(self.policy.every_seconds)),
        )


def plan_roles(
    roles: Mapping[str, Hosting],
    policies: Iterable[Policy],
    here: Node,
    peers: Mapping[str, Node],
    replica_parent: str | None,
    configured: Collection[str] = (),
) -> list[RolePlan]:
    """Every group that has roles here. `peers`: nodes that are paired, by name; a group whose other
    node is only `configured` is left out until it is paired. Errors: Standing(config)."""
    known = {policy.name: policy for policy in policies}
    found = []
    for name, hosting in roles.items():
        if name not in known:
            raise _wrong(name, "there is no policy of that name", "Name the table like the policy.")
        policy = known[name]
        other = _find_other(policy, here)
        if other not in peers:
            if other in configured:
                continue
            raise _wrong(name, f"zr.toml names no peer {other}", f"Pair with {other}: zr pair")
        founds = policy.source == here.name
        if not founds and not replica_parent:
            raise _wrong(
                name, "this node keeps no replicas", 'Add `replicas = "POOL/…"` to [node].'
            )
        pools = pools_of(policy)
        if len(pools) != 1:
            raise _wrong(
                name,
                f"its policy names {len(pools)} pools ({', '.join(pools)})",
                "A group changes its role as a whole: make one policy for each pool.",
            )
        founder = here if founds else peers[other]
        prefix = "" if founds else f"{replica_parent}/{founder.name}/"
        found.append(RolePlan(policy, hosting, here, peers[other], founder, pools[0], prefix))
    return found


def check_kept(
    recorded: Collection[str],
    plans: Collection[RolePlan],
    policies: Iterable[Policy],
    here: Node,
    peers: Mapping[str, Node],
) -> None:
    """Standing(config) where a group that has roles by this node's journal (`recorded`: uuids) has
    none in zr.toml any more: its two nodes would both go by the policy, whoever serves."""
    planned = {plan.uuid for plan in plans}
    for policy in policies:
        founder = here if policy.source == here.name else peers.get(policy.source)
        for pool in pools_of(policy):
            if founder is None:
                continue  # of a node that is not paired: nothing of it is known here
            uuid = group_uuid(founder.uuid, f"{policy.name}/{pool}")
            if uuid in recorded and uuid not in planned:
                raise Standing(
                    "config",
                    f"{policy.name} has roles by this node's journal, and by its settings none.",
                    f"Put [roles.{policy.name}] back into zr.toml, on both nodes; it may be empty. "
                    "If it is there: pair the two nodes again, zr pair.",
                )


def _find_other(policy: Policy, here: Node) -> str:
    """The name of the other node."""
    if len(policy.targets) != 1:
        said = ", ".join(policy.targets) or "none"
        raise _wrong(
            policy.name,
            f"its policy has {len(policy.targets)} targets ({said})",
            "Two nodes share a role: name exactly one target.",
        )
    pair = (policy.source, policy.targets[0])
    if here.name not in pair or pair[0] == pair[1]:
        raise _wrong(
            policy.name,
            f"its policy is of {pair[0]} and {pair[1]}, and this node is {here.name}",
            "Take the table out of this node's zr.toml.",
        )
    return pair[1] if pair[0] == here.name else pair[0]


def _wrong(name: str, why: str, remedy: str) -> Standing:
    return Standing("config", f"zr.toml has [roles.{name}], but {why}.", remedy)
