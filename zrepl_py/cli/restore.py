"""`zr restore FILE@TIME`: one file, as it was, from a snapshot on this machine.

Run by whoever needs the file, with that person's own rights, without the daemon. Says what it did
in one sentence on stdout (or JSON); whatever went wrong is a ZrError for cli/main. Restoring from
the peer or the bucket, whole directories and searching by a bare name are not here yet.
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from zoneinfo import ZoneInfo

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.host.filecopy import Progress
from zrepl_py.adapters.host.localzone import observe_local_zone
from zrepl_py.adapters.host.mounts import Place, locate, observe_mounts
from zrepl_py.adapters.host.restore import (
    Order,
    Restored,
    find_destination,
    observe_size,
    perform_restore,
)
from zrepl_py.adapters.host.snapdir import observe_snapshot_names, snapshot_root
from zrepl_py.config.policies import load_policies
from zrepl_py.core.selection import is_selected
from zrepl_py.core.times import Wanted, parse_time, render_instant, split_target
from zrepl_py.core.versions import Chosen, choose_snapshot
from zrepl_py.errors import ZrError

_BIG_BYTES = 16 * 1024 * 1024
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class _Found:
    place: Place
    root: str
    zone: ZoneInfo
    chosen: Chosen


@click.command(
    epilog="Example: zr restore interview.wav@09:15 --to /tmp  (quote times with blanks: "
    '"interview.wav@yesterday 09:15", "interview.wav@10 min ago")'
)
@click.argument("target", metavar="FILE@TIME")
@click.option("--to", metavar="PATH", help="New file or existing directory to restore to.")
@click.option("--dry-run", is_flag=True, help="Say what would be restored; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a sentence.")
@click.option(
    "--policies",
    metavar="DIR",
    default="/etc/zr/policies",
    show_default=True,
    help="Where the policies are; they say the site's time zone.",
)
def restore(target: str, to: str | None, dry_run: bool, as_json: bool, policies: str) -> None:
    """Bring FILE back as it was at TIME, from a snapshot on this machine.

    TIME is what people say: 09:15 (today, or yesterday where it has not come yet), yesterday
    09:15, 2026-11-20T09:15, 10 min ago, latest, or a snapshot's name. The newest snapshot taken at
    or before it counts. Nothing is ever overwritten.
    """
    path, moment = split_target(target)
    place = locate(path, observe_mounts())
    zone = _site_zone(place.dataset, policies)
    root = snapshot_root(place.mountpoint)
    names = observe_snapshot_names(root)
    wanted = parse_time(moment, MachineClock().now(), zone, names)
    found = _Found(place, root, zone, choose_snapshot(names, wanted, zone))
    _run(found, wanted, to, dry_run, as_json)


def _run(found: _Found, wanted: Wanted, to: str | None, dry_run: bool, as_json: bool) -> None:
    order = Order(
        found.root, found.chosen.name, found.place.inside, find_destination(found.place, to)
    )
    size = observe_size(order)
    if dry_run:
        _tell(found, Restored(order.destination.path, size, "", ()), dry_run=True, as_json=as_json)
        return
    with _ended_by_signals(), _progress(size) as progress:
        done = perform_restore(order, progress)
    _tell(found, done, dry_run=False, as_json=as_json)


def _site_zone(dataset: str, policies: str) -> ZoneInfo:
    """The zone of the dataset's policy, else the one that all policies share, else the machine's.

    A broken policy must not stand between a person and a file: it is said, and the machine's zone
    is used; the answer names the time with its offset in any case.
    """
    if not os.path.isdir(policies):
        return observe_local_zone()
    try:
        known = load_policies(policies)
    except ZrError as error:
        zone = observe_local_zone()
        click.echo(f"zr: {error.message} Times are read in {zone.key}.", err=True)
        return zone
    own = [p.timezone for p in known if is_selected(p.selection, dataset)]
    zones = set(own or [p.timezone for p in known])
    return ZoneInfo(zones.pop()) if len(zones) == 1 else observe_local_zone()


def _tell(found: _Found, done: Restored, *, dry_run: bool, as_json: bool) -> None:
    chosen = found.chosen
    at = None if chosen.at is None else render_instant(chosen.at, found.zone)
    if as_json:
        answer = {
            "format": 1,
            "done": not dry_run,
            "path": done.path,
            "from": "local",
            "dataset": found.place.dataset,
            "snapshot": chosen.name,
            "taken_at": at,
            "later_snapshot": chosen.doubt or None,
            "size_bytes": done.size_bytes,
            "sha256": done.sha256 or None,
            "notes": list(done.notes),
        }
        click.echo(json.dumps(answer))
        return
    taken = f"taken at {at}" if at else "not made by zr"
    source = f"{found.place.dataset}@{chosen.name}, {taken}"
    size = f"{done.size_bytes:,} bytes"
    path = click.format_filename(done.path)  # it need not be UTF-8
    if dry_run:
        click.echo(f"Would restore {path} ({size}) from {source}.")
    else:
        click.echo(f"Restored {path} ({size}, sha256 {done.sha256}) from {source}.")
    if done.notes:
        click.echo(f"Note: {'; '.join(done.notes)}.", err=True)
    if chosen.doubt:
        click.echo(
            f"Note: the clock stepped back around then; {chosen.doubt} was taken later, though its "
            "time is earlier. Give its name instead of a time to see that one.",
            err=True,
        )


@contextlib.contextmanager
def _progress(size_bytes: int) -> Iterator[Progress]:
    """A bar on a terminal for what takes a while; each byte counts twice (copied, compared)."""
    if size_bytes < _BIG_BYTES or not sys.stderr.isatty():
        yield lambda _: None
        return
    label = "Restoring and checking"
    with click.progressbar(length=2 * size_bytes, label=label, file=sys.stderr) as bar:
        yield bar.update


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
