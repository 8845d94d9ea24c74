"""`zr restore`: a file, a directory or a dataset, as it was.

Run by whoever needs it, with that person's own rights, without the daemon. Says what it did in one
sentence on stdout (or JSON); whatever went wrong is a ZrError for cli/main. Never overwrites.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.host.mounts import observe_mounts
from zrepl_py.adapters.zfs.command import CommandZfs
from zrepl_py.cli.options import config_option
from zrepl_py.cli.restore_find import Looking, load_known_policies
from zrepl_py.cli.restore_node import (
    KeptReplicas,
    find_scratch_pool,
    hint_at_peers,
    observe_config,
)
from zrepl_py.cli.restore_peer_find import PeerLooking
from zrepl_py.cli.restore_things import Wish
from zrepl_py.cli.restore_ways import Here, restore_from_peer, try_each
from zrepl_py.core.restoring import From, parse_sources
from zrepl_py.core.times import split_target
from zrepl_py.wiring import wire_fetchers

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@click.command(
    epilog="Example: zr restore interview.wav@09:15 --to /tmp  (quote times with blanks: "
    '"interview.wav@yesterday 09:15", "interview.wav@10 min ago")'
)
@click.argument("target", metavar="FILE|DIR|DATASET@TIME")
@click.option(
    "--to",
    metavar="PATH",
    help="New name or existing directory; - for standard output; for a dataset: a new dataset.",
)
@click.option("--in-place", is_flag=True, help="At its old place; what is there is kept beside it.")
@click.option(
    "--from",
    "sources",
    metavar="WHERE",
    default="local",
    show_default=True,
    help="Which copies may be used, in this order: local, peer, or local,peer.",
)
@click.option(
    "--privileged",
    is_flag=True,
    help="Also set-user-id bits, capabilities and devices, which are left out otherwise.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be restored; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a sentence.")
@click.option(
    "--policies",
    metavar="DIR",
    default="/etc/zr/policies",
    show_default=True,
    help="Where the policies are; they say the site's time zone.",
)
@config_option
def restore(
    target: str,
    to: str | None,
    in_place: bool,
    sources: str,
    privileged: bool,
    dry_run: bool,
    as_json: bool,
    policies: str,
    config: str,
) -> None:
    """Bring FILE, DIR or DATASET back as it was at TIME.

    TIME is what people say: 09:15 (today, or yesterday where it has not come yet), yesterday
    09:15, 2026-11-20T09:15, 10 min ago, latest, or a snapshot's name. The newest snapshot taken at
    or before it counts. Nothing is ever overwritten. A bare name is looked for in the current
    directory, then in everything that is protected.
    """
    words, moment = split_target(target)
    wanted = parse_sources(sources)
    _check_together(to, in_place, as_json)
    node = observe_config(config)
    reserved = node.replica_parent if node else None
    with contextlib.ExitStack() as stack, _ended_by_signals():
        look = Looking(
            moment,
            MachineClock().now(),
            load_known_policies(policies),
            observe_mounts(),
            KeptReplicas(reserved).observe,
            lambda dataset: CommandZfs().observe_history(dataset),
            stack,
            node.name if node else None,
        )
        wish = Wish(to, in_place, privileged, dry_run, as_json)
        here = Here(words, look, wish, reserved)
        there = PeerLooking(look, lambda: wire_fetchers(config), find_scratch_pool(node), reserved)
        ways = {From.LOCAL: here.restore, From.PEER: lambda: restore_from_peer(words, there, wish)}
        try_each(
            [ways[source] for source in wanted], lambda: hint_at_peers(words, node, wanted, look)
        )


def _check_together(to: str | None, in_place: bool, as_json: bool) -> None:
    if to == "-" and in_place:
        raise click.UsageError("--in-place and --to - exclude each other.")
    if to == "-" and as_json:
        raise click.UsageError("--json and --to - exclude each other: both use standard output.")


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind like Ctrl-C does, so that nothing half-written stays."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
