"""Which policy means this dataset, and why, or why none does? Pure.

The same rules as core/selection.py: it is asked, not copied. At most one policy of a node can mean
a dataset; config/policies.py refuses anything else.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from zrepl_py.core.selection import is_selected
from zrepl_py.model.policy import Policy, Selection

NEAR = 3


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the policies say of one dataset name."""

    dataset: str
    policy: Policy | None
    """The one that means it."""
    pattern: str = ""
    """The include pattern that matched, where there is a policy; the exclude pattern that took it
    away, where there is none; else empty."""
    excluding: Policy | None = None
    """The policy whose exclude took it away."""
    reserved: str = ""
    """The parent of replicas that it is (below): such datasets are never selected."""
    exists: bool | None = None
    """None: it could not be looked."""
    nearest: tuple[str, ...] = ()
    """Names that were perhaps meant: existing datasets, where this one does not exist."""

    @property
    def protected(self) -> bool:
        """A policy means it, and nothing stands against that."""
        return self.policy is not None


def explain_dataset(
    dataset: str,
    policies: Sequence[Policy],
    reserved: Iterable[str] = (),
    existing: Sequence[str] | None = None,
) -> Explanation:
    """`existing`: every dataset of this machine, or None where it could not be looked."""
    base = Explanation(dataset, None)
    if existing is not None:
        exists = dataset in existing
        near = () if exists else find_nearest(dataset, existing)
        base = replace(base, exists=exists, nearest=near)
    for parent in reserved:
        if dataset == parent or dataset.startswith(parent + "/"):
            return replace(base, reserved=parent)
    for policy in policies:
        if is_selected(policy.selection, dataset):
            pattern = _matching(policy.selection.include, dataset)
            return replace(base, policy=policy, pattern=pattern)
    for policy in policies:
        if _matching(policy.selection.include, dataset):
            pattern = _matching(policy.selection.exclude, dataset)
            return replace(base, excluding=policy, pattern=pattern)
    return base


def find_nearest(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """The names that are most like this one, best first; a name's last part counts as well."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, NEAR, 0.6)
    last = name.rsplit("/", 1)[-1]
    same = [n for n in names if n not in near and n.rsplit("/", 1)[-1] == last]
    return tuple([*near, *same][:NEAR])


def _matching(patterns: Sequence[str], dataset: str) -> str:
    return next((p for p in patterns if is_selected(Selection((p,)), dataset)), "")
