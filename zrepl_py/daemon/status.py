"""What does this node know of its own safety? Remembered facts, no look at a pool: a daemon whose
pool hangs still answers. "Safe" is said only of what the target has committed and acknowledged.
"""

from typing import Any

from zrepl_py import __version__
from zrepl_py.core.diff import explain_conflict, newest_own
from zrepl_py.daemon.lanes import LaneState
from zrepl_py.daemon.replicas import Replicas
from zrepl_py.daemon.source import Source
from zrepl_py.model.names import parse_tick
from zrepl_py.model.site import Node
from zrepl_py.ports.clock import ClockPort

FORMAT = 1


def describe(node: Node, source: Source, replicas: Replicas, clock: ClockPort) -> dict[str, Any]:
    """The answer to `zr status --json` (docs/reference/status.md)."""
    now, monotonic = clock.now(), clock.monotonic()
    groups = [
        {
            "policy": key[0],
            "pool": key[1],
            "members": sorted(source.groups[key].members) if key in source.groups else [],
            "missing": list(source.groups[key].missing) if key in source.groups else [],
            "every_seconds": policy.every_seconds,
            "seq": source.manifests[key].seq if key in source.manifests else None,
            "tick_age_seconds": round(monotonic - source.last_tick[key], 1)
            if key in source.last_tick
            else None,
        }
        for key, policy in source.policies.items()
    ]
    lanes = [_describe_lane(source, state, now) for state in source.lanes.states.values()]
    kept = [
        {
            "dataset": known.dataset,
            "source": known.place.source.name,
            "replica": known.replica.name if known.replica else None,
            "newest": newest.name
            if known.replica and (newest := newest_own(known.replica.view.history))
            else None,
        }
        for known in replicas.lanes.values()
    ]
    return {
        "format": FORMAT,
        "version": __version__,
        "node": node.name,
        "uuid": node.uuid,
        "sentence": sentence(lanes, groups),
        "groups": groups,
        "lanes": lanes,
        "replicas": kept,
    }


def _describe_lane(source: Source, state: LaneState, now: float) -> dict[str, Any]:
    history = source.history_of(state.lane.dataset)
    newest = newest_own(history) if history else None
    committed = state.committed
    in_sync = committed is not None and newest is not None and committed.guid == newest.guid
    tick = parse_tick(committed.name) if committed else None
    return {
        "lane": state.lane.uuid,
        "dataset": state.lane.dataset,
        "target": state.lane.target.name,
        "newest": newest.name if newest else None,
        "committed": committed.name if committed else None,
        "in_sync": in_sync,
        "lag_seconds": 0 if in_sync else (round(now - tick.at) if tick else None),
        "transfers": state.transfers,
        "failures": state.failures,
        "conflict": explain_conflict(state.conflict) if state.conflict else None,
        "error": {"reason": state.error.reason, "message": str(state.error)}
        if state.error
        else None,
    }


def sentence(lanes: list[dict[str, Any]], groups: list[dict[str, Any]]) -> str:
    """What would be lost if this node died now."""
    if not lanes:
        return "This node sends nothing to another: if it died now, everything here would be lost."
    never = [lane["dataset"] for lane in lanes if lane["committed"] is None]
    if never:
        return (
            f"If this node died now, {len(never)} of {len(lanes)} datasets would be lost whole: "
            f"{', '.join(never[:3])}{' …' if len(never) > 3 else ''} has no complete copy yet."
        )
    behind = [lane for lane in lanes if not lane["in_sync"]]
    if behind:
        worst = max(behind, key=lambda lane: lane["lag_seconds"] or 0)
        return (
            f"If this node died now, up to {worst['lag_seconds']} seconds of {worst['dataset']} "
            f"would be lost; {len(behind)} of {len(lanes)} datasets are behind."
        )
    ages = [group["tick_age_seconds"] for group in groups if group["tick_age_seconds"] is not None]
    age = round(max(ages)) if ages else 0
    return (
        f"If this node died now, what was written in the last {age} seconds would be lost; "
        "every snapshot is on its target."
    )
