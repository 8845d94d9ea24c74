"""`zr sync`: returns only when everything written before the call is committed on another node."""

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import click

from zrepl_py.adapters.clock import Deadline, MachineClock
from zrepl_py.adapters.host.flush import flush, flush_all
from zrepl_py.adapters.host.mounts import observe_mounts
from zrepl_py.cli.asking import POLL_SECONDS, ask_daemon
from zrepl_py.cli.causes import render_causes
from zrepl_py.cli.options import config_option, json_option, timeout_option
from zrepl_py.cli.words import count, find_zone, render_json
from zrepl_py.errors import Passing

FORMAT = 1
LISTED = 5
CAUSES_SECONDS = 1.0
"""How often it is asked what is in the way."""


@click.command()
@config_option
@json_option
@timeout_option(300)
@click.argument("paths", metavar="[PATH]...", nargs=-1)
def sync(config: str, as_json: bool, timeout_seconds: int, paths: tuple[str, ...]) -> None:
    """Return only when everything that was written before is committed on the other node.

    Of the datasets in which the PATHs lie (files, directories, volumes below /dev/zvol), or of all
    protected ones. What is printed is a receipt: the target has looked at its own pool, and both
    nodes have written it down. With --timeout it gives up and says how far it came.

    Example: zr sync /srv/interviews
    """
    deadline = Deadline(MachineClock(), timeout_seconds)
    if paths:
        mounts = observe_mounts()
        datasets = sorted({flush(path, mounts) for path in paths})
    else:
        datasets = []
        flush_all()
    begun = ask_daemon(config, "sync_begin", datasets=datasets)
    seen = _Wait(config, frozenset(datasets), quiet=as_json).until_done(
        begun["sync"], deadline, timeout_seconds
    )
    if as_json:
        click.echo(render_json({"format": FORMAT, "receipts": seen["receipts"]}))
        return
    for issued in seen["receipts"]:
        click.echo(render_receipt(issued["id"], issued["receipt"]))


@dataclass
class _Wait:
    """Looks until it is done, and says meanwhile what is in the way: each cause once."""

    config: str
    datasets: frozenset[str]
    """Empty: all."""
    quiet: bool
    _said: set[str] = field(default_factory=set)
    _looked: float = float("-inf")

    def until_done(self, token: str, deadline: Deadline, seconds: int) -> dict[str, Any]:
        """The last look. Errors: Passing(not-in-time), and those of the daemon."""
        clock, live = MachineClock(), sys.stderr.isatty()
        while True:
            seen: dict[str, Any] = ask_daemon(self.config, "sync_look", sync=token)
            if live:
                line = "" if seen["done"] else f"{seen['arrived']}/{seen['lanes']} copies have it"
                sys.stderr.write(f"\r{line}\033[K")
                sys.stderr.flush()
            if seen["done"]:
                return seen
            if deadline.expired():
                raise _not_in_time(seen, seconds, self._causes())
            if clock.monotonic() - self._looked >= CAUSES_SECONDS:
                self._looked = clock.monotonic()
                self._say(self._causes(), live=live)
            clock.sleep(POLL_SECONDS)

    def _causes(self) -> list[str]:
        facts = ask_daemon(self.config, "status")
        zone = find_zone({group["timezone"] for group in facts["groups"]})
        return render_causes(facts, zone, self.datasets)

    def _say(self, causes: list[str], *, live: bool) -> None:
        if self.quiet:
            return
        for cause in (c for c in causes if c not in self._said):
            self._said.add(cause)
            print(f"\r{cause}\033[K" if live else cause, file=sys.stderr, flush=True)


def _not_in_time(seen: dict[str, Any], seconds: int, causes: list[str]) -> Passing:
    listed = ", ".join(seen["waiting"][:LISTED])
    more = len(seen["waiting"]) - LISTED
    rest = f" and {more} more" if more > 0 else ""
    why = f"In the way: {' '.join(causes)}" if causes else "Nothing fails: it only takes long."
    return Passing(
        "not-in-time",
        f"After {seconds} s {seen['arrived']} of {count(seen['lanes'], 'copy')} have everything; "
        f"still waiting for {listed}{rest}. {why}",
        "Nothing is promised yet. It goes on in the background; `zr doctor` says what to do, then "
        "call zr sync again.",
    )


def render_receipt(known_as: str, receipt: dict[str, Any]) -> str:
    """The sentence that `zr sync` ends with."""
    at = datetime.fromtimestamp(receipt["at"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    datasets = count(len(receipt["holdings"]), "dataset")
    return (
        f"Safe on {receipt['target_name']}: everything written to {datasets} before {at}. "
        f"Receipt {known_as}."
    )
