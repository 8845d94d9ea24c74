"""How does an event read? One line for people; `--json` is for scripts. Pure.

A word that has no sentence here is shown with its fields, so a newer daemon's events are shown too.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from zrepl_py.cli.words import count, render_moment, render_span
from zrepl_py.events import Event

Fields = Mapping[str, Any]
ASKED = {"sync_begin": "sync"}
"""The control socket's verbs, where people know them by another word."""


def _tick(e: Fields) -> str:
    members = count(e["members"], "dataset")
    return f"{e['group']}/{e['pool']}: tick {e['seq']}, {e['taken']} of {members} had changed"


def _committed(e: Fields) -> str:
    more = f" ({e['count']} snapshots)" if e["count"] > 1 else ""
    return f"{e['dataset']} → {e['target']}: {e['snapshot']} is there{more}"


def _failed(e: Fields) -> str:
    lane = f"{e['dataset']} → {e['target']}"
    return f"{lane}: {e['message']} [{e['reason']}] Tried again after {e['retry_seconds']:g} s."


def _silent(e: Fields) -> str:
    why = f": {e['message']} [{e['reason']}]" if e.get("message") else ""
    return f"{e['peer']} has not been heard for {render_span(e['seconds'])}{why}"


def _pruned(e: Fields) -> str:
    left = f"; left: {', '.join(e['left'])}" if e["left"] else ""
    return f"{_of(e)}: {count(e['destroyed'], 'snapshot')} destroyed by retention{left}"


def _asks(e: Fields) -> str:
    many = count(e["snapshots"], "snapshot")
    return f"{e['dataset']}: {e['message']} {many} not destroyed. To allow it: {e['allow']}"


def _of(e: Fields) -> str:
    return str(e["group"] if "group" in e else e["dataset"])


def _stopped(e: Fields) -> str:
    how = "in good order" if e["whole"] else "with something still running"
    why = f": {e['message']} [{e['reason']}]" if e.get("message") else ""
    return f"the daemon of {e['node']} ended {how}{why}"


SENTENCES: Mapping[Event, Callable[[Fields], str]] = {
    Event.DAEMON_STARTED: lambda e: f"the daemon of {e['node']} serves",
    Event.DAEMON_STOPPED: _stopped,
    Event.ASKED: lambda e: f"{e['user']} asked for: {ASKED.get(e['verb'], e['verb'])}",
    Event.RELOADED: lambda e: f"new configuration; policies: {', '.join(e['policies']) or 'none'}",
    Event.RELOAD_REFUSED: lambda e: f"the old configuration counts on: {e['message']}",
    Event.PEER_UNPAIRED: lambda e: f"there is no certificate of {e['peer']}: it gets nothing",
    Event.TICK_TAKEN: _tick,
    Event.TICK_MISSED: lambda e: f"{e['group']}/{e['pool']}: {e['message']} [{e['reason']}]",
    Event.TICK_RECOVERED: lambda e: (
        f"{e['group']}/{e['pool']}: snapshots are taken again, after {count(e['missed'], 'try')} "
        f"that took none, for {render_span(e['seconds'])}"
    ),
    Event.TICK_PAUSED: lambda e: f"{e['group']}/{e['pool']}: {e['message']} [{e['reason']}]",
    Event.SPACE_SOON: lambda e: f"{e['group']}/{e['pool']}: {e['message']}",
    Event.SPACE_THINS: lambda e: f"{e['group']}/{e['pool']}: {e['message']}",
    Event.SPACE_ENOUGH: lambda e: f"pool {e['pool']} has room enough again",
    Event.CLOCK_STEPPED: lambda e: f"the wall clock jumped by {e['seconds']:+g} s",
    Event.PEER_CONNECTED: lambda e: f"node {e['node']} connected from {e['address']}",
    Event.PEER_LOST: lambda e: (
        f"{e['node'] or 'a stranger'} at {e['address']}: {e['why']} [{e['reason']}]"
    ),
    Event.LANE_COMMITTED: _committed,
    Event.LANE_RESUMED: lambda e: f"{e['dataset']} → {e['target']}: a cut stream was continued",
    Event.LANE_CONFLICT: lambda e: f"{e['dataset']} → {e['target']}: {e['kind']}: {e['evidence']}",
    Event.LANE_FAILED: _failed,
    Event.LANE_RECOVERED: lambda e: (
        f"{e['dataset']} → {e['target']}: it goes again, after {count(e['failures'], 'try')} that "
        f"failed, for {render_span(e['seconds'])}"
    ),
    Event.PEER_SILENT: _silent,
    Event.PEER_ANSWERS: lambda e: f"{e['peer']} is heard again, after {render_span(e['seconds'])}",
    Event.SNAPSHOTS_SKIPPED: lambda e: (
        f"{e['dataset']} → {e['target']}: {count(e['count'], 'snapshot')} not sent: {e['why']}"
    ),
    Event.RECEIVED: lambda e: f"{e['dataset']}@{e['snapshot']} is committed here",
    Event.RECEIVE_REFUSED: lambda e: (
        f"{e['dataset']}@{e['snapshot']}: {e['message']} [{e['reason']}]"
    ),
    Event.RECEIVE_ABORTED: lambda e: f"{e['dataset']}: a partial receive was thrown away",
    Event.PRUNED: _pruned,
    Event.SNAPSHOTS_GONE: lambda e: (
        f"{e['dataset']}: {count(e['count'], 'snapshot')} gone that this daemon did not destroy: "
        f"{', '.join(e['names'])}"
    ),
    Event.RETENTION_ASKS: _asks,
    Event.PRUNE_FAILED: lambda e: f"{_of(e)}: {e['message']} [{e['reason']}]",
    Event.WORKER_STUCK: lambda e: f"the worker at {e['socket']} does not answer {e['verb']}",
    Event.POLICY_LOADED: lambda e: f"policy {e['policy']} counts",
    Event.DATASET_GONE: lambda e: f"{e['dataset']} is not there any more (policy {e['group']})",
    Event.DATASET_REFUSED: lambda e: f"{e['dataset']} is not protected: {e['message']}",
}


def render_event(event: Fields, zone: ZoneInfo) -> str:
    """One line: when (in the zone), the word, what happened."""
    word = str(event["event"])
    at = parse_at(event)
    shown = render_moment(at, zone) if at is not None else str(event["at"])
    return f"{shown}  {word:<17}  {_render_fields(word, event)}".replace("\n", " ")


def parse_at(event: Fields) -> float | None:
    """When it was, in seconds since 1970; None where that makes no sense."""
    try:
        return datetime.fromisoformat(str(event["at"])).timestamp()
    except (ValueError, OverflowError):
        return None


def _render_fields(word: str, event: Fields) -> str:
    try:
        return SENTENCES[Event(word)](event)
    except (ValueError, KeyError, TypeError):  # another version's event
        told = event.items()
        fields = {k: v for k, v in told if k not in ("at", "event") and v is not None}
        return "  ".join(f"{key}={value}" for key, value in fields.items())
