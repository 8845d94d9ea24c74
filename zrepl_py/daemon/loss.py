"""The one sentence of `zr status`: what would be lost if this node died now? Pure.

It says the worst first. "Safe" is said only of what a target has committed and acknowledged; what
is not known is said to be unknown, never to be safe.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from zrepl_py.core.role_moves import FOLLOWING

LISTED = 3


def render_loss(
    lanes: Sequence[dict[str, Any]],
    groups: Sequence[dict[str, Any]],
    unsent: Sequence[str],
    targets: Sequence[dict[str, Any]] = (),
    sources: Sequence[dict[str, Any]] = (),
    *,
    roles: Sequence[dict[str, Any]] = (),
) -> str:
    """`lanes`, `groups`, `targets`, `sources`, `roles`: as in daemon/status.py; `unsent`: datasets
    that go to no target. Of a source of which nothing is kept but what this node serves itself now
    there are no copies that could grow."""
    away = {target["target"] for target in targets if target["state"] == "silent"}
    whole = [lane["dataset"] for lane in lanes if lane["state"] == "no-copy"] + list(unsent)
    unknown = [lane for lane in lanes if lane["state"] == "unknown"]
    silent = [lane for lane in unknown if lane["target"] in away]
    unasked = [lane["dataset"] for lane in unknown if lane["target"] not in away]
    stuck = [lane["dataset"] for lane in lanes if lane["state"] == "conflict"]
    behind = [lane for lane in lanes if lane["state"] == "behind"]
    concerned = [source for source in sources if not source.get("served")]
    said = []
    if whole:
        said.append(f"{_names(whole)} would be lost whole: no other machine has a copy")
    if stuck:
        said.append(f"{_names(stuck)} would fall back to an old state: its copy is in conflict")
    if behind:
        said.append(_render_behind(behind))
    for target in sorted({lane["target"] for lane in silent}):
        named = _names([lane["dataset"] for lane in silent if lane["target"] == target])
        said.append(
            f"all of {named} may be lost: {target} does not answer, and what it has is not known"
        )
    if unasked:
        why = "its target was not asked yet"
        said.append(f"it is not known what of {_names(unasked)} is safe: {why}")
    if not lanes and not unsent:
        resting = _render_resting(roles, {source["source"] for source in concerned})
        return " ".join([*map(_render_source, concerned), *resting, *_render_aside(roles)])
    refused = sorted({name for group in groups for name in group["refused"]})
    rest = f" Not protected at all: {_names(refused)}." if refused else ""
    # Seconds are said of what is elsewhere but for them: of what may be lost whole, or is behind by
    # more, they would say that less is lost.
    in_sync = any(lane["state"] == "in-sync" for lane in lanes)
    parts = [*said, _since_ticks(groups, others=bool(said))] if in_sync or _late(groups) else said
    loss = f"If this node died now, {'; '.join(parts)}."
    silent_targets = map(_render_target, (t for t in targets if t["state"] == "silent"))
    after = (*silent_targets, *map(_render_source, concerned), *_render_aside(roles))
    return " ".join([loss, *after]) + rest


def _render_resting(roles: Sequence[dict[str, Any]], sources: Collection[str]) -> Iterator[str]:
    """Of a node that sends nothing: what it is good for. `sources`: of which enough is said."""
    following = [role for role in roles if role["state"] in FOLLOWING]
    others = [role["group"] for role in roles if role["state"] not in FOLLOWING]
    if others or not roles:
        only = f" of {_names(others)}" if others else ""
        yield f"This node sends nothing to another: what is only here{only} would be lost with it."
    for role in following:
        group, peer = role["group"], role["peer"]
        if peer in sources:
            continue
        if role["peer_state"] is None:
            yield f"{peer} does not answer: the copy of {group} here grows old."
        else:
            yield f"This node keeps a copy of {group}, and follows {peer}."


def _render_aside(roles: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What was set aside here, and may be nowhere else."""
    for role in roles:
        unsent = any(rescue["own"] and not rescue["shipped"] for rescue in role["rescues"])
        if unsent or role.get("sending") is not None:
            yield (
                f"A rescue of {role['group']} was not sent to {role['peer']} yet: it would be lost "
                "with this node."
            )


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


def render_twice(names: Sequence[str]) -> str:
    """What follows the sentence where two machines say that they are the same node."""
    return "".join(
        f" Two machines say that they are {name}: the one that was heard first is listened to. "
        f"Switch off the other one; it may be a copy."
        for name in names
    )


def _render_behind(behind: Sequence[dict[str, Any]]) -> str:
    named = _names([lane["dataset"] for lane in behind])
    if any(lane["lag_seconds"] is None for lane in behind):
        return f"what was written to {named} of late would be lost; since when is not known"
    worst = max(behind, key=lambda lane: lane["lag_seconds"] or 0)
    furthest = f" ({worst['dataset']} is the furthest behind)" if len(behind) > 1 else ""
    return (
        f"what was written to {named} in the last {_render_last(worst['lag_seconds'])} would be "
        f"lost{furthest}"
    )


def _late(groups: Sequence[dict[str, Any]]) -> bool:
    """Some group takes no snapshots now."""
    return any(
        (age := _age(group)) is None or age > 2 * group["every_seconds"] + 5 for group in groups
    )


def _since_ticks(groups: Sequence[dict[str, Any]], *, others: bool) -> str:
    """`others`: of some datasets something was said already."""
    never = [f"{group['policy']}/{group['pool']}" for group in groups if _age(group) is None]
    if never:
        return f"no snapshot was taken of {_names(never)} since the daemon started"
    age = _render_last(max((_age(group) or 0 for group in groups), default=0))
    rest = " (no snapshot succeeded since)" if _late(groups) else ""
    elsewhere = " to the others" if others else ""
    return f"what was written{elsewhere} in the last {age} would be lost{rest}"


def _render_last(seconds: float) -> str:
    """Never less than it is, and never nothing: something may be written at any moment."""
    whole = math.ceil(seconds)
    return "second" if whole <= 1 else f"{whole} seconds"


def _age(group: dict[str, Any]) -> float | None:
    age: float | None = group["tick_age_seconds"]
    return age


def _names(names: Sequence[str]) -> str:
    listed = ", ".join(sorted(names)[:LISTED])
    more = len(names) - LISTED
    return f"{listed} and {more} more" if more > 0 else listed
