"""What does the configuration order, and what does the daemon say of it?

Takes the daemon's own words (`zr status --json`, docs/reference/status.md), with nothing added.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from zrepl_py.core.audit.finding import Findings, error, warning
from zrepl_py.model.policy import Policy

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


def judge_targets(policies: Sequence[Policy], node: str, peers: Sequence[str]) -> Findings:
    """Targets that this node cannot reach, and datasets without any."""
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
    if not policies:
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
    for lane in status["lanes"]:
        found += _judge_lane(lane)
    return found


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
    return found


def _judge_lane(lane: Mapping[str, Any]) -> Findings:
    name = f"{lane['dataset']} → {lane['target']}"
    if lane["conflict"]:
        sentence = f"{name}: the two sides cannot be joined: {lane['conflict']}"
        return [error("lane-conflict", name, sentence, "docs/runbooks/lane-conflict.md")]
    if lane["error"] and lane["failures"]:
        sentence = f"{name}: {lane['error']['message']} ({lane['failures']} tries failed in a row)"
        remedy = f"docs/reference/errors.md explains `{lane['error']['reason']}`."
        return [error("lane-failing", name, sentence, remedy)]
    lag = lane["lag_seconds"]
    if lag is not None and lag > BEHIND_SECONDS:
        sentence = f"{name} is {lag} s behind."
        return [warning("lane-behind", name, sentence, "`zr replicate` shows how fast it goes.")]
    return []
