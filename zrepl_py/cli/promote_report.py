"""What `zr promote` shows before anything is paid: what would be lost, then the literal command."""

from datetime import datetime
from zoneinfo import ZoneInfo

import click

from zrepl_py.adapters.host.localzone import observe_local_zone
from zrepl_py.cli.asking import ask_daemon
from zrepl_py.cli.role_orders import FORMAT, Following
from zrepl_py.cli.role_say import FOLLOWING, Facts
from zrepl_py.cli.words import render_json, render_moment
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import load_policies
from zrepl_py.errors import ZrError
from zrepl_py.model.policy import Policy


def tell_report(following: Following, *, as_json: bool) -> None:
    """What would be lost, then the command."""
    told = ask_daemon(following.config, "role_report", group=following.group)
    report, lines = told["report"], told["lines"]
    if as_json:
        click.echo(render_json({"format": FORMAT, "group": following.group, "report": report}))
        return
    click.echo("\n".join([*lines[:1], *_render_local(following, report), *lines[1:]]))
    if report.get("command"):
        peer = following.role["peer"]
        state = following.role["state"]
        kept = " What it had is not destroyed: it is kept when it returns."
        click.echo(
            f"\nIf you accept this, make sure first that {peer} does not write any more: switched "
            f"off, not only\nunreachable.{kept if state in FOLLOWING else ''} Then type:\n\n"
            f"    {report['command']}\n"
        )


def _render_local(following: Following, report: Facts) -> list[str]:
    """The bound by the clock on the wall: the report has it in UTC, as the command does."""
    if not report.get("since"):
        return []
    policy = find_policy(following.config, following.group)
    zone = ZoneInfo(policy.timezone) if policy is not None else observe_local_zone()
    at = datetime.fromisoformat(report["since"]).timestamp()
    if render_moment(at, zone) == render_moment(at, ZoneInfo("UTC")):
        return []
    return [f"By the clock in {zone.key} that is {render_moment(at, zone)}."]


def find_policy(config: str, group: str) -> Policy | None:
    """The group's policy; None where it cannot be read now."""
    try:
        policies = load_policies(load_node_config(config).policy_dir)
    except ZrError:
        return None
    return next((policy for policy in policies if policy.name == group), None)
