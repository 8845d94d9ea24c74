"""`zr events`: the record of what this node's daemon did. Reads its files, so it also works while
the daemon is down, and under systemd as well as without.
"""

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.eventfiles import DIRECTORY, EventReader
from zrepl_py.adapters.host.localzone import observe_local_zone
from zrepl_py.cli.event_lines import parse_at, render_event
from zrepl_py.cli.naming import complete_datasets
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.cli.words import find_zone, render_json
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import load_policies
from zrepl_py.core.times import Instant, parse_time
from zrepl_py.errors import Refused, ZrError
from zrepl_py.events import Event

LINES = 50
EXAMPLES = 'Write for example --since 09:15, --since "10 min ago" or --since 2026-11-20T09:15.'
POLL_SECONDS = 0.5
Wish = Callable[[dict[str, Any]], bool]
WORDS = click.Choice(sorted(event.value for event in Event))


@click.command()
@config_option
@json_option
@click.option(
    "--since", metavar="TIME", help='All from then on: 09:15, "10 min ago", 2026-11-20T09:15.'
)
@click.option("--all", "everything", is_flag=True, help="All that were kept, oldest first.")
@click.option("--follow", "-f", is_flag=True, help="Go on showing new ones, until Ctrl-C.")
@click.option("--event", "words", multiple=True, type=WORDS, metavar="WORD", help="Only these.")
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    shell_complete=complete_datasets,
    help="Only of this dataset, as its source calls it.",
)
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(0),
    help=f"Only the newest so many; default {LINES}, but all with --since or --all.",
)
def events(
    config: str,
    as_json: bool,
    since: str | None,
    everything: bool,
    follow: bool,
    words: tuple[str, ...],
    datasets: tuple[str, ...],
    lines: int | None,
) -> None:
    """The record of what was done: snapshots, transfers, retention, troubles, and who asked.

    The newest 50, unless you say --since, --all or --lines; the same with --json. Several --event
    or --dataset add up. Every word is explained in docs/reference/events.md.

    Example: zr events --since "1 h ago" --event lane-failed --event lane-conflict
    """
    node = load_node_config(config)
    zone = _zone(node.policy_dir)
    wish = _wish(_since(since, zone), frozenset(words), frozenset(datasets))
    reader = EventReader(str(Path(node.state_dir) / DIRECTORY))
    if everything and lines is not None:
        raise click.UsageError("--all and --lines exclude each other.")
    most = lines if lines is not None else (None if since or everything else LINES)
    count, shown = keep_newest(filter(wish, reader.read()), most)
    if lines is None and count > len(shown):
        click.echo(
            f"zr: these are the newest {len(shown)} of {count:,} events; more: --all, "
            '--lines N, or --since "1 h ago".',
            err=True,
        )
    for event in shown:
        _tell(event, zone, as_json)
    while follow:
        MachineClock().sleep(POLL_SECONDS)
        for event in filter(wish, reader.read()):
            _tell(event, zone, as_json)


def keep_newest(
    events: Iterable[dict[str, Any]], most: int | None
) -> tuple[int, deque[dict[str, Any]]]:
    """How many there are, and the last `most` of them; all where that is None."""
    count, newest = 0, deque[dict[str, Any]](maxlen=most)
    for event in events:
        count += 1
        newest.append(event)
    return count, newest


def _zone(policy_dir: str) -> ZoneInfo:
    """The site's, where all policies agree; a broken policy must not hide what happened."""
    try:
        zones = {policy.timezone for policy in load_policies(policy_dir)}
    except ZrError:
        zones = set()
    return find_zone(zones) if len(zones) == 1 else observe_local_zone()


def _since(text: str | None, zone: ZoneInfo) -> float | None:
    if text is None:
        return None
    try:
        wanted = parse_time(text.removeprefix("@"), MachineClock().now(), zone)
    except Refused as error:
        # Its remedies are for FILE@TIME.
        remedy = EXAMPLES if error.reason == "bad-time" else error.remedy.replace("@", "")
        raise Refused(error.reason, error.message, remedy) from None
    if not isinstance(wanted, Instant):
        raise Refused(
            "bad-time", f"{text!r} is not a moment from which on events can be shown.", EXAMPLES
        )
    return wanted.at


def _wish(since: float | None, words: frozenset[str], datasets: frozenset[str]) -> Wish:
    def wanted(event: dict[str, Any]) -> bool:
        if words and event["event"] not in words:
            return False
        if datasets and event.get("dataset") not in datasets:
            return False
        return since is None or (at := parse_at(event)) is None or at >= since

    return wanted


def _tell(event: dict[str, Any], zone: ZoneInfo, as_json: bool) -> None:
    click.echo(render_json(event, one_line=True) if as_json else render_event(event, zone))
