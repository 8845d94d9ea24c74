"""`zr rejoin`: let a node that came back set aside what only it has, and follow the other one.

It happens by itself as soon as the primary answers; the command waits for it, shows each step, and
says what stands in the way.
"""

import click

from zrepl_py.cli.asking import ask_daemon
from zrepl_py.cli.naming import group_argument
from zrepl_py.cli.options import config_option, json_option, timeout_option
from zrepl_py.cli.role_orders import Following, find_role, goes_on, tell_outcome
from zrepl_py.cli.role_say import FOLLOWING, Facts, render_role
from zrepl_py.cli.words import count, render_span
from zrepl_py.errors import Standing

TIMEOUT_SECONDS = 600


@click.command()
@timeout_option(TIMEOUT_SECONDS)
@json_option
@config_option
@group_argument
def rejoin(group: str | None, config: str, as_json: bool, timeout_seconds: int) -> None:
    """Set aside what only this node has of GROUP, and follow the other node again.

    This happens by itself when the primary answers; the command shows it. Nothing is destroyed:
    what only this node has becomes a rescue, which is sent to the primary too, and which only you
    drop (`zr rescue`).

    Example: zr rejoin radio
    """
    following = Following(config, find_role(config, group), timeout_seconds, quiet=as_json)
    with goes_on("It goes on without this command: `zr status` shows how far it is."):
        role = following.wait(_is_known, lambda seen: [render_role(seen)])
        if role["state"] not in (*FOLLOWING, "rescuing"):
            following.give("rejoin")
        role = following.wait(_is_settled)
    here, peer, name = role["here"], role["peer"], following.group
    if role["state"] not in FOLLOWING:
        raise Standing(
            "not-rejoined",
            f"{here} does not follow {peer} in {name}: it is {role['state']}.",
            "`zr status` says what it waits for, and what helps.",
        )
    kept = ask_daemon(config, "rescue_list", group=name)  # what the role shows may be a minute old
    rescues = (
        f" What only it had is kept in {count(len(kept), 'rescue')}: zr rescue list {name}"
        if kept
        else ""
    )
    after = f"after {following.spent_seconds:.1f} s"
    sentence = f"{here} follows {peer} in {name}, {after}.{_render_behind(role)}{rescues}"
    tell_outcome(following, role, sentence, as_json=as_json)


def _render_behind(role: Facts) -> str:
    """Not fresh yet: until then it can be neither promoted without loss, nor handed over to."""
    if role["state"] != "catching-up":
        return ""
    lag = role.get("lag_seconds")
    far = "" if lag is None else f" ({render_span(lag)} behind)"
    return f" It is catching up{far}: wait until `zr status` here says `standby (N s behind)`."


def _is_known(role: Facts) -> bool:
    """Right after its start a node knows nothing, and it closes before it finds out what it has."""
    return role["state"] not in ("unknown", "fenced")


def _is_settled(role: Facts) -> bool:
    return role["state"] not in ("diverged", "rescuing") or role.get("blocked") is not None
