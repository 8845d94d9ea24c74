"""`zr status`: what would be lost if this node died now, then each dataset; live with --watch."""

import shutil
import sys
from collections.abc import Collection, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.cli.asking import ask_daemon
from zrepl_py.cli.causes import (
    find_silent,
    render_at,
    render_causes,
    render_refused,
    render_rooms,
)
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.cli.role_say import render_roles
from zrepl_py.cli.words import (
    count,
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
UNPROVEN = (
    "All these copies are unproven: none was restored and compared yet. No hurry: `zr verify` or "
    "`zr drill` does it, on the node that sends them."
)
WORDS_OF_SOURCES = {"answers": "heard", "unknown": "not heard yet"}
WORDS = {"in-sync": "in sync", "no-copy": "no copy yet", "unknown": "not asked yet"}


@click.command()
@config_option
@json_option
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
def status(config: str, as_json: bool, watch: bool) -> None:
    """What would be lost if this node died now, then each dataset.

    LAST SNAPSHOT is when something was last written and snapshotted: a dataset in which nothing
    was written gets no snapshot. LAST PROOF is when a copy was last restored and compared; where
    none ever was, one line says so.

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
    parts = [facts["sentence"], *render_roles(facts.get("roles", ()))]
    silent = {target["target"] for target in find_silent(facts)}
    # A column of nothing but "unproven" says less than one line does.
    proven = any(copy["proof"] for copy in (*lanes, *facts["replicas"]))
    rows = [
        (
            lane["dataset"],
            render_taken(lane["newest"], zone),
            lane["target"],
            "not known" if _is_lost_sight_of(lane, silent) else render_lane(lane),
            render_proof(lane["proof"]),
        )
        for lane in lanes
    ]
    rows += [
        (name, "see zfs list", *_render_unsent(name, facts), "unproven") for name in facts["unsent"]
    ]
    if rows:
        header = ("DATASET", f"LAST SNAPSHOT ({zone.key})", "TARGET", "THERE", "LAST PROOF")
        parts.append(_render_proofs(header, rows, proven=proven))
    # What this node serves itself now is no copy of the other one's.
    sources = [known for known in facts.get("sources", ()) if not known.get("served")]
    parts += _render_sources(sources, zone)
    parts += _render_replicas(facts["replicas"], zone, proven=proven)
    if not proven and (lanes or facts["replicas"]):
        parts.append(UNPROVEN)
    for target in facts.get("unpaired", ()):
        parts.append(f"This node was never paired with {target}, so nothing goes there: zr pair")
    for group in groups:
        for pattern in group["missing"]:
            parts.append(f"Policy {group['policy']} names {pattern}, which does not exist.")
        for dataset, why in group["refused"].items():
            parts.append(f"{dataset} is NOT protected: {why}")
    parts += [
        f"{lane['dataset']} → {lane['target']}: {lane['proof']['why']}"
        for lane in lanes
        if lane["proof"] and lane["proof"]["verdict"] in ("damaged", "different")
    ]
    parts += render_rooms(facts)
    parts += map(_render_question, facts.get("questions", ()))
    parts += render_causes(facts, zone)
    parts += render_refused(facts["replicas"])
    return "\n\n".join(parts)


def _is_lost_sight_of(lane: dict[str, Any], silent: Collection[str]) -> bool:
    """It was asked, or is, and there is no answer."""
    return lane["state"] == "unknown" and not lane["sent_bytes"] and lane["target"] in silent


def _render_unsent(name: str, facts: dict[str, Any]) -> tuple[str, str]:
    """Target and state of a dataset that is sent nowhere: its policy may name targets all the same,
    with which this node was never paired."""
    wanted = {t for g in facts["groups"] if name in g["members"] for t in g.get("targets", ())}
    unpaired = sorted(wanted & set(facts.get("unpaired", ())))
    return (", ".join(unpaired), "not paired") if unpaired else ("none", "no copy")


def _render_proofs(
    header: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, proven: bool
) -> str:
    """A table whose last column is shown only where there ever was a proof."""
    last = None if proven else -1
    return "\n".join(render_table(header[:last], [row[:last] for row in sorted(rows)]))


def _render_sources(sources: Sequence[dict[str, Any]], zone: ZoneInfo) -> list[str]:
    """Of a node that keeps copies: do they still come?"""
    rows = [
        (
            known["source"],
            render_at(known["heard_at"], zone) if known["heard_at"] else "not yet",
            render_at(known["arrived_at"], zone) if known["arrived_at"] else "never",
            f"silent for {render_span(known['silent_seconds'])}"
            if known["state"] == "silent"
            else WORDS_OF_SOURCES[known["state"]],
        )
        for known in sources
    ]
    header = ("SOURCE", f"LAST HEARD ({zone.key})", "LAST ARRIVED HERE", "STATE")
    return ["\n".join(render_table(header, rows))] if rows else []


def _render_replicas(replicas: list[dict[str, Any]], zone: ZoneInfo, *, proven: bool) -> list[str]:
    rows = [
        (
            known["source"],
            known["dataset"],
            render_taken(known["newest"], zone) if known["newest"] else "unknown",
            render_proof(known["proof"]),
        )
        for known in replicas
    ]
    header = ("SOURCE", "REPLICA OF", f"NEWEST HERE ({zone.key})", "LAST PROOF")
    return [_render_proofs(header, rows, proven=proven)] if rows else []


def _render_question(question: dict[str, Any]) -> str:
    """What retention asks, and the command that says yes to exactly that."""
    return (
        f"Retention asks before it destroys {count(question['snapshots'], 'snapshot')} of "
        f"{question['dataset']}. {question['message']} To allow it: {question['allow']}"
    )


def render_lane(lane: dict[str, Any]) -> str:
    """How far the target is, in a few words."""
    if lane["state"] in ("no-copy", "unknown") and lane["sent_bytes"]:
        known = "no copy yet" if lane["state"] == "no-copy" else "not known yet"
        return f"{known}, {render_size(lane['sent_bytes'])} sent"
    if lane["state"] == "behind":
        lag = lane["lag_seconds"]
        return "behind" if lag is None else f"{render_span(lag)} behind"
    return WORDS.get(lane["state"], str(lane["state"]))


def render_proof(proof: dict[str, Any] | None) -> str:
    """When a copy was last proven, in a few words: never "proven" where it was not."""
    if proof is None:
        return "unproven"
    if proof["verdict"] in ("damaged", "different"):
        return str(proof["verdict"]).upper()
    restored, compared = proof["restored_seconds"], proof["compared_seconds"]
    if compared is None:
        return "unproven: encrypted"
    said = [f"restored {render_span(restored)} ago"] if restored is not None else []
    if restored is None or compared < restored:
        said.append(f"compared {render_span(compared)} ago")
    return ", ".join(said)
