"""Which of the datasets that exist does a policy mean?

Patterns: `tank/a` is that dataset; `tank/a/*` its direct children; `tank/a/**` it and everything
below; a `*` inside a component stands for any characters but `/` (`tank/svc-*`). The pool is
always written out. Excludes win over includes. A match is always of the whole name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from zrepl_py.errors import Refused
from zrepl_py.model.names import MAX_NAME_BYTES, SCRATCH_PREFIX
from zrepl_py.model.policy import Selection
from zrepl_py.model.rescue import RESCUE_PARENT, SHIPPED_PARENT

_COMPONENT = re.compile(r"[A-Za-z0-9_.: *-]+\Z")


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selection means among the datasets that were seen."""

    names: tuple[str, ...]
    """Parents before children."""
    missing: tuple[str, ...]
    """Include patterns whose plain dataset (`tank/a` of `tank/a` or `tank/a/**`) is not there."""


def check_pattern(pattern: str) -> str:
    """Return `pattern` if it can be used, else raise Refused(bad-name)."""
    components = pattern.split("/")
    for position, component in enumerate(components):
        last = position == len(components) - 1
        if component == "**" and last and position > 0:
            continue
        if not _COMPONENT.match(component) or component in (".", "..") or "**" in component:
            raise Refused(
                "bad-name",
                f"{pattern!r} is not a dataset pattern.",
                "Write tank/a, tank/a/*, tank/a/** or tank/svc-*; ** may only stand at the end.",
            )
        if position == 0 and "*" in component:
            raise Refused("bad-name", f"{pattern!r} does not name its pool.", "Write the pool out.")
    if len(pattern.encode()) > MAX_NAME_BYTES:
        raise Refused("bad-name", f"The pattern {pattern[:60]!r}… is longer than 255 bytes.")
    return pattern


def select_datasets(
    selection: Selection, names: Iterable[str], reserved: Iterable[str] = ()
) -> Selected:
    """The datasets that `selection` means, of `names`.

    `reserved` are datasets that are never selected, nor anything below them (the parent of the
    replicas that this node keeps for others). Scratch datasets of restores are not either.
    """
    seen = sorted(set(names), key=lambda name: name.split("/"))
    roots = tuple(reserved)
    chosen = [
        name
        for name in seen
        if is_selected(selection, name)
        and not name.rpartition("/")[2].startswith(SCRATCH_PREFIX)
        and not any(name == root or name.startswith(root + "/") for root in roots)
    ]
    return Selected(tuple(chosen), _find_missing(selection, frozenset(seen)))


def is_selected(selection: Selection, name: str) -> bool:
    """Does the selection mean this dataset, if it exists? Never what roles have set aside: no
    policy replicates it, and no retention looks at it."""
    if name.split("/")[1:2] in ([RESCUE_PARENT], [SHIPPED_PARENT]):
        return False
    return any(_regex(p).match(name) for p in selection.include) and not any(
        _regex(p).match(name) for p in selection.exclude
    )


def _find_missing(selection: Selection, seen: frozenset[str]) -> tuple[str, ...]:
    roots = {pattern: pattern.removesuffix("/**") for pattern in selection.include}
    return tuple(p for p, root in roots.items() if "*" not in root and root not in seen)


@lru_cache(maxsize=4096)
def _regex(pattern: str) -> re.Pattern[str]:
    body, below = (pattern[:-3], True) if pattern.endswith("/**") else (pattern, False)
    # A component is never empty, so a lone `*` needs at least one character.
    parts = ["[^/]+" if c == "*" else _escape(c) for c in body.split("/")]
    return re.compile("/".join(parts) + (r"(?:/.+)?" if below else "") + r"\Z", re.DOTALL)


def _escape(component: str) -> str:
    return "[^/]*".join(re.escape(piece) for piece in component.split("*"))
