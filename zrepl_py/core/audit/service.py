"""What does the configuration order, and what does the daemon say of it?

Takes the daemon's own words (`zr status --json`, docs/reference/status.md), with nothing added.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from zrepl_py.core.audit.finding import Finding, Findings, error, warning
from zrepl_py.core.role_moves import FOLLOWING
from zrepl_py.model.names import parse_epoch
from zrepl_py.model.policy import Policy
from zrepl_py.model.roles import State

LATE = 3.0
"""A tick that is older than so many cadences, and LATE_SECONDS, is late."""
LATE_SECONDS = 30.0
BEHIND_SECONDS = 3600


def judge_config(problem: str) -> Findings:
    """zr.toml or a policy that cannot be used."""
    sentence = f"The configuration is wrong, so the daemon would not start: {problem}"
    return [error("config-wrong", "configuration", sentence, "Correct it, then `zr policy check`.")]


def judge_uninitialised(path: str) -> Findings:
    """A node without state."""
    sentence = f"There is no {path}: this node was never prepared."
    return [error("not-initialised", path, sentence, "`zr init`, or restore it from a backup.")]


def judge_targets(
    policies: Sequence[Policy], node: str, peers: Sequence[str], *, keeps: bool = False
) -> Findings:
    """Targets that this node cannot reach, and datasets without any. `keeps`: it is a target of
    others, with a place for their replicas; a policy of its own is then not missed."""
    found: Findings = []
    for policy in (p for p in policies if p.source == node):
        for target in policy.targets:
            if target not in peers:
                found.append(
                    error(
                        "target-unknown",
                        policy.name,
                        f"Policy {policy.name} names target {target}, which is no peer in zr.toml: "
                        "it gets nothing.",
                        f"Pair with {target}, or correct the name in {policy.origin}.",
                    )
                )
        if not policy.targets:
            found.append(
                warning(
                    "no-target",
                    policy.name,
                    f"Policy {policy.name} has no target: no other machine gets a copy.",
                    f'Add targets = ["…"] to {policy.origin}.',
                )
            )
    if not policies and keeps:
        found.append(
            warning(
                "no-policy",
                "policies",
                "There is no policy of the other node here: what arrives is kept until the pool "
                "is nearly full.",
                "`zr pair` brings those that the source has then; later ones are copied from its "
                "/etc/zr/policies, then `zr reload`.",
            )
        )
    elif not policies:
        sentence = "There is no policy: nothing is protected."
        remedy = "Write one: docs/formats/policy.md, or take policies/station.toml."
        found.append(warning("no-policy", "policies", sentence, remedy))
    return found


def judge_silent(why: str) -> Findings:
    """No daemon, no protection."""
    sentence = f"{why} So nothing is protected now."
    return [error("daemon-silent", "daemon", sentence, "systemctl start zr; journalctl -u zr")]


def judge_status(status: Mapping[str, Any]) -> Findings:
    """The daemon's own word of groups and lanes."""
    found: Findings = []
    for group in status["groups"]:
        found += _judge_group(group)
    targets = status.get("targets", ())
    away = {target["target"] for target in targets if target["state"] == "silent"}
    led = _find_led(status.get("roles", ()))
    for target in targets:
        there = [lane for lane in status["lanes"] if lane["target"] == target["target"]]
        behind = sum(not lane["in_sync"] for lane in there)
        found += _judge_target(target, behind, len(there), led=target["target"] in led)
    for lane in status["lanes"]:
        found += _judge_lane(lane, away)
    for replica in status["replicas"]:
        found += _judge_replica(replica)
    return found + [_judge_question(question) for question in status.get("questions", ())]


def _judge_question(question: Mapping[str, Any]) -> Finding:
    name, many = question["dataset"], question["snapshots"]
    return warning(
        "retention-asks",
        name,
        f"Retention does not destroy {many} of the snapshots of {name} before somebody says yes: "
        f"{question['message']}",
        f"Look: zr retention plan {name}. If it shall be so: {question['allow']}",
    )


def judge_sources(status: Mapping[str, Any], policies: Sequence[Policy], node: str) -> Findings:
    """Do the nodes whose copies are kept here still send?"""
    found: Findings = []
    followed = [one for one in status.get("roles", ()) if one["state"] in FOLLOWING]
    served_there = {one["peer"] for one in followed}
    for source in status.get("sources", ()):
        if source.get("served"):
            continue  # what is here of it, this node serves itself: nothing is to come
        name, arrived = source["source"], source["arrived_seconds"]
        last = "nothing ever arrived" if arrived is None else f"the last arrived {arrived} s ago"
        if source["state"] == "silent":
            never = " since this daemon started" if source["heard_at"] is None else ""
            dead = "alpha-is-dead" if name in served_there else "node-crashed"
            found.append(
                error(
                    "source-silent",
                    name,
                    f"{name} has not been heard{never} for {source['silent_seconds']} s: its "
                    f"copies here grow old, {last}.",
                    f"Is {name} on, and what does `zr doctor` say there? Does it reach this node? "
                    f"If it is dead: docs/runbooks/{dead}.md",
                )
            )
            continue
        cadences = [p.every_seconds for p in policies if p.source == name and node in p.targets]
        if cadences and arrived is not None and arrived > LATE * max(cadences) + LATE_SECONDS:
            found.append(
                error(
                    "nothing-arrives",
                    name,
                    f"{name} is heard, but {last}, though every {max(cadences)} s is ordered.",
                    f"`zr doctor` on {name} says what is in the way.",
                )
            )
    return found


def _find_led(roles: Sequence[Mapping[str, Any]]) -> set[str]:
    """Nodes that were primary of a group which this one serves alone now: an epoch after the first
    is one that was taken over."""
    return {
        one["peer"]
        for one in roles
        if one["state"] == State.PRIMARY_ALONE and one["epoch"] and parse_epoch(one["epoch"]).n > 1
    }


def _judge_target(target: Mapping[str, Any], behind: int, lanes: int, *, led: bool) -> Findings:
    """`led`: it was primary of what this node serves alone now."""
    if target["state"] != "silent":
        return []
    name, why = target["target"], target["error"]["message"] if target["error"] else ""
    never = " since this daemon started," if target["heard_at"] is None else ""
    sentence = (
        f"{name} has not answered{never} for {target['silent_seconds']} s, so nothing goes there; "
        f"not known to be in sync: {behind} of {lanes} datasets. {why}"
    )
    remedy = (
        f"Is {name} on, does `zr status` answer there, and does it answer a ping from here? Is its "
        f"address in [peers.{name}] right? docs/runbooks/beta-was-off.md"
    )
    if led:
        remedy = (
            f"This node serves: while {name} is off, nothing is to be done here. When it is back: "
            f"docs/runbooks/alpha-came-back.md. Should it be on? {remedy}"
        )
    return [error("target-silent", name, sentence.rstrip(), remedy)]


def _judge_replica(replica: Mapping[str, Any]) -> Findings:
    refused = replica.get("refused")
    if not refused:
        return []
    name = f"{replica['dataset']} of {replica['source']}"
    sentence = f"The last stream of {name} was not received: {refused['message']}"
    remedy = f"docs/reference/errors.md explains `{refused['reason']}`."
    if refused["kind"] == "Passing":
        return [warning("replica-waits", name, sentence, remedy)]
    return [error("replica-refused", name, sentence, remedy)]


def _judge_group(group: Mapping[str, Any]) -> Findings:
    found: Findings = []
    name = f"{group['policy']}/{group['pool']}"
    age, every = group["tick_age_seconds"], group["every_seconds"]
    if group["error"]:
        sentence = f"No snapshots of {name} are taken: {group['error']['message']}"
        found.append(error("tick-failing", name, sentence, "Mend what the sentence says."))
    elif age is not None and age > LATE * every + LATE_SECONDS:
        found.append(
            error(
                "tick-late",
                name,
                f"The last look at {name} is {age:.0f} s old, though every {every} s is ordered.",
                "zpool status: a pool or disk that hangs is the usual cause.",
            )
        )
    for pattern in group["missing"]:
        sentence = f"Policy {group['policy']} names {pattern}, which does not exist."
        remedy = f"`zr policy explain {pattern.removesuffix('/**')}` shows names that are near."
        found.append(warning("pattern-missing", group["policy"], sentence, remedy))
    remedy = f"Mend it, or exclude it in policy {group['policy']}."
    for dataset, why in group["refused"].items():
        found.append(error("not-protected", dataset, f"{dataset} is not protected: {why}", remedy))
    if age is not None and not group["members"]:
        sentence = f"Policy {group['policy']} selects no dataset of pool {group['pool']}."
        remedy = "`zr policy explain DATASET` says why for each."
        found.append(warning("selects-nothing", group["policy"], sentence, remedy))
    return found + _judge_room(group, name)


def _judge_room(group: Mapping[str, Any], name: str) -> Findings:
    """What waits for a target that is away, and what gives way for want of room."""
    room = group.get("room")
    if not room or not room["message"] or not (room["waiting"] or room["state"] == "dense"):
        return []
    if room["state"] in ("waiting", "dense"):
        remedy = "Free space, or bring the target back: docs/runbooks/disk-full.md"
        return [warning("history-thinned", name, room["message"], remedy)]
    remedy = "Bring the target back, or free space in time: docs/runbooks/beta-was-off.md"
    return [warning("history-waits", name, room["message"], remedy)]


def _judge_lane(lane: Mapping[str, Any], away: Collection[str]) -> Findings:
    name = f"{lane['dataset']} → {lane['target']}"
    if lane["conflict"]:
        sentence = f"{name}: the two sides cannot be joined: {lane['conflict']}"
        return [error("lane-conflict", name, sentence, "docs/runbooks/lane-conflict.md")]
    if lane["target"] in away and lane["error"] and lane["error"]["reason"] == "peer-silent":
        return []  # said once, of the target
    if lane["error"] and lane["failures"]:
        sentence = f"{name}: {lane['error']['message']} ({lane['failures']} tries failed in a row)"
        remedy = f"docs/reference/errors.md explains `{lane['error']['reason']}`."
        return [error("lane-failing", name, sentence, remedy)]
    lag = lane["lag_seconds"]
    if lag is not None and lag > BEHIND_SECONDS:
        sentence = f"{name} is {lag} s behind."
        return [warning("lane-behind", name, sentence, "`zr replicate` shows how fast it goes.")]
    return []
