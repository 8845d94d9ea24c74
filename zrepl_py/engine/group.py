"""A group: the datasets of one pool that a policy snapshots at the same instant.

`Group` is a remembered observation, kept up to date by what was done since; any doubt, and it is
observed again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from zrepl_py.core.diff import newest_own
from zrepl_py.core.selection import select_datasets
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.errors import Refused
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import check_room
from zrepl_py.model.observation import Dataset
from zrepl_py.model.policy import Policy
from zrepl_py.ports.zfs import ZfsPort


@dataclass(frozen=True, slots=True)
class Member:
    """One dataset of a group."""

    dataset: Dataset
    history: History

    @property
    def last(self) -> Snapshot | None:
        """Our newest snapshot, or None."""
        return newest_own(self.history)

    @property
    def guids(self) -> frozenset[int]:
        """Of its snapshots."""
        return frozenset(s.guid for s in self.history.snapshots)

    def adding(self, snapshot: Snapshot) -> "Member":
        """With one more, newest, snapshot."""
        snapshots = (*self.history.snapshots, snapshot)
        return Member(self.dataset, self.history.with_snapshots(snapshots))

    def without(self, guids: Collection[int]) -> "Member":
        """Without these snapshots."""
        kept = tuple(s for s in self.history.snapshots if s.guid not in guids)
        return Member(self.dataset, self.history.with_snapshots(kept))


@dataclass(frozen=True, slots=True)
class Group:
    """The members of a policy in one pool, parents before children."""

    policy: Policy
    pool: str
    members: dict[str, Member]
    missing: tuple[str, ...] = ()
    """Plain names of the policy that match no dataset."""
    refused: dict[str, str] = field(default_factory=dict)
    """Datasets that the policy selects and that cannot be protected → why."""

    @property
    def name(self) -> str:
        """What manifests and messages call it."""
        return f"{self.policy.name}/{self.pool}"

    def updated(self, changes: dict[str, Member]) -> "Group":
        """With some members replaced."""
        return replace(self, members={**self.members, **changes})


def observe_group(policy: Policy, pool: str, reserved: Sequence[str] = ()) -> Engine[Group]:
    """Look at a pool; nothing at or below `reserved` is ever a member.

    Errors: dataset-missing, pool-suspended, …
    """
    seen = {d.name: d for d in (yield from ask(ZfsPort.observe_datasets, pool))}
    selected = select_datasets(policy.selection, tuple(seen), reserved)
    members: dict[str, Member] = {}
    refused: dict[str, str] = {}
    for name in selected.names:
        try:
            check_room(name)
        except Refused as error:
            refused[name] = str(error)
            continue
        history = yield from ask(ZfsPort.observe_history, name)
        members[name] = Member(seen[name], history)
    here = tuple(m for m in selected.missing if m.split("/")[0] == pool)
    return Group(policy, pool, members, here, refused)


def pools_of(policy: Policy) -> tuple[str, ...]:
    """The pools that a policy's patterns name, in order."""
    return tuple(dict.fromkeys(p.split("/")[0] for p in policy.selection.include))
