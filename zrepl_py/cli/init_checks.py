"""Is `zr init` typed on the right node, and is somebody there to ask? How is it taken back?

Looks only. Where the data is and where the copies go cannot be known for sure; what speaks against
it is said before anything is done.
"""

from collections.abc import Sequence

import click

from zrepl_py.adapters.host.prepare import SYSTEMD
from zrepl_py.adapters.host.steps import run_command
from zrepl_py.config.policies import load_policies
from zrepl_py.errors import Refused, Standing, ZrError
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.properties import LANE_PROPERTY

_LISTED = 3


def check_pools(node: NodeConfig, imported: tuple[str, ...]) -> None:
    """Standing(pool-missing)."""
    missing = [pool for pool in node.pools if pool not in imported]
    if missing:
        raise Standing(
            "pool-missing",
            f"No pool {missing[0]!r} is imported here; there are: {', '.join(imported) or 'none'}.",
            f"Run: zpool import {missing[0]}",
        )


def check_direction(node: NodeConfig, target: str, *, both: bool) -> None:
    """May this node send everything to `target`? `both`: it was said that it also keeps replicas.

    Errors: click.UsageError for the node itself, Refused(wrong-node).
    """
    if target == node.name:
        raise click.UsageError(
            f"--target {target}: that is this node itself. It names the other one, which keeps the "
            f"copies: type `zr init --target {target}` on the node that has the data. Here: "
            "zr init --replicas POOL/zr"
        )
    if both or sends_to(node, target):
        return
    if node.replica_parent is None:
        return
    theirs = find_replicas(node.pools, f"{node.replica_parent}/{target}")
    evidence = f"It keeps copies of others, in {node.replica_parent}."
    if theirs:
        evidence = f"It keeps replicas of {target}: {_some(theirs)}."
    also = f"zr init --target {target} --replicas {node.replica_parent}"
    raise Refused(
        "wrong-node",
        f"`--target {target}` would send all that is on {node.name} to {target}, but {node.name} "
        f"seems to be the target. {evidence} Nothing was done.",
        f"Type it on the node that has the data. If both shall send to each other: {also}",
    )


def check_asked(*, asks: bool, terminal: bool) -> None:
    """Refused(not-asked) where a question would go to nobody."""
    if asks and not terminal:
        raise Refused(
            "not-asked",
            "`zr init` asks before it does this, and there is nobody to ask. Nothing was done.",
            "Say --yes if it is meant, or --dry-run to see all files that it would write.",
        )


def render_undo(node: NodeConfig, config: str, policy: str | None, *, new_parent: bool) -> str:
    """How a person takes back what was done just now. `policy`: the file that was written, if one
    was; `new_parent`: the replica parent was made."""
    stop = "systemctl stop zr; " if SYSTEMD.is_dir() else ""
    lines = []
    if policy is not None:
        lines.append(
            f"To protect nothing again: rm {policy} && zr reload. Snapshots that were taken stay."
        )
    if new_parent:
        lines.append(
            f"To keep no replicas again, while there are none: {stop}zfs destroy "
            f"{node.replica_parent}, and take `replicas` out of {config}."
        )
    lines.append("To take zr away: make uninstall, in its source; it leaves all data.")
    return "\n".join(lines)


def sends_to(node: NodeConfig, target: str) -> bool:
    """A policy of this node has that target already."""
    try:
        policies = load_policies(node.policy_dir)
    except ZrError:
        return False
    return any(p.source == node.name and target in p.targets for p in policies)


def find_replicas(pools: Sequence[str], below: str) -> list[str]:
    """Replicas below a dataset; none where that is not there."""
    if below.split("/")[0] not in pools:
        return []
    argv = ["zfs", "get", "-H", "-r", "-s", "local", "-t", "filesystem,volume", "-o", "name"]
    shown = run_command([*argv, LANE_PROPERTY, below], check=False)
    return shown.stdout.split("\n")[:-1] if shown.returncode == 0 else []


def _some(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
