"""`zr switchover`: hand a group over to the other node, without any loss, or not at all.

Typed on the primary. Before the commit point everything goes back by itself, after it everything
only goes forward; so the command can be run again at any time, and takes up where it is.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from zrepl_py.cli.asking import ask_daemon
from zrepl_py.cli.naming import group_argument
from zrepl_py.cli.options import config_option, dry_run_option, json_option, timeout_option
from zrepl_py.cli.role_orders import (
    FORMAT,
    Following,
    find_role,
    goes_on,
    make_error,
    tell_outcome,
)
from zrepl_py.cli.role_say import FOLLOWING, SERVING, Facts, render_trouble, render_unserved
from zrepl_py.cli.served import check_served, is_served, render_served, see_there
from zrepl_py.cli.words import count, render_json, render_span
from zrepl_py.errors import Passing, Refused

TIMEOUT_SECONDS = 300
LISTED = 20
RUNNING = ("draining", "demoted")
WAY_OUT = "`cd /`, then type it again."

_UNKNOWN = {
    "same_version": "the version of zr",
    "lag_small": "how far behind it is",
    "pools_healthy": "its pool's health",
    "no_partial": "streams that are partly there",
    "keys_available": "keys of encrypted datasets",
    "mountpoints_free": "whether its mount points are empty",
    "space_enough": "its pool's free space",
    "names_fit": "whether its names are short enough",
    "services_known": "its services and address",
}
"""Of what could be in the way: what the other node alone can say."""


@click.command()
@click.option("--abort", is_flag=True, help="Take back one that runs, before its commit point.")
@dry_run_option
@timeout_option(TIMEOUT_SECONDS)
@json_option
@config_option
@group_argument
def switchover(
    group: str | None,
    config: str,
    as_json: bool,
    timeout_seconds: int,
    dry_run: bool,
    abort: bool,
) -> None:
    """Make the other node the primary of GROUP. It loses nothing, or does not happen.

    On the primary. Services stop here, what is written is sent, and the other node opens the group
    and starts them. If that cannot be finished in time, everything is opened again here. Run it
    again after an interruption: it goes on where it is. --dry-run lists what would be stopped, and
    which programs hold files open.

    Example: zr switchover radio
    """
    role = find_role(config, group)
    following = Following(config, role, timeout_seconds, quiet=as_json)
    if dry_run:
        _tell_plan(following, as_json=as_json)
    elif abort:
        role = following.give("abort")
        here = role["here"]
        sentence = f"The switchover was taken back: {here} serves {following.group} again."
        tell_outcome(following, role, sentence, as_json=as_json)
    else:
        _switch(following, as_json=as_json)


def _switch(following: Following, *, as_json: bool) -> None:
    group, peer = following.group, following.role["peer"]
    with goes_on(
        f"The switchover goes on without this command: `zr status` shows how far it is. To take "
        f"it back, as long as that can be: zr switchover {group} --abort"
    ):
        if following.role["state"] in RUNNING:
            following.tell(f"A switchover of {group} to {peer} runs already: this shows it.")
        else:
            if (place := _find_place(following.role)) is not None:
                raise Refused("working-directory", _render_place(place), WAY_OUT)
            following.give("switchover")
        role = following.wait(_is_settled, _render_missing)
    if role["state"] in SERVING:
        raise Passing(
            "switchover-failed",
            f"The switchover did not happen: {role['here']} is the primary of {group} as before, "
            "and nothing was lost.",
            "What was in the way is named above; `zr switchover --dry-run` lists all that is.",
        )
    there = see_there(role)
    if there["state"] in SERVING:
        check_served(there)
    sentences = [
        f"{peer} is the primary of {group} now (epoch {role['epoch']}), after "
        f"{following.spent_seconds:.1f} s; {role['here']} follows.",
        *render_served(there),
        "Nothing was lost.",
    ]
    tell_outcome(following, role, " ".join(sentences), as_json=as_json)


def _is_settled(role: Facts) -> bool:
    """The other node serves, with services and address, and this one follows; or it was given up;
    or it needs a person."""
    if role["state"] in FOLLOWING:
        return role.get("peer_state") in SERVING and is_served(see_there(role))
    return role["state"] not in RUNNING


def _render_missing(role: Facts) -> Iterator[str]:
    """Of the node that takes over."""
    yield from render_trouble(role)
    if role["state"] in FOLLOWING and role.get("peer_state") in SERVING:
        yield from render_unserved(see_there(role))


def _find_place(role: Facts) -> str | None:
    """The working directory, where it is among the files that this node serves: a switchover ends
    whoever has it there, so this command too, and the shell that it was typed in."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return None
    tops = [os.path.realpath(top) for top in role.get("mountpoints") or ()]
    inside = role["state"] in SERVING and any(here.is_relative_to(top) for top in tops)
    return str(here) if inside else None


def _render_place(place: str) -> str:
    return (
        f"Your shell stands in {place}, among the files that are handed over: the switchover would "
        "end it, and this command with it."
    )


def _tell_plan(following: Following, *, as_json: bool) -> None:
    """What a switchover would do; exit code of what is in the way."""
    plan = ask_daemon(following.config, "role_plan", group=following.group)
    if (place := _find_place(following.role)) is not None:
        named = {"fact": "working_directory", "sentence": _render_place(place), "way_out": WAY_OUT}
        plan["objections"] = [{**named, "known": True}, *(plan.get("objections") or [])]
    if as_json:
        click.echo(render_json({"format": FORMAT, "group": following.group, **plan}))
    elif following.role["state"] in (*SERVING, *RUNNING):
        for line in render_plan(plan, following.role):
            click.echo(line)
    verdict = plan["verdict"]
    if not isinstance(verdict, str):
        raise make_error(verdict)


def render_plan(plan: Facts, role: Facts) -> list[str]:
    """In the order in which it would happen."""
    peer, here = role["peer"], role["here"]
    datasets: list[str] = plan.get("datasets") or []
    services = [_named(service) for service in plan.get("services") or []]
    lines = [f"A switchover of {role['group']} from {here} to {peer} would:"]
    if plan.get("address"):
        lines.append(f"  take the address away from {here}, and give it to {peer} at the end")
    if services:
        lines.append(f"  stop here, in this order: {', '.join(reversed(services))}")
    holders = plan.get("holders") or []
    if holders:
        lines.append(f"  end {count(len(holders), 'program')} here that would still use files:")
        lines += [f"    {_render_holder(holder)}" for holder in holders[:LISTED]]
        if len(holders) > LISTED:
            lines.append(f"    and {len(holders) - LISTED} more; --json names them")
    lines.append(f"  unmount {count(len(datasets), 'dataset')} here, and mount them on {peer}")
    if services:
        lines.append(f"  start there: {', '.join(services)}")
    lines += _render_behind(plan.get("behind"), peer)
    objections = plan.get("objections") or []
    known = [each for each in objections if each["known"]]
    if plan["verdict"] == "possible" and not known:
        lines.append("Nothing is in the way.")
    if known:
        lines.append("To look at before:")
        lines += [f"  {each['sentence']} {each['way_out']}" for each in known]
    if len(known) < len(objections):
        named = ", ".join(_UNKNOWN.get(e["fact"], e["fact"]) for e in objections if not e["known"])
        lines.append(f"What only {peer} knows: {named}. `zr doctor` there looks at it.")
    return lines


def _render_behind(behind: Any, peer: str) -> list[str]:
    """`behind`: dataset → seconds, or bytes as the daemon words them; also empty."""
    if not behind:
        return [f"{peer} has everything but what is being written now."]
    if not isinstance(behind, dict):
        return [f"{peer} is behind: {behind}."]
    slowest = max((v for v in behind.values() if isinstance(v, int | float)), default=None)
    most = "" if slowest is None else f", at most {render_span(slowest)}"
    return [f"{peer} is behind with {count(len(behind), 'dataset')}{most}: that is sent first."]


def _named(service: Any) -> str:
    return str(service["name"]) if isinstance(service, dict) else str(service)


def _render_holder(holder: Facts) -> str:
    how = holder.get("how")
    ways = ", ".join(how) if isinstance(how, list) else how
    where = holder.get("dataset") or "a file system that is mounted nowhere any more"
    return f"{holder['command']} (pid {holder['pid']}) in {where}" + (f": {ways}" if ways else "")
