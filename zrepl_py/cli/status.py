"""`zr status`: what would be lost if this node died now, then each dataset; live with --watch."""

import shutil
import sys
from typing import Any
from zoneinfo import ZoneInfo

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.cli.asking import ask_daemon
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.cli.words import (
    find_zone,
    render_json,
    render_size,
    render_span,
    render_table,
    render_taken,
)
from zrepl_py.errors import ZrError

REDRAW_SECONDS = 1.0
HOME, CLEAR_LINE, CLEAR_BELOW = "\033[H", "\033[K", "\033[J"
WORDS = {"in-sync": "in sync", "no-copy": "no copy yet", "unknown": "not asked yet"}


@click.command()
@config_option
@json_option
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
def status(config: str, as_json: bool, watch: bool) -> None:
    """What would be lost if this node died now, then each dataset.

    LAST SNAPSHOT is when something was last written and snapshotted: a dataset in which nothing
    was written gets no snapshot. LAST PROOF is when a copy was last restored and compared.

    Example: zr status --watch
    """
    facts = ask_daemon(config, "status")
    if not watch:
        click.echo(render_json(facts) if as_json else render_status(facts))
        return
    clock = MachineClock()
    live = sys.stdout.isatty() and not as_json
    if live:
        click.clear()
    while True:
        show(_render_again(facts, as_json), live=live)
        clock.sleep(REDRAW_SECONDS)
        try:
            facts = ask_daemon(config, "status")
        except ZrError as error:  # it may be starting again: what is watched is just that
            facts = {"failure": {"reason": error.reason, "message": str(error)}}


def _render_again(facts: dict[str, Any], as_json: bool) -> str:
    if as_json:
        return render_json(facts, one_line=True)
    failure = facts.get("failure")
    return f"zr: {failure['message']}" if failure else render_status(facts)


def show(text: str, *, live: bool) -> None:
    """Print; where `live`, over what stood there before, cut to the terminal's size."""
    if not live:
        click.echo(text if text.startswith("{") else f"{text}\n")
        return
    width, height = shutil.get_terminal_size()
    lines = [part for line in text.splitlines() for part in _fold(line, width)]
    if len(lines) >= height:
        hidden = len(lines) - height + 2
        lines = [*lines[: height - 2], f"… {hidden} more lines; a larger window shows them"]
    drawn = "".join(f"{line}{CLEAR_LINE}\n" for line in lines)
    sys.stdout.write(f"{HOME}{drawn}{CLEAR_BELOW}")
    sys.stdout.flush()


def _fold(line: str, width: int) -> list[str]:
    return [line[at : at + width] for at in range(0, len(line), max(1, width))] or [""]


def render_status(facts: dict[str, Any]) -> str:
    """The answer of the daemon (docs/reference/status.md) → what people read."""
    groups, lanes = facts["groups"], facts["lanes"]
    zone = find_zone({group["timezone"] for group in groups})
    parts = [facts["sentence"]]
    rows = [
        (
            lane["dataset"],
            render_taken(lane["newest"], zone),
            lane["target"],
            render_lane(lane),
            lane["proof"] or "unproven",
        )
        for lane in lanes
    ]
    rows += [(name, "see zfs list", "none", "no copy", "unproven") for name in facts["unsent"]]
    if rows:
        header = ("DATASET", f"LAST SNAPSHOT ({zone.key})", "TARGET", "THERE", "LAST PROOF")
        parts.append("\n".join(render_table(header, sorted(rows))))
    replicas = _render_replicas(facts["replicas"], zone)
    if replicas:
        parts.append(replicas)
    for target in facts.get("unpaired", ()):
        parts.append(f"This node was never paired with {target}, so nothing goes there: zr pair")
    for group in groups:
        for pattern in group["missing"]:
            parts.append(f"Policy {group['policy']} names {pattern}, which does not exist.")
        for dataset, why in group["refused"].items():
            parts.append(f"{dataset} is NOT protected: {why}")
        if group["error"]:
            message = group["error"]["message"]
            parts.append(f"No snapshots of {group['policy']}/{group['pool']} now: {message}")
    for lane in lanes:
        trouble = lane["conflict"] or (lane["error"] and lane["error"]["message"])
        if trouble:
            parts.append(f"{lane['dataset']} → {lane['target']}: {trouble}")
    return "\n\n".join(parts)


def _render_replicas(replicas: list[dict[str, Any]], zone: ZoneInfo) -> str:
    rows = [
        (
            known["source"],
            known["dataset"],
            render_taken(known["newest"], zone) if known["newest"] else "unknown",
            known["proof"] or "unproven",
        )
        for known in replicas
    ]
    header = ("SOURCE", "REPLICA OF", f"NEWEST HERE ({zone.key})", "LAST PROOF")
    return "\n".join(render_table(header, sorted(rows))) if rows else ""


def render_lane(lane: dict[str, Any]) -> str:
    """How far the target is, in a few words."""
    if lane["state"] in ("no-copy", "unknown") and lane["sent_bytes"]:
        return f"no copy yet, {render_size(lane['sent_bytes'])} sent"
    if lane["state"] == "behind":
        lag = lane["lag_seconds"]
        return "behind" if lag is None else f"{render_span(lag)} behind"
    return WORDS.get(lane["state"], str(lane["state"]))
