"""The one sentence of `zr status`: what would be lost if this node died now? Pure.

It says the worst first. "Safe" is said only of what a target has committed and acknowledged; what
is not known is said to be unknown, never to be safe.
"""

from collections.abc import Sequence
from typing import Any

LISTED = 3


def render_loss(
    lanes: Sequence[dict[str, Any]], groups: Sequence[dict[str, Any]], unsent: Sequence[str]
) -> str:
    """`lanes`, `groups`: as in daemon/status.py; `unsent`: datasets that go to no target."""
    whole = [lane["dataset"] for lane in lanes if lane["state"] == "no-copy"] + list(unsent)
    unknown = [lane["dataset"] for lane in lanes if lane["state"] == "unknown"]
    stuck = [lane["dataset"] for lane in lanes if lane["state"] == "conflict"]
    behind = [lane for lane in lanes if lane["state"] == "behind"]
    said = []
    if whole:
        said.append(f"{_names(whole)} would be lost whole: no other machine has a copy")
    if stuck:
        said.append(f"{_names(stuck)} would fall back to an old state: its copy is in conflict")
    if behind:
        worst = max(behind, key=lambda lane: lane["lag_seconds"] or 0)
        said.append(
            f"what was written to {_names([lane['dataset'] for lane in behind])} in the last "
            f"{worst['lag_seconds']} seconds would be lost{_furthest(behind, worst)}"
        )
    if unknown:
        said.append(
            f"it is not known what of {_names(unknown)} is safe: its target was not asked yet"
        )
    if not lanes and not unsent:
        return "This node sends nothing to another: what is only here would be lost with it."
    refused = sorted({name for group in groups for name in group["refused"]})
    rest = f" Not protected at all: {_names(refused)}." if refused else ""
    return f"If this node died now, {'; '.join([*said, _since_ticks(groups)])}.{rest}"


def render_unpaired(names: Sequence[str]) -> str:
    """What follows the sentence where policies name targets that this node cannot reach."""
    if not names:
        return ""
    return f" Not paired with {_names(names)}: nothing is sent there; `zr pair` joins two nodes."


def _furthest(behind: Sequence[dict[str, Any]], worst: dict[str, Any]) -> str:
    return f" ({worst['dataset']} is the furthest behind)" if len(behind) > 1 else ""


def _since_ticks(groups: Sequence[dict[str, Any]]) -> str:
    never = [f"{group['policy']}/{group['pool']}" for group in groups if _age(group) is None]
    if never:
        return f"no snapshot was taken of {_names(never)} since the daemon started"
    age = round(max((_age(group) or 0 for group in groups), default=0))
    late = any((_age(group) or 0) > 2 * group["every_seconds"] + 5 for group in groups)
    rest = " (no snapshot succeeded since)" if late else ""
    return f"what was written in the last {age} seconds would be lost{rest}"


def _age(group: dict[str, Any]) -> float | None:
    age: float | None = group["tick_age_seconds"]
    return age


def _names(names: Sequence[str]) -> str:
    listed = ", ".join(sorted(names)[:LISTED])
    more = len(names) - LISTED
    return f"{listed} and {more} more" if more > 0 else listed
