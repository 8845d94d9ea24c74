"""`zr versions FILE`: each distinct version once, and how to get it back.

Reads only, with the caller's own rights, without the daemon; as root it asks the peers what they
have. Whatever went wrong is a ZrError for cli/main.
"""

import os

import click

from zrepl_py.adapters.host.catalogcache import CatalogCache
from zrepl_py.adapters.host.looking import look_below
from zrepl_py.adapters.host.owncache import find_place
from zrepl_py.adapters.host.sightcache import SightCache
from zrepl_py.adapters.host.timeline import Looker
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.cli.restore_node import observe_config
from zrepl_py.cli.versions_find import Subject, looking, observe_history
from zrepl_py.cli.versions_peers import PeerAnswers, observe_holders
from zrepl_py.cli.versions_say import (
    Told,
    looks_shown,
    render_json,
    render_versions,
    render_versions_json,
)
from zrepl_py.cli.versions_trace import observe_life
from zrepl_py.core.restoring import printable
from zrepl_py.core.sights import Absent, Sight
from zrepl_py.core.whereabouts import find_safe
from zrepl_py.errors import Refused

MOST_AS_ROOT, MOST_AS_USER = 100_000, 256

file_argument = click.argument("file", type=click.Path())
ask_option = click.option(
    "--ask/--no-ask",
    default=True,
    help="As root: ask the other nodes which snapshots they have (the default), or do not.",
)
look_option = click.option(
    "--look",
    "most",
    type=click.IntRange(0),
    metavar="N",
    help="Look into at most N snapshots that were not looked into before; default: all as root, "
    "else 256.",
)
policies_option = click.option(
    "--policies",
    metavar="DIR",
    default="/etc/zr/policies",
    show_default=True,
    help="Where the policies are; they say the site's time zone.",
)


@click.command(epilog="Example: zr versions interview.wav")
@file_argument
@click.option("--all", "everything", is_flag=True, help="All of them; else the newest 20.")
@ask_option
@look_option
@json_option
@policies_option
@config_option
def versions(
    file: str,
    everything: bool,
    ask: bool,
    most: int | None,
    as_json: bool,
    policies: str,
    config: str,
) -> None:
    """Show each version of FILE once: when it was so, its size, on which nodes it is safe.

    FILE need not exist any more; a bare name is looked for as by zr restore. A file that was
    renamed is followed to its earlier names. Each version comes with the command that restores it.
    """
    told = observe_told(file, ask, most, policies, config)
    if told.life.versions[0].version.stand.is_directory:
        raise Refused(
            "not-a-file",
            f"{printable(told.seen.subject.path)} is a directory.",
            f"Name a file in it. What changed in it: zr diff {printable(file)}@TIME; where copies "
            f"of it are: zr where {printable(file)}.",
        )
    if as_json:
        click.echo(render_json(render_versions_json(told)))
        return
    for line in render_versions(told, everything=everything):
        click.echo(line)


def observe_told(file: str, ask: bool, most: int | None, policies: str, config: str) -> Told:
    """All that is told of a file. Errors: those of observe_history and of the policies."""
    node = observe_config(config)
    answers = PeerAnswers(ask, config)
    if most is None:
        most = MOST_AS_ROOT if os.geteuid() == 0 else MOST_AS_USER
    with looking("latest", policies, node) as look, looks_shown() as progress:
        place = find_place()
        looker = Looker(SightCache(place), most, progress, CatalogCache(place))
        seen = observe_history(file, look, looker)
        if not seen.subject.node:
            answers.ask(seen.subject.dataset)
        life = observe_life(seen, looker)
    holders = observe_holders(seen.subject, seen.catalog, node, answers)
    guids = [s.guid for s in seen.catalog.snapshots]
    safe = find_safe([v.version for v in life.versions], guids, holders)
    return Told(seen, life, holders, safe, observe_now(seen.subject), looker.looked)


def observe_now(subject: Subject) -> Sight | None:
    """How it stands now; None for a replica, whose original is elsewhere."""
    if subject.node or subject.store.mountpoint is None:
        return None
    try:
        top = os.open(subject.store.mountpoint, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return Absent()
    try:
        return look_below(top, subject.inside, "")
    finally:
        os.close(top)
