"""What is in the way of what should reach the other node? Each cause once, the widest first. Pure.

Takes the daemon's own words (docs/reference/status.md). A dataset that fails because its target
does not answer is no cause of its own.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from zrepl_py.cli.words import render_moment, render_span

Facts = Mapping[str, Any]
LISTED = 3
REACH = "Is it on, and does it answer a ping from here? `zr doctor` says what to do."


def render_causes(
    facts: Facts, zone: ZoneInfo, datasets: Collection[str] | None = None
) -> list[str]:
    """Sentences; of the lanes of `datasets` only, where they are named."""
    lanes = [lane for lane in facts["lanes"] if not datasets or lane["dataset"] in datasets]
    pools = {name.split("/")[0] for name in datasets or ()}
    groups = [g for g in facts["groups"] if g["error"] and (not pools or g["pool"] in pools)]
    causes = [
        f"No snapshots of {group['policy']}/{group['pool']} now: {group['error']['message']}"
        for group in groups
    ]
    concerned = {lane["target"] for lane in lanes}
    silent = [t for t in find_silent(facts) if not datasets or t["target"] in concerned]
    causes += [render_silent_target(target, zone) for target in silent]
    return causes + _render_lanes(lanes, {target["target"] for target in silent})


def is_of_silence(lane: Facts, silent: Collection[str]) -> bool:
    """It fails only because its target does not answer, which is said by itself."""
    error = lane["error"]
    unheard = not lane["conflict"] and error and error["reason"] == "peer-silent"
    return bool(unheard) and lane["target"] in silent


def find_silent(facts: Facts) -> list[Facts]:
    """The targets that do not answer."""
    return [target for target in facts.get("targets", ()) if target["state"] == "silent"]


def render_silent_target(target: Facts, zone: ZoneInfo) -> str:
    """`beta has not answered since 2026-11-21 10:02:13: …`."""
    name, error = target["target"], target["error"]
    why = f": {error['message']}" if error else "."
    if target["heard_at"] is None:
        span = render_span(target["silent_seconds"])
        return f"{name} has not answered since this daemon started, {span} ago{why} {REACH}"
    return f"{name} has not answered since {render_at(target['heard_at'], zone)}{why} {REACH}"


def render_rooms(facts: Facts) -> list[str]:
    """What waits for targets, and which pool runs short: each sentence once."""
    rooms = [group.get("room") for group in facts["groups"]]
    said = [room["message"] for room in rooms if room and room["message"]]
    return list(dict.fromkeys(said))


def render_refused(replicas: Sequence[Facts]) -> list[str]:
    """Why the newest of some replicas did not come to this node."""
    named: dict[tuple[str, str], list[str]] = {}
    for known in replicas:
        if known.get("refused"):
            cause = (known["source"], known["refused"]["message"])
            named.setdefault(cause, []).append(known["dataset"])
    return [
        f"{name_some(names)} of {source}: the last stream was not received: {message}"
        for (source, message), names in named.items()
    ]


def render_at(at: str, zone: ZoneInfo) -> str:
    """A moment of the daemon's → `2026-11-21 10:02:13`, in the zone."""
    return render_moment(datetime.fromisoformat(at).timestamp(), zone)


def name_some(names: Sequence[str]) -> str:
    """`a, b, c and 4 more`."""
    more = len(names) - LISTED
    listed = ", ".join(sorted(names)[:LISTED])
    return f"{listed} and {more} more" if more > 0 else listed


def _render_lanes(lanes: Sequence[Facts], silent: Collection[str]) -> list[str]:
    named: dict[tuple[str, str], list[str]] = {}
    for lane in lanes:
        error = lane["error"]
        trouble = lane["conflict"] or (error and error["message"])
        if trouble and not is_of_silence(lane, silent):
            named.setdefault((lane["target"], trouble), []).append(lane["dataset"])
    return [
        f"{name_some(names)} → {target}: {trouble}" for (target, trouble), names in named.items()
    ]
