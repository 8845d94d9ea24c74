"""The one sentence of `zr status`: what would be lost if this node died now? Pure.

It says the worst first. "Safe" is said only of what a target has committed and acknowledged; what
is not known is said to be unknown, never to be safe.
"""

from collections.abc import Sequence
from typing import Any

LISTED = 3


def render_loss(
    lanes: Sequence[dict[str, Any]],
    groups: Sequence[dict[str, Any]],
    unsent: Sequence[str],
    targets: Sequence[dict[str, Any]] = (),
    sources: Sequence[dict[str, Any]] = (),
) -> str:
    """`lanes`, `groups`, `targets`, `sources`: as in daemon/status.py; `unsent`: datasets that go
    to no target."""
    away = {target["target"] for target in targets if target["state"] == "silent"}
    whole = [lane["dataset"] for lane in lanes if lane["state"] == "no-copy"] + list(unsent)
    unasked = [lane for lane in lanes if lane["state"] == "unknown"]
    unknown = [lane["dataset"] for lane in unasked]
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
        silent = all(lane["target"] in away for lane in unasked)
        why = "does not answer" if silent else "was not asked yet"
        said.append(f"it is not known what of {_names(unknown)} is safe: its target {why}")
    if not lanes and not unsent:
        alone = "This node sends nothing to another: what is only here would be lost with it."
        return " ".join([*map(_render_source, sources), alone])
    refused = sorted({name for group in groups for name in group["refused"]})
    rest = f" Not protected at all: {_names(refused)}." if refused else ""
    # Where all is lost whole, the last seconds are too: to name them would say that less is lost.
    all_whole = len(whole) == len(lanes) + len(unsent) and None not in map(_age, groups)
    parts = said if all_whole else [*said, _since_ticks(groups)]
    loss = f"If this node died now, {'; '.join(parts)}."
    silent_targets = map(_render_target, (t for t in targets if t["state"] == "silent"))
    return " ".join([loss, *silent_targets, *map(_render_source, sources)]) + rest


def _render_target(target: dict[str, Any]) -> str:
    span = render_span(target["silent_seconds"])
    return f"{target['target']} has not answered for {span}: nothing goes there."


def _render_source(source: dict[str, Any]) -> str:
    """What a node that keeps copies of another one must say first: do they still grow?"""
    name, arrived = source["source"], source["arrived_seconds"]
    last = "nothing of it ever arrived"
    if source["state"] == "silent":
        silent = render_span(source["silent_seconds"])
        if source["heard_at"] is None:
            since = f"was not heard since this daemon started {silent} ago"
        else:
            since = f"has not been heard for {silent}"
        if arrived is not None:
            last = f"what arrived last came {render_span(arrived)} ago"
        return f"{name} {since}: its copies here grow old; {last}."
    if source["state"] == "unknown":
        return f"{name} was not heard yet since this daemon started."
    if arrived is None:
        return f"{name} is heard, but nothing of it ever arrived."
    return f"{name} is heard; something last arrived from it {render_span(arrived)} ago."


def render_span(seconds: int) -> str:
    """93600 → `26 hours`: the largest unit that there are two of."""
    for size, word in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {word}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


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
