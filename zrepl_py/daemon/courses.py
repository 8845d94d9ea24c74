"""Which way do a group's streams go now? Without roles always as its policy says; with roles as the
role says, which may be the other way, or none.

Invariants: a node ticks, prunes and sends a group with roles only while its role gives it the
right, and under the group's epoch; what is asked twice in one turn may differ, so it is asked right
before it counts.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from zrepl_py.engine.group import Course, pools_of
from zrepl_py.model.names import Epoch
from zrepl_py.model.policy import Policy
from zrepl_py.model.site import Manifest, Node

GroupKey = tuple[str, str]
"""(policy's name, pool of its source)"""


class Role(Protocol):
    """What is asked of a group's role on this node (daemon/roles.py)."""

    @property
    def ticks(self) -> bool:
        """It snapshots and prunes the group as its source."""

    @property
    def sends(self) -> bool:
        """It sends."""

    @property
    def confirms(self) -> bool:
        """It asks for receipts."""

    @property
    def accepts(self) -> bool:
        """It follows the other node, and takes its streams."""

    @property
    def epoch(self) -> Epoch | None:
        """The group's; None before it has one: the node's own counts."""

    @property
    def pool(self) -> str:
        """The group's, on this node."""

    @property
    def prefix(self) -> str:
        """What stands before a member's name in its dataset's name here."""

    @property
    def inherited(self) -> Mapping[str, Mapping[str, str]]:
        """Dataset here → where and how it is mounted, of members that no other stands above."""

    @property
    def peer(self) -> Node:
        """The other node."""

    @property
    def newest_seq(self) -> int:
        """Of all its ticks that are known here."""

    def note_manifest(self, manifest: Manifest) -> None:
        """A tick of the group, taken or told, is journalled."""


class Courses:
    """Of every group of this node."""

    def __init__(
        self,
        node: Node,
        epoch: Epoch,
        policies: Iterable[Policy],
        roles: Mapping[GroupKey, tuple[Policy, Role]] | None = None,
    ) -> None:
        """`roles`: the groups that have roles, also those of which this node is not the source."""
        self._epoch, self._roles = epoch, roles or {}
        self.policies: dict[GroupKey, Policy] = {
            (p.name, pool): p for p in policies if p.source == node.name for pool in pools_of(p)
        } | {key: policy for key, (policy, _) in self._roles.items()}

    def find(self, key: GroupKey) -> Course | None:
        """None: nothing of the group leaves this node now."""
        name, policy = f"{key[0]}/{key[1]}", self.policies[key]
        if key not in self._roles:
            return Course(name, key[1], policy.targets, self._epoch)
        role = self._roles[key][1]
        if not (role.ticks or role.sends):
            return None
        epoch = role.epoch or self._epoch
        member_of = role.epoch is not None
        return Course(
            name, role.pool, (role.peer.name,), epoch, member_of, role.prefix, role.newest_seq,
            role.ticks,
        )  # fmt: skip

    def ticked(self, key: GroupKey) -> Course | None:
        """The same; None also where this node does not tick the group, but only sends it."""
        course = self.find(key)
        return course if course is not None and course.ticks else None

    def named(self) -> set[str]:
        """Every target of every group."""
        return {target for key in self.policies for target in self.targets(key)}

    def targets(self, key: GroupKey) -> tuple[str, ...]:
        """Where its copies are, or would be if this node served."""
        role = self._roles.get(key)
        return (role[1].peer.name,) if role is not None else self.policies[key].targets

    def sends(self, group: str) -> bool:
        """Whether streams of this group (by its name, `radio/tank`) may leave this node."""
        role = self._role_called(group)
        return role is None or role.sends

    def beside(self, group: str, dataset: str) -> dict[str, str]:
        """What is carried of a dataset besides what is set on it: the place that it inherits from
        what the group does not have, or the other node could not mount it there."""
        role = self._role_called(group)
        return dict(role.inherited.get(dataset, {})) if role is not None else {}

    def confirms(self, key: GroupKey) -> bool:
        """Whether a receipt may be asked for."""
        return key not in self._roles or self._roles[key][1].confirms

    def ticking(self) -> list[GroupKey]:
        """The groups that this node ticks now."""
        return [k for k in self.policies if k not in self._roles or self._roles[k][1].ticks]

    def note_manifest(self, manifest: Manifest) -> None:
        """A tick was taken here, and is journalled."""
        role = self._role_called(manifest.group)
        if role is not None:
            role.note_manifest(manifest)

    def _role_called(self, group: str) -> Role | None:
        policy, _, pool = group.partition("/")
        found = self._roles.get((policy, pool))
        return found[1] if found is not None else None
