"""`zr policy check`: are the policies right? `zr policy explain`: what do they say of a dataset?"""

from typing import Any

import click

from zrepl_py.adapters.doctor.datasets import observe_names
from zrepl_py.cli.naming import dataset_argument
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.cli.words import count, render_json
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import caution_policy, load_policies
from zrepl_py.config.retention import describe_keep, render_keep, render_waiting
from zrepl_py.core.explain import Explanation, explain_dataset
from zrepl_py.core.voters import render_seconds
from zrepl_py.errors import ZrError
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.names import check_dataset_name
from zrepl_py.model.policy import Keep, Policy


@click.group()
def policy() -> None:
    """Look at the policies.

    Example: zr policy explain tank/audio
    """


@policy.command()
@config_option
@json_option
@click.argument("directory", required=False)
def check(config: str, as_json: bool, directory: str | None) -> None:
    """Check every policy file, of this node or of DIRECTORY.

    Example: zr policy check /etc/zr/policies
    """
    node = load_node_config(config) if directory is None else None
    folder = directory if directory is not None else node.policy_dir if node else ""
    policies = load_policies(folder)
    notes = {one.name: [*caution_policy(one), *_strangers(one, node)] for one in policies}
    if as_json:
        facts = [{**describe_policy(one), "notes": notes[one.name]} for one in policies]
        click.echo(render_json({"format": 1, "policies": facts}))
        return
    for one in policies:
        targets = ", ".join(one.targets) or "no target"
        click.echo(
            f"{one.origin}: {one.name}: {', '.join(one.selection.include)} of {one.source}, "
            f"every {render_seconds(one.every_seconds)}, to {targets}"
        )
        for note in notes[one.name]:
            click.echo(f"  note: {note}")
    if policies:
        click.echo(
            f"{count(len(policies), 'policy')} {'is' if len(policies) == 1 else 'are'} right."
        )
    else:
        click.echo(f"There is no policy in {folder}: nothing is protected.")


@policy.command()
@config_option
@json_option
@dataset_argument
def explain(config: str, as_json: bool, dataset: str) -> None:
    """Say what the policies mean for DATASET, also for one that is not protected.

    Which policy, by which pattern, how often, where to, and what is kept.

    Example: zr policy explain tank/services/wiki
    """
    check_dataset_name(dataset)
    node = load_node_config(config)
    policies = load_policies(node.policy_dir)
    try:
        existing: list[str] | None = observe_names()
    except ZrError:
        existing = None
    reserved = (node.replica_parent,) if node.replica_parent else ()
    own = [p for p in policies if p.source == node.name]
    others = [p for p in policies if p.source != node.name]
    found = explain_dataset(dataset, own, reserved, existing)
    if found.policy is None and not found.reserved and found.excluding is None:
        there = explain_dataset(dataset, others)
        if there.policy is not None or there.excluding is not None:
            found = there  # of another node: whether it exists there is not known here
    if as_json:
        click.echo(render_json(describe_explanation(found, node)))
    else:
        click.echo("\n".join(render_explanation(found, node, policies)))


def describe_policy(policy: Policy) -> dict[str, Any]:
    """A policy as JSON."""
    return {
        "policy": policy.name,
        "file": policy.origin,
        "source": policy.source,
        "datasets": list(policy.selection.include),
        "exclude": list(policy.selection.exclude),
        "every_seconds": policy.every_seconds,
        "targets": list(policy.targets),
        "retention": {name: describe_keep(keep) for name, keep in policy.keep.items()},
        "max_snapshots": policy.limits.max_snapshots,
        "min_free_percent": policy.limits.min_free_percent,
        "max_remove_percent": policy.limits.max_remove_percent,
        "thin_free_percent": policy.limits.thin_percent,
        "keep_waiting": policy.limits.keep_waiting,
        "timezone": policy.timezone,
    }


def describe_explanation(found: Explanation, node: NodeConfig) -> dict[str, Any]:
    """An explanation as JSON."""
    return {
        "format": 1,
        "node": node.name,
        "dataset": found.dataset,
        "exists": found.exists,
        "protected": found.protected,
        "pattern": found.pattern or None,
        "excluded_by": found.excluding.name if found.excluding else None,
        "reserved": found.reserved or None,
        "nearest": list(found.nearest),
        "policy": describe_policy(found.policy) if found.policy else None,
    }


def render_explanation(
    found: Explanation, node: NodeConfig, policies: tuple[Policy, ...]
) -> list[str]:
    """An explanation as sentences, the answer first."""
    name = found.dataset
    lines = []
    if found.policy is not None:
        lines += _render_policy(found, found.policy, node)
    elif found.reserved:
        lines.append(
            f"{name} is NOT selected: replicas of other nodes live at and below {found.reserved}, "
            "and those are never selected."
        )
    elif found.excluding is not None:
        lines.append(
            f"{name} is NOT protected: exclude = {found.pattern!r} of policy "
            f"{found.excluding.name} ({found.excluding.origin}) takes it away."
        )
    else:
        patterns = [p for one in policies for p in one.selection.include]
        known = f" They name: {', '.join(patterns)}." if patterns else " There is no policy."
        lines.append(f"{name} is NOT protected: no policy selects it.{known}")
    if found.exists is False:
        near = f" Did you mean {' or '.join(found.nearest)}?" if found.nearest else ""
        lines.append(f"{name} does not exist on this machine.{near}")
    elif found.exists is None and (found.policy is None or found.policy.source == node.name):
        lines.append("Whether it exists could not be looked: ZFS did not answer.")
    return lines


def _render_policy(found: Explanation, policy: Policy, node: NodeConfig) -> list[str]:
    targets = ", ".join(policy.targets)
    lines = [
        f"{found.dataset} is selected by policy {policy.name} ({policy.origin}), because "
        f"datasets = {found.pattern!r} matches"
        + (" and no exclude does." if policy.selection.exclude else "."),
    ]
    if policy.source != node.name:
        lines.append(
            f"Its source is {policy.source}, so it is that node's dataset, not this one's."
        )
    lines += [
        f"snapshots: on {policy.source}, every {render_seconds(policy.every_seconds)}, where "
        "something was written",
        f"targets:   {targets or 'none: no other machine gets a copy'}",
    ]
    for place in (policy.source, *policy.targets):
        lines.append(f"kept:      on {place}, {render_keep(policy.keep.get(place, Keep()))}")
    limits = policy.limits
    lines.append(
        f"limits:    at most {limits.max_snapshots} snapshots; no new ones with less than "
        f"{limits.min_free_percent} % of the pool free"
    )
    lines.append(f"waiting:   {render_waiting(limits)}")
    lines.append(f"times:     {policy.timezone}")
    if policy.source == node.name:
        lines.append(f"Each snapshot's fate, and why: zr retention plan {found.dataset}")
    return [*lines, *(f"note: {note}" for note in _strangers(policy, node))]


def _strangers(policy: Policy, node: NodeConfig | None) -> list[str]:
    """Targets that this node, the source, has no peer for: they get nothing."""
    if node is None or policy.source != node.name:
        return []
    return [
        f"target {target} is no peer in {node.origin}: it gets nothing. Add [peers.{target}] there."
        for target in policy.targets
        if target not in node.peers
    ]
