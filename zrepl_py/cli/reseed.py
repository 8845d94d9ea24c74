"""`zr reseed`: put a replica aside that is of no use any more, so that a new one is sent whole.

It runs on the node that keeps the replica, as root. Nothing is destroyed, ever: the old replica is
renamed to where zr does not look, with all its snapshots, and stays until a person destroys it.
"""

import json
import os
import sys
from datetime import UTC, datetime

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.host.steps import Step, command_step, run_command
from zrepl_py.cli.options import config_option, dry_run_option, json_option
from zrepl_py.cli.reseed_find import Found, find_replica
from zrepl_py.config.node import load_node_config
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.config import NodeConfig

FORMAT = 1
ASIDE = "rescue"
"""The component below the replica parent; no peer may have this name."""


@click.command()
@config_option
@click.option("--recursive", is_flag=True, help="Also put aside the replicas below it.")
@click.option(
    "--although-healthy", is_flag=True, help="Also one with which nothing seems to be wrong."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@json_option
@click.argument("dataset")
def reseed(
    config: str,
    recursive: bool,
    although_healthy: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    dataset: str,
) -> None:
    """Put the replica of DATASET aside and let a new one be sent whole. Destroys nothing.

    DATASET is the source's name, as `zr status` shows it, the replica's own, or its lane.

    Example: zr reseed tank/audio
    """
    if os.geteuid() != 0:
        raise Standing("no-rights", "`zr reseed` must be run as root.", "Use sudo.")
    node = load_node_config(config)
    parent = check_target(node)
    found = find_replica(node, parent, dataset)
    if found.healthy and not although_healthy:
        raise Refused(
            "replica-healthy",
            f"{found.healthy} Nothing was done.",
            "A restore needs no reseed. If it shall be sent whole again all the same, for what "
            "only you know, say --although-healthy.",
        )
    if found.below and not recursive:
        raise Refused(
            "has-children",
            f"{len(found.below)} replicas are below {found.name}, the first is {found.below[0]}: "
            "they would be put aside with it, and sent whole again too.",
            "Say --recursive if that is meant.",
        )
    stamp = datetime.fromtimestamp(MachineClock().now(), UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = f"{parent}/{ASIDE}/{found.name.removeprefix(parent + '/')}_{stamp}"
    steps = plan_aside(parent, found.name, aside)
    if not as_json:
        show(found, steps)
    asked = not (yes or dry_run)
    if asked and (as_json or not sys.stdin.isatty()):
        raise Refused(
            "not-asked",
            "`zr reseed` asks before it does this, and there is nobody to ask.",
            "Say --yes if it is meant, or --dry-run to see what it would do.",
        )
    if asked and not click.confirm("\nDo this?", default=False):
        click.echo("Nothing was done.")
        return
    if not dry_run:
        for step in steps:
            step.perform()
    tell_result(found, aside, steps, done=not dry_run, as_json=as_json)


def check_target(node: NodeConfig) -> str:
    """The replica parent. Refused(not-a-target)."""
    if node.replica_parent is None:
        raise Refused(
            "not-a-target",
            f"{node.name} keeps no replicas.",
            "Run `zr reseed` on the node that does: the TARGET in `zr status`.",
        )
    if ASIDE in node.peers:
        raise Refused(
            "bad-name",
            f"A peer is called {ASIDE!r}, and replicas are put aside under that name.",
            "Give that node another name in zr.toml, and pair again.",
        )
    return node.replica_parent


def plan_aside(parent: str, name: str, aside: str) -> list[Step]:
    """Rename it to where zr does not look for replicas; its new parents inherit `canmount`-less,
    unmounted, read-only."""
    folder = aside.rsplit("/", 1)[0]
    steps = []
    if run_command(["zfs", "list", "-Ho", "name", folder], check=False).returncode != 0:
        steps.append(command_step(["zfs", "create", "-p", "-o", "canmount=off", folder]))
    return [*steps, command_step(["zfs", "rename", name, aside])]


def show(found: Found, steps: list[Step]) -> None:
    """What it would do, for people."""
    click.echo(
        f"The replica {found.name} of a dataset of {found.source}: {found.snapshots} snapshots, "
        f"{found.used_bytes >> 20} MiB. Nothing of it is destroyed."
    )
    for number, step in enumerate(steps, 1):
        click.echo(f"{number:2}. {step.what}")
    if found.used_bytes > found.free_bytes:
        click.echo(
            f"Note: the new copy may need as much, and only {found.free_bytes >> 20} MiB are free."
        )


def tell_result(found: Found, aside: str, steps: list[Step], *, done: bool, as_json: bool) -> None:
    """What is where now, and what comes next."""
    if as_json:
        facts = {
            "format": FORMAT,
            "done": done,
            "replica": found.name,
            "aside": aside,
            "also": list(found.below),
            "used_bytes": found.used_bytes,
            "free_bytes": found.free_bytes,
            "steps": [step.what for step in steps],
        }
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    elif done:
        click.echo(f"The old replica is now {aside}; it stays until you destroy it yourself.")
        click.echo(f"Now, on {found.source}: zr reload && zr replicate")
