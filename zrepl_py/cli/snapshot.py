"""`zr snapshot`: a tick now, of one policy or of all, and what came of it."""

from typing import Any

import click

from zrepl_py.adapters.clock import Deadline, MachineClock
from zrepl_py.cli.asking import POLL_SECONDS, ask_daemon
from zrepl_py.cli.naming import policy_argument
from zrepl_py.cli.options import config_option, dry_run_option, json_option, timeout_option
from zrepl_py.cli.words import count, render_json
from zrepl_py.errors import KINDS, Passing, Refused

Group = dict[str, Any]


@click.command()
@config_option
@json_option
@dry_run_option
@timeout_option(120)
@policy_argument
def snapshot(
    config: str, as_json: bool, dry_run: bool, timeout_seconds: int, policy: str | None
) -> None:
    """Take a snapshot of every protected dataset that changed, now.

    Of all policies of this node, or of POLICY alone. Returns when the snapshots are taken; the
    daemon then sends them, and `zr replicate` waits for that.

    Example: zr snapshot station
    """
    if dry_run:
        _tell_plan(_groups(config, policy), as_json)
        return
    deadline = Deadline(MachineClock(), timeout_seconds)
    wanted: dict[str, int] = ask_daemon(config, "snapshot", policy=policy)
    groups = _wait(config, wanted, deadline, timeout_seconds)
    failed = next((group for group in groups if group["error"]), None)
    if as_json:
        click.echo(render_json({"format": 1, "groups": [_facts(group) for group in groups]}))
    else:
        for group in groups:
            if not group["error"]:
                click.echo(_sentence(group))
    if failed is not None:
        error = failed["error"]
        raise KINDS[error["kind"]](error["reason"], f"{_name(failed)}: {error['message']}")


def _groups(config: str, policy: str | None) -> list[Group]:
    groups: list[Group] = ask_daemon(config, "status")["groups"]
    found = [group for group in groups if policy in (None, group["policy"])]
    if not found:
        known = ", ".join(sorted({group["policy"] for group in groups})) or "none"
        which = f"no policy {policy!r}" if policy else "no policy of which this node is the source"
        raise Refused("no-policy", f"There is {which} here.", f"Known: {known}.")
    return found


def _wait(config: str, wanted: dict[str, int], deadline: Deadline, seconds: int) -> list[Group]:
    """The groups, once each has ticked as often as wanted. Errors: Passing(not-in-time)."""
    clock = MachineClock()
    while True:
        groups = [g for g in ask_daemon(config, "status")["groups"] if _name(g) in wanted]
        for group in groups:
            if group["ticks_ended"] < wanted[_name(group)] - 2:
                wanted[_name(group)] = 1  # a reload began to count anew, and ticks at once
        late = [_name(g) for g in groups if g["ticks_ended"] < wanted[_name(g)]]
        if not late:
            return groups
        if deadline.expired():
            raise Passing(
                "not-in-time",
                f"After {seconds} s, {', '.join(late)} has still not been snapshotted.",
                "It goes on in the background; `zr status` and `zr doctor` say why it is slow.",
            )
        clock.sleep(POLL_SECONDS)


def _name(group: Group) -> str:
    return f"{group['policy']}/{group['pool']}"


def _facts(group: Group) -> Group:
    keys = ("policy", "pool", "seq", "taken", "error")
    return {**{key: group[key] for key in keys}, "members": len(group["members"])}


def _sentence(group: Group) -> str:
    members = count(len(group["members"]), "dataset")
    if not group["members"]:
        return f"{_name(group)}: no datasets."
    if not group["taken"]:
        return f"{_name(group)}: tick {group['seq']}; nothing was written in its {members}."
    return f"{_name(group)}: tick {group['seq']}, {group['taken']} of {members} had changed."


def _tell_plan(groups: list[Group], as_json: bool) -> None:
    if as_json:
        plan = [{key: group[key] for key in ("policy", "pool", "members")} for group in groups]
        click.echo(render_json({"format": 1, "dry_run": True, "groups": plan}))
        return
    for group in groups:
        members = count(len(group["members"]), "dataset")
        listed = ", ".join(group["members"])
        click.echo(f"Would snapshot what changed of the {members} of {_name(group)}: {listed}.")
