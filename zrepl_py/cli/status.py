"""`zr status`, `zr snapshot`, `zr replicate`: asked of the daemon by its control socket."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from zrepl_py.adapters.clock import Deadline, MachineClock
from zrepl_py.adapters.control import call
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.config.node import load_node_config
from zrepl_py.daemon.service import CONTROL_SOCKET
from zrepl_py.errors import Passing, Refused

POLL_SECONDS = 0.2


def ask_daemon(config: str, verb: str, **args: Any) -> Any:
    """Ask the daemon of the node that `config` describes."""
    return call(Path(load_node_config(config).run_dir) / CONTROL_SOCKET, verb, **args)


@click.command()
@config_option
@json_option
def status(config: str, as_json: bool) -> None:
    """What would be lost if this node died now, then each dataset.

    Example: zr status
    """
    facts = ask_daemon(config, "status")
    if as_json:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    click.echo(facts["sentence"])
    rows = [
        (
            lane["dataset"],
            lane["newest"] or "none yet",
            lane["target"],
            _render_lane(lane),
        )
        for lane in facts["lanes"]
    ]
    if rows:
        click.echo()
        print_table(("DATASET", "LAST SNAPSHOT", "TARGET", "THERE"), rows)
    for group in facts["groups"]:
        for pattern in group["missing"]:
            click.echo(f"\nPolicy {group['policy']} names {pattern}, which does not exist.")
        for dataset, why in group["refused"].items():
            click.echo(f"\n{dataset} is NOT protected: {why}")
    replicas = [(r["source"], r["dataset"], r["newest"] or "unknown") for r in facts["replicas"]]
    if replicas:
        click.echo()
        print_table(("SOURCE", "REPLICA OF", "NEWEST HERE"), replicas)
    for lane in facts["lanes"]:
        trouble = lane["conflict"] or (lane["error"] and lane["error"]["message"])
        if trouble:
            click.echo(f"\n{lane['dataset']} → {lane['target']}: {trouble}")


def _render_lane(lane: dict[str, Any]) -> str:
    words = {"in-sync": "in sync", "no-copy": "no copy yet", "unknown": "not asked yet"}
    return words.get(lane["state"]) or (
        f"{lane['lag_seconds']} s behind" if lane["state"] == "behind" else "conflict"
    )


def print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    for row in (header, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@click.command()
@config_option
@click.argument("policy", required=False)
def snapshot(config: str, policy: str | None) -> None:
    """Take a snapshot of every protected dataset that changed, now.

    Example: zr snapshot
    """
    ticked = ask_daemon(config, "snapshot", policy=policy)
    click.echo(f"Asked for a snapshot of {', '.join(ticked)}; journalctl -u zr shows it.")


@click.command()
@config_option
@click.option("--timeout", "timeout_seconds", default=3600, show_default=True, help="Seconds.")
def replicate(config: str, timeout_seconds: int) -> None:
    """Send everything that is pending now, and wait until the targets have committed it.

    Example: zr replicate --timeout 600
    """
    ask_daemon(config, "replicate")
    clock = MachineClock()
    deadline = Deadline(clock, timeout_seconds)
    while True:
        lanes = ask_daemon(config, "status")["lanes"]
        if not lanes:
            raise Refused(
                "no-lanes",
                "This node has nothing to send: no policy names it as the source of a peer.",
                "Look at `zr policy check`, and at `targets` and `source` there.",
            )
        behind = [lane for lane in lanes if not lane["in_sync"]]
        if not behind:
            click.echo(f"{len(lanes)} datasets are in sync.")
            return
        if deadline.expired():
            names = ", ".join(lane["dataset"] for lane in behind[:5])
            raise Passing(
                "not-in-sync",
                f"After {timeout_seconds} s, {len(behind)} of {len(lanes)} datasets are still "
                f"behind: {names}.",
                "`zr status` says why; it goes on in the background.",
            )
        clock.sleep(POLL_SECONDS)
