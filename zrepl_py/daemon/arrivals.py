"""What of a group with roles may arrive here, and where does it stand?

Without roles nothing of this is asked: a source's replicas stand below its own parent, and are
found by their lanes. With roles a member stands where it stood before the direction changed.
"""

from collections.abc import Mapping

from zrepl_py.core.selection import is_selected
from zrepl_py.daemon.courses import GroupKey, Role
from zrepl_py.engine.receive import Place
from zrepl_py.errors import Passing
from zrepl_py.model.policy import Policy
from zrepl_py.model.site import Manifest


class Arrivals:
    """Of every group with roles."""

    def __init__(self, roles: Mapping[GroupKey, tuple[Policy, Role]] | None = None) -> None:
        self._roles = roles or {}

    def place(self, source: str, dataset: str) -> Place | None:
        """Where a member, called so by the node with this uuid, stands. None: it is no member, or
        the group has no epoch yet: it is received as without roles."""
        found = self._find(source, dataset)
        if found is None or found[1].epoch is None:
            return None
        role = found[1]
        return Place(role.prefix.rstrip("/"), role.peer, role.pool)

    def policy(self, source: str, dataset: str) -> Policy | None:
        """By which a member's versions stay."""
        found = self._find(source, dataset)
        return found[0] if found is not None else None

    def is_open(self, source: str, dataset: str) -> bool:
        """False where it is a member, and this node does not follow that source now."""
        found = self._find(source, dataset)
        return found is None or found[1].epoch is None or found[1].accepts

    def check(self, source: str, dataset: str) -> None:
        """Passing(role-closed) where this node does not follow that source now."""
        if not self.is_open(source, dataset):
            raise Passing(
                "role-closed",
                f"This node does not follow the sender of {dataset} now.",
                "It is tried again; `zr status` on both nodes shows their roles.",
            )

    def knows(self, source: str) -> bool:
        """Whether this node shares a group's roles with the node of this uuid."""
        return any(role.peer.uuid == source for _, role in self._roles.values())

    def note_manifest(self, source: str, manifest: Manifest) -> None:
        """A tick that the other node told is journalled."""
        policy, _, pool = manifest.group.partition("/")
        found = self._roles.get((policy, pool))
        if found is not None and found[1].peer.uuid == source:
            found[1].note_manifest(manifest)

    def _find(self, source: str, dataset: str) -> tuple[Policy, Role] | None:
        for policy, role in self._roles.values():
            if role.peer.uuid == source and is_selected(policy.selection, dataset):
                return policy, role
        return None
