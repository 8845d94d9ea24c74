"""`zr promote`: make this node the primary of a group.

Alone it changes nothing: it says what would be lost, and prints the command that a person types who
accepts that. Two nodes alone cannot know whether the other one is dead or only cut off, so a person
says it, literally, and the daemon compares every word.
"""

from typing import Any

import click

from zrepl_py.cli.naming import group_argument
from zrepl_py.cli.options import config_option, json_option, timeout_option
from zrepl_py.cli.promote_report import find_policy, tell_report
from zrepl_py.cli.role_orders import (
    Following,
    find_role,
    goes_on,
    name_policy,
    tell_outcome,
)
from zrepl_py.cli.role_say import SERVING, Facts, render_unserved
from zrepl_py.cli.served import check_served, is_served, render_served
from zrepl_py.core.promotion import ASIDE
from zrepl_py.errors import Refused, Standing, ZrError

TIMEOUT_SECONDS = 600
REPORTED = (
    "statement-needed",
    "wrong-node",
    "wrong-peer",
    "loss-bound-stale",
    "receipts-not-covered",
)
"""Refusals whose way out is the command below the report."""
NOT_TAKING = (*SERVING, "draining", "promoting", "rescuing", "faulted", "init")
"""States in which nothing that a person states would let this node take over."""


@click.command()
@click.option("--first", is_flag=True, help="Set up the roles of GROUP: this node serves.")
@click.option(
    "--peer-is-down",
    is_flag=True,
    help="This node was the primary, and waits; the other one is down, and was not promoted.",
)
@click.option("--on", metavar="NODE", help="Of the forced form: this node.")
@click.option("--force", is_flag=True, help="Take over, and accept what the report says.")
@click.option(
    "--i-fenced", "fenced", metavar="NODE", help="I made sure that NODE does not write any more."
)
@click.option(
    "--accept-loss",
    "accepted",
    metavar="MOMENT",
    help="What was written there after MOMENT may be lost; the report names it.",
)
@click.option(
    ASIDE,
    "receipts_aside",
    is_flag=True,
    help="Also what has a receipt here, and is in no whole tick, is only kept as a rescue.",
)
@timeout_option(TIMEOUT_SECONDS)
@json_option
@config_option
@group_argument
def promote(
    group: str | None,
    config: str,
    as_json: bool,
    timeout_seconds: int,
    first: bool,
    peer_is_down: bool,
    on: str | None,
    force: bool,
    fenced: str | None,
    accepted: str | None,
    receipts_aside: bool,
) -> None:
    """Make this node the primary of GROUP; alone: say what would be lost, and how to do it.

    Without options nothing is changed. It prints the report, and below it the command to type, of
    which every word counts: `--on`, `--force`, `--i-fenced` and `--accept-loss` are all needed. If
    the other node answers, `zr switchover` there is meant: it loses nothing.

    Example: zr promote radio
    """
    said = {"GROUP": group, "--on": on, "--i-fenced": fenced, "--accept-loss": accepted}
    forced = force or receipts_aside or any((on, fenced, accepted))
    if first + peer_is_down + forced > 1:
        raise click.UsageError("--first, --peer-is-down and the forced form exclude each other.")
    role = find_role(config, group)
    following = Following(config, role, timeout_seconds, quiet=as_json)
    if first:
        check_first(config, role)
    if not forced:
        order = "begin" if first else "continue" if peer_is_down else "promote"
        _perform(following, order, None, as_json=as_json)
        return
    if role["state"] in NOT_TAKING:
        # The table refuses it there for another reason than what the statement says.
        _perform(following, "promote", None, as_json=as_json)
        return
    missing = [word for word, value in said.items() if value is None]
    missing += [] if force else ["--force"]
    if missing:
        tell_report(following, as_json=as_json)
        raise Refused(
            "statement-needed",
            f"The command is not whole: {', '.join(missing)} is missing. Nothing was changed.",
            "If the report is accepted, type the whole command that it ends with.",
        )
    statement = {
        "group": name_policy(group),
        "on": on,
        "fenced": fenced,
        "accepted": accepted,
        "receipts_aside": receipts_aside,
    }
    _perform(following, "force", statement, as_json=as_json)


def check_first(config: str, role: Facts) -> None:
    """The data are on the policy's source. Errors: Refused(wrong-node)."""
    policy = find_policy(config, role["group"])
    if policy is not None and policy.source != role["here"]:
        raise Refused(
            "wrong-node",
            f"{policy.source} has the data of {role['group']}, and this is {role['here']}, which "
            "keeps the copy. Nothing was changed.",
            f"Type it on {policy.source}. To let {role['here']} serve, after that: zr switchover",
        )


def _perform(
    following: Following, order: str, statement: dict[str, Any] | None, *, as_json: bool
) -> None:
    group = following.group
    try:
        with goes_on(
            f"What was ordered goes on without this command: `zr status` shows how far {group} is."
        ):
            following.give(order, statement)
            role = following.wait(is_served, render_unserved)
    except ZrError as error:
        if error.reason in REPORTED:
            tell_report(following, as_json=as_json)
        raise _explain(error) from None
    _tell_served(following, role, as_json=as_json)


def _tell_served(following: Following, role: Facts, *, as_json: bool) -> None:
    """Errors: Standing(service-down, not-promoted)."""
    group, here = following.group, role["here"]
    if role["state"] not in SERVING:
        raise Standing(
            "not-promoted",
            f"{here} is not the primary of {group}: it is {role['state']}.",
            "`zr status` says what it waits for, and what helps.",
        )
    check_served(role)
    sentences = [
        f"{here} is the primary of {group} (epoch {role['epoch']}), after "
        f"{following.spent_seconds:.1f} s.",
        *render_served(role),
    ]
    tell_outcome(following, role, " ".join(sentences), as_json=as_json)


def _explain(error: ZrError) -> ZrError:
    """`zr promote` alone ends with a refusal: it must not read like a failure."""
    if error.reason != "statement-needed":
        return error
    return Refused(
        "statement-needed",
        f"Nothing was changed. {error.message}",
        "Read the report above, and type the command that it ends with, if you accept it.",
    )
