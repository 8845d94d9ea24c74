"""`zr resolve --keep NODE`: both nodes went on from the same epoch; a person chooses one of them.

Nothing is lost: what the other one has since then leaves the group, and is kept as a rescue there.
"""

import click

from zrepl_py.cli.naming import group_argument
from zrepl_py.cli.options import config_option, json_option, timeout_option
from zrepl_py.cli.role_orders import Following, find_role, goes_on, tell_outcome
from zrepl_py.cli.role_say import SERVING
from zrepl_py.errors import Refused, Standing

TIMEOUT_SECONDS = 600


@click.command()
@click.option("--keep", required=True, metavar="NODE", help="The node that goes on: this one.")
@timeout_option(TIMEOUT_SECONDS)
@json_option
@config_option
@group_argument
def resolve(group: str | None, config: str, as_json: bool, timeout_seconds: int, keep: str) -> None:
    """Of two nodes that both went on with GROUP, keep this one.

    Typed on the node that is kept. What the other one has written since then leaves the group, and
    is kept as a rescue there; nothing is destroyed. `zr status` on both says since when each went
    on.

    Example: zr resolve radio --keep beta
    """
    role = find_role(config, group)
    here, peer, name = role["here"], role["peer"], role["group"]
    if keep == peer:
        raise Refused(
            "wrong-node",
            f"{keep} is to be kept, and this is {here}. Nothing was changed.",
            f"Type the same command on {keep}.",
        )
    if keep != here:
        raise Refused(
            "wrong-node",
            f"There is no node {keep} in {name}. Nothing was changed.",
            f"The two are {here} and {peer}.",
        )
    following = Following(config, role, timeout_seconds, quiet=as_json)
    with goes_on("It goes on without this command: `zr status` shows how far it is."):
        following.give("resolve")
        role = following.wait(lambda seen: seen["state"] not in ("split", "promoting"))
    if role["state"] not in SERVING:
        raise Standing(
            "not-promoted",
            f"{here} is not the primary of {name}: it is {role['state']}.",
            "`zr status` says what it waits for, and what helps.",
        )
    sentence = (
        f"{here} is the primary of {name} (epoch {role['epoch']}). What only {peer} has is set "
        "aside there, as a rescue, as soon as the two meet."
    )
    tell_outcome(following, role, sentence, as_json=as_json)
