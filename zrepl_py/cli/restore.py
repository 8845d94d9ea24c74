"""`zr restore`: a file, a directory or a dataset, as it was.

Run by whoever needs it, with that person's own rights, without the daemon. Says what it did in one
sentence on stdout (or JSON); whatever went wrong is a ZrError for cli/main. Never overwrites.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.host.mounts import observe_mounts
from zrepl_py.adapters.zfs.command import CommandZfs
from zrepl_py.cli.options import config_option
from zrepl_py.cli.restore_dataset import Meant, choose_target, find_dataset, restore_dataset
from zrepl_py.cli.restore_find import Found, Looking, load_known_policies
from zrepl_py.cli.restore_peer import (
    find_in_peer,
    restore_dataset_from_peer,
    say_dry_run,
)
from zrepl_py.cli.restore_peer_find import PeerLooking
from zrepl_py.cli.restore_search import find
from zrepl_py.cli.restore_things import Wish, restore_found, write_output
from zrepl_py.config.node import load_node_config
from zrepl_py.core.copies import Copy, plan_copies
from zrepl_py.core.restoring import From, is_bare, parse_sources
from zrepl_py.core.times import split_target
from zrepl_py.errors import Refused, Standing, ZrError
from zrepl_py.model.config import NodeConfig
from zrepl_py.wiring import wire_fetchers

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_TRY_NEXT = frozenset(
    ("not-on-zfs", "no-such-file", "no-snapshot", "no-such-copy", "snapshot-unreachable")
)
"""Why the next kind of copy may have what this one has not."""


@dataclass
class _Replicas:
    """The replicas that this node keeps; looked at when they are asked for, once."""

    parent: str | None
    seen: tuple[Copy, ...] | None = None

    def observe(self) -> tuple[Copy, ...]:
        if self.seen is None:
            self.seen = self._observe() if self.parent else ()
        return self.seen

    def _observe(self) -> tuple[Copy, ...]:
        assert self.parent is not None
        try:
            return plan_copies(self.parent, CommandZfs().observe_datasets(self.parent))
        except Standing as error:
            if error.reason not in ("dataset-missing", "pool-missing", "module-missing"):
                raise
            return ()


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
    node = _observe_config(config)
    reserved = node.replica_parent if node else None
    with contextlib.ExitStack() as stack, _ended_by_signals():
        look = Looking(
            moment,
            MachineClock().now(),
            load_known_policies(policies),
            observe_mounts(),
            _Replicas(reserved).observe,
            lambda dataset: CommandZfs().observe_history(dataset),
            stack,
        )
        wish = Wish(to, in_place, privileged, dry_run, as_json)
        here = _Here(words, look, wish, reserved)
        there = PeerLooking(look, lambda: wire_fetchers(config), _scratch_pool(node), reserved)
        ways = {From.LOCAL: here.restore, From.PEER: lambda: _restore_from_peer(words, there, wish)}
        _try_each([ways[source] for source in wanted], _hint(node, wanted))


def _try_each(ways: Sequence[Callable[[], None]], hint: str) -> None:
    """The first way that has what is wanted. Where none has, the first one's error counts, with
    `hint` at its end."""
    first: ZrError | None = None
    for way in ways:
        try:
            way()
            return
        except ZrError as error:
            if error.reason not in _TRY_NEXT:
                raise
            first = first or error
    if first is not None:
        raise type(first)(first.reason, first.message, f"{first.remedy} {hint}".strip()) from first


def _hint(node: NodeConfig | None, wanted: Sequence[From]) -> str:
    if node is None or not node.peers or From.PEER in wanted:
        return ""
    return f"{' or '.join(node.peers)} may have a copy: ask it, as root, with --from peer."


@dataclass
class _Here:
    """What this machine has."""

    words: str
    look: Looking
    wish: Wish
    reserved: str | None

    def restore(self) -> None:
        wish = self.wish
        meant = _find(self.words, self.look)
        if isinstance(meant, Meant):
            _check_dataset(wish)
            restore_dataset(
                meant,
                self.look,
                wish.to,
                reserved=self.reserved,
                privileged=wish.privileged,
                dry_run=wish.dry_run,
                as_json=wish.as_json,
            )
        else:
            _restore(meant, self.look, wish)


def _restore(found: Found, look: Looking, wish: Wish) -> None:
    if wish.to == "-":
        write_output(found, wish, sys.stdout.fileno())
    else:
        restore_found(found, look, wish)


def _restore_from_peer(words: str, peers: PeerLooking, wish: Wish) -> None:
    found = peers.find(words)
    if found is None:
        raise Refused(
            "no-such-copy",
            f"No peer keeps a copy that had {words}.",
            "Give the whole path that it had, or DATASET/PATH, such as tank/audio/interview.wav.",
        )
    if found.copy.dataset == words.rstrip("/"):
        _check_dataset(wish)
        target = choose_target(found.copy.dataset, wish.to)
        restore_dataset_from_peer(
            found,
            peers,
            target,
            privileged=wish.privileged,
            dry_run=wish.dry_run,
            as_json=wish.as_json,
        )
    elif wish.dry_run:
        say_dry_run(found, peers, as_json=wish.as_json)
    else:
        _restore(find_in_peer(found, peers), peers.look, wish)


def _check_together(to: str | None, in_place: bool, as_json: bool) -> None:
    if to == "-" and in_place:
        raise click.UsageError("--in-place and --to - exclude each other.")
    if to == "-" and as_json:
        raise click.UsageError("--json and --to - exclude each other: both use standard output.")


def _check_dataset(wish: Wish) -> None:
    if wish.in_place or wish.to == "-":
        raise Refused(
            "no-target",
            "A dataset is never restored in place or to standard output.",
            "Name a new dataset with --to, and rename the two by hand once you have looked at it.",
        )


def _find(words: str, look: Looking) -> Meant | Found:
    """A dataset goes before a path, but a bare name is first of all a file's."""
    if not is_bare(words):
        return find_dataset(words, look) or find(words, look)
    try:
        return find(words, look)
    except ZrError:
        meant = find_dataset(words, look)
        if meant is None:
            raise
        return meant


def _observe_config(config: str) -> NodeConfig | None:
    """This node's settings; without them, or with broken ones, what is mounted here comes back all
    the same."""
    if not os.access(config, os.R_OK):
        return None
    try:
        return load_node_config(config)
    except ZrError as error:
        click.echo(f"zr: {error.message} Replicas on this machine are not looked at.", err=True)
        return None


def _scratch_pool(node: NodeConfig | None) -> str | None:
    """The first pool of this node that is imported."""
    pools = node.pools if node else ()
    return next((pool for pool in pools if os.path.isdir(f"/proc/spl/kstat/zfs/{pool}")), None)


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
