"""A group: the datasets of one pool that a policy snapshots at the same instant.

`Group` is a remembered observation, kept up to date by what was done since; any doubt, and it is
observed again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from zrepl_py.core.diff import newest_own
from zrepl_py.core.selection import select_datasets
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.errors import Refused
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import Epoch, check_room
from zrepl_py.model.observation import Dataset
from zrepl_py.model.policy import Policy
from zrepl_py.ports.zfs import ZfsPort


@dataclass(frozen=True, slots=True)
class Course:
    """Which way a group's streams go, from this node."""

    name: str
    """What manifests and messages call the group: `radio/tank`."""
    pool: str
    """Its pool on this node."""
    targets: tuple[str, ...]
    epoch: Epoch
    roles: bool = False
    """It has roles: its lanes say the members' names, and the group's epoch."""
    prefix: str = ""
    """What stands before a member's name in its dataset's name here: a member is called as on the
    node whose policy founded the group."""
    seq: int = 0
    """The newest tick that is known here, whoever took it."""
    ticks: bool = True
    """This node snapshots and prunes it; a group that is being handed over is only sent."""

    def called(self, dataset: str) -> str:
        """A member's name."""
        return dataset.removeprefix(self.prefix)


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
    course: Course
    members: dict[str, Member]
    """By their datasets' names on this node."""
    missing: tuple[str, ...] = ()
    """Plain names of the policy that match no dataset."""
    refused: dict[str, str] = field(default_factory=dict)
    """Datasets that the policy selects and that cannot be protected → why."""

    @property
    def name(self) -> str:
        """What manifests and messages call it."""
        return self.course.name

    @property
    def pool(self) -> str:
        """Of its members, on this node."""
        return self.course.pool

    def adding(self, taken: Mapping[str, Snapshot]) -> "Group":
        """With snapshots of its members that were just taken; a look may have found them since."""
        own = {d: self.members[d] for d in taken.keys() & self.members.keys()}
        fresh = {d: m for d, m in own.items() if m.history.snapshot(taken[d].guid) is None}
        return self.updated({d: m.adding(taken[d]) for d, m in fresh.items()})

    def updated(self, changes: dict[str, Member]) -> "Group":
        """With some members replaced."""
        return replace(self, members={**self.members, **changes})


def observe_group(policy: Policy, course: Course, reserved: Sequence[str] = ()) -> Engine[Group]:
    """Look at a pool; nothing at or below `reserved` (members' names) is ever a member.

    Errors: dataset-missing, pool-suspended, …
    """
    prefix = course.prefix
    below = yield from ask(ZfsPort.observe_datasets, course.pool)
    seen = {d.name: d for d in below if d.name.startswith(prefix)}
    called = tuple(course.called(name) for name in seen)
    selected = select_datasets(policy.selection, called, reserved)
    members: dict[str, Member] = {}
    refused: dict[str, str] = {}
    for name in (prefix + member for member in selected.names):
        try:
            check_room(name)
        except Refused as error:
            refused[name] = str(error)
            continue
        history = yield from ask(ZfsPort.observe_history, name)
        members[name] = Member(seen[name], history)
    here = tuple(m for m in selected.missing if m.split("/")[0] == course.name.split("/")[-1])
    return Group(policy, course, members, here, refused)


def pools_of(policy: Policy) -> tuple[str, ...]:
    """The pools that a policy's patterns name, in order."""
    return tuple(dict.fromkeys(p.split("/")[0] for p in policy.selection.include))
