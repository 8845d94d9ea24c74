"""`zr rescue`: what was set aside when a node came back, or when a group was promoted.

    list     which rescues there are          diff     what only they have
    export   copy files out of one            drop     destroy one, after asking

Nothing but `drop` ever destroys a rescue: no retention, no promotion, no time.
"""

import os
import sys
from typing import Any

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.host.mounts import observe_mounts
from zrepl_py.adapters.zfs.command import CommandZfs
from zrepl_py.cli.asking import ask_daemon
from zrepl_py.cli.naming import group_argument, group_option
from zrepl_py.cli.options import config_option, dry_run_option, json_option
from zrepl_py.cli.rescue_diff import Tail, find_tail
from zrepl_py.cli.rescue_export import Exported, Wanted, copy_out, find_wanted
from zrepl_py.cli.rescue_find import Aside, Rescue, find_present, find_rescue
from zrepl_py.cli.rescue_say import (
    LISTED_BOTH,
    describe_exported,
    describe_tails,
    render_elsewhere,
    render_exported,
    render_named,
    render_rescues,
    render_tails,
)
from zrepl_py.cli.restore_say import show_progress
from zrepl_py.cli.retention_find import find_peers
from zrepl_py.cli.role_orders import FORMAT, ask_who, name_policy
from zrepl_py.cli.versions_say import looks_shown
from zrepl_py.cli.words import render_json
from zrepl_py.config.node import load_node_config
from zrepl_py.errors import Refused, Standing, ZrError
from zrepl_py.model.observation import Kind

label_argument = click.argument("label")


@click.group()
def rescue() -> None:
    """What was set aside, and never lost: look at it, copy it back, drop it.

    Example: zr rescue list
    """


@rescue.command("list")
@json_option
@config_option
@group_argument
def list_(group: str | None, config: str, as_json: bool) -> None:
    """Which rescues this node has: its own, and those that the other node has sent.

    SENT says where to or where from; `zr rescue drop LABEL --dry-run` asks the other node what it
    has of it now. A rescue costs what only it has.

    Example: zr rescue list radio
    """
    found = ask_daemon(config, "rescue_list", group=name_policy(group))
    if as_json:
        click.echo(render_json({"format": FORMAT, "rescues": found}))
        return
    for line in render_rescues(found):
        click.echo(line)
    if found:
        click.echo(LISTED_BOTH)


@rescue.command()
@click.option("--all", "everything", is_flag=True, help="All of them; else the first 1000.")
@json_option
@config_option
@label_argument
def diff(label: str, config: str, as_json: bool, everything: bool) -> None:
    """What the rescue LABEL has that neither the common version nor the primary has. As root.

    Files that are new in it (+), changed (M) or renamed (R), with their sizes. What stands at its
    place now with the very same content is not named: it was brought back already.

    Example: zr rescue diff 1-9f3a21cc-0b51e2aa
    """
    found, tails, failed = _find_tails(config, label)
    if as_json:
        click.echo(render_json({"format": FORMAT, **describe_tails(found, tails)}))
    else:
        for line in render_tails(found, tails, everything=everything):
            click.echo(line)
    _raise_for(failed)


@rescue.command()
@click.option("--to", "folder", required=True, metavar="DIR", help="Where they shall go.")
@dry_run_option
@json_option
@config_option
@label_argument
@click.argument("paths", metavar="[PATH]...", nargs=-1)
def export(
    label: str, config: str, as_json: bool, dry_run: bool, folder: str, paths: tuple[str, ...]
) -> None:
    """Copy files out of the rescue LABEL, compared by digest, never over anything. As root.

    Without PATH: all that `zr rescue diff` names. With it: these files and directories, written as
    DATASET/PATH. Each goes to DIR/DATASET/PATH. Run again, it goes on: what is there already with
    the same content is left alone.

    Example: zr rescue export 1-9f3a21cc-0b51e2aa --to /root/rescued
    """
    failed: list[tuple[Aside, ZrError]] = []
    if paths:
        found = _find(config, label)
        wanted = find_wanted(found, paths)
    else:
        found, tails, failed = _find_tails(config, label)
        wanted = [
            Wanted(aside, one.path, one.size_bytes)
            for aside, tail in tails.items()
            if tail is not None
            for one in tail.only
        ]
    done = Exported()
    if not dry_run and wanted:
        total = 2 * sum(one.size_bytes for one in wanted)
        with show_progress(total, "Copying and checking") as progress:
            at = int(MachineClock().now())
            done = copy_out(wanted, os.path.abspath(folder), at, progress)
    planned = wanted if dry_run else None
    if as_json:
        told = describe_exported(found, done, planned, folder)
        click.echo(render_json({"format": FORMAT, **told}))
    else:
        for line in render_exported(found, done, planned, folder):
            click.echo(line)
    _raise_for(failed)
    if done.left:
        worst = done.left[0][1]
        raise type(worst)(worst.reason, f"{len(done.left)} were not copied. {worst.message}",
                          worst.remedy)  # fmt: skip


@rescue.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@group_option
@dry_run_option
@json_option
@config_option
@label_argument
def drop(
    label: str, config: str, as_json: bool, dry_run: bool, group: str | None, yes: bool
) -> None:
    """Destroy the rescue LABEL on this node, after asking. What only it has is gone then.

    Before, it says which files that are (as root), and whether the other node has it, which is
    asked then. What is there stays until it is dropped there.

    Example: zr rescue drop 1-9f3a21cc-0b51e2aa
    """
    group = name_policy(group)
    known: list[dict[str, Any]] = ask_daemon(config, "rescue_list", group=group)
    fitting = [one for one in known if one["label"] == label]
    if not fitting:
        raise Refused(
            "no-rescue",
            f"There is no rescue {label} on this node. Nothing was done.",
            "`zr rescue list` names those that are here.",
        )
    if not as_json:
        for line in render_rescues(fitting):
            click.echo(line)
        _tell_named(config, label)
        there = ask_daemon(config, "rescue_elsewhere", group=group, label=label)
        for line in render_elsewhere(there, label):
            click.echo(line)
    if dry_run:
        return
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise Refused(
                "not-asked",
                "`zr rescue drop` asks before it destroys, and there is nobody to ask.",
                "Say --yes if it is meant, or --dry-run to see what would be lost.",
            )
        asked = "Type the label again to destroy it"
        if click.prompt(asked, default="", show_default=False) != label:
            raise Refused("not-confirmed", "Nothing was destroyed.")
    told = ask_daemon(config, "rescue_drop", group=group, label=label, who=ask_who())
    if as_json:
        click.echo(render_json({"format": FORMAT, "label": label, "dropped": told}))
    else:
        click.echo(f"The rescue {label} is destroyed on this node.")


def _tell_named(config: str, label: str) -> None:
    """What only the rescue has; a look that fails says so, and hinders nothing."""
    try:
        _, tails, failed = _find_tails(config, label)
    except (ZrError, OSError) as error:
        click.echo(f"Which files only it has is not known: {error}")
        return
    for line in render_named(tails):
        click.echo(line)
    for aside, why in failed:
        click.echo(f"What only it has of {aside.member} is not known: {why}")


def _find(config: str, label: str) -> Rescue:
    if os.geteuid() != 0:
        raise Standing("no-rights", "`zr rescue` looks into snapshots as root.", "Use sudo.")
    node = load_node_config(config)
    return find_rescue(node, find_peers(node), label, CommandZfs())


def _find_tails(
    config: str, label: str
) -> tuple[Rescue, dict[Aside, Tail | None], list[tuple[Aside, ZrError]]]:
    """Each dataset's tail; None of a volume. What could not be looked into is told, and the rest
    goes on."""
    found, mounts, zfs = _find(config, label), observe_mounts(), CommandZfs()
    tails: dict[Aside, Tail | None] = {}
    failed: list[tuple[Aside, ZrError]] = []
    with looks_shown("entries looked at") as progress:
        for aside in found.datasets:
            if aside.kind is Kind.VOLUME:
                tails[aside] = None
                continue
            try:
                tails[aside] = find_tail(aside, find_present(aside, mounts, zfs), progress)
            except ZrError as error:
                failed.append((aside, error))
    return found, tails, failed


def _raise_for(failed: list[tuple[Aside, ZrError]]) -> None:
    """A look that is not whole is shown, but the exit code must say so."""
    for aside, error in failed[1:]:
        click.echo(f"zr: {aside.member} could not be looked into: {error}", err=True)
    if failed:
        aside, error = failed[0]
        said = f"{aside.member} could not be looked into: {error.message}"
        raise type(error)(error.reason, said, error.remedy)
