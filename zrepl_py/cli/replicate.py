"""`zr replicate`: waits until the targets have committed what is here now, and shows how it goes.

"Arrived" is said of a lane only when its target has committed the snapshot that was its newest when
the command began, or a later one: a site that is written to all the time is never wholly in sync.
"""

from typing import Any

import click

from zrepl_py.adapters.clock import Deadline, MachineClock
from zrepl_py.adapters.doctor.datasets import observe_pending_bytes
from zrepl_py.cli.asking import POLL_SECONDS, ask_daemon
from zrepl_py.cli.causes import name_some, render_causes
from zrepl_py.cli.options import config_option, dry_run_option, json_option, timeout_option
from zrepl_py.cli.progress import Shown, show_progress
from zrepl_py.cli.words import count, find_zone, render_json, render_size
from zrepl_py.errors import Passing, Refused, ZrError
from zrepl_py.model.names import parse_tick

Lane = dict[str, Any]
START_SECONDS = 10.0
"""So long a daemon that has just been started may need for its first look at every pool."""


@click.command()
@config_option
@json_option
@dry_run_option
@timeout_option(3600)
def replicate(config: str, as_json: bool, dry_run: bool, timeout_seconds: int) -> None:
    """Send everything that is pending now, and wait until the targets have committed it.

    Takes no snapshot: `zr snapshot` before it does.

    Example: zr replicate --timeout 600
    """
    clock = MachineClock()
    deadline = Deadline(clock, timeout_seconds)
    lanes = _find_lanes(config, deadline)
    wanted = {lane["lane"]: lane["newest"] for lane in lanes}
    if dry_run:
        _tell_plan(lanes, as_json)
        return
    ask_daemon(config, "replicate")
    late, causes = lanes, list[str]()
    with show_progress(_sizes(lanes), quiet=as_json) as shown:
        while late:
            facts = ask_daemon(config, "status")
            known = {lane["lane"]: lane for lane in facts["lanes"]}
            lanes = [known[uuid] for uuid in wanted if uuid in known]  # else its dataset is gone
            late = [lane for lane in lanes if not has_arrived(lane, wanted[lane["lane"]])]
            causes = _causes(facts, late)
            shown.update(_shown(lanes, {lane["lane"] for lane in late}), causes)
            if late and deadline.expired():
                break
            if late:
                clock.sleep(POLL_SECONDS)
    if as_json:
        facts = [_facts(lane, lane not in late) for lane in lanes]
        click.echo(render_json({"format": 1, "lanes": facts}))
    if late:
        raise _not_in_time(late, len(lanes), timeout_seconds, causes)
    if not as_json:
        is_are = "is" if len(lanes) == 1 else "are"
        click.echo(f"{count(len(lanes), 'dataset')} {is_are} in sync.")


def _find_lanes(config: str, deadline: Deadline) -> list[Lane]:
    """The lanes, once the daemon has looked which there are: soon after its start.

    Errors: Refused(no-lanes), Passing(not-in-sync) where it did not look in time.
    """
    clock = MachineClock()
    start = Deadline(clock, START_SECONDS)
    while True:
        facts = ask_daemon(config, "status")
        starting = any(not group["ticks_ended"] for group in facts["groups"])
        if not starting or deadline.expired() or (facts["lanes"] and start.expired()):
            break
        clock.sleep(POLL_SECONDS)
    lanes: list[Lane] = facts["lanes"]
    if not lanes and starting:
        raise Passing(
            "not-in-sync",
            "The daemon has not looked at its pools yet.",
            "`zr doctor` looks whether one of them hangs.",
        )
    if not lanes:
        raise Refused(
            "no-lanes",
            "This node has nothing to send: no policy names it as the source of a peer.",
            "Look at `zr policy check`, and at `targets` and `source` there.",
        )
    return lanes


def has_arrived(lane: Lane, wanted: str | None) -> bool:
    """The target has committed the snapshot `wanted`, or a later one."""
    if lane["in_sync"]:
        return True
    here = parse_tick(lane["committed"]) if lane["committed"] else None
    goal = parse_tick(wanted) if wanted else None
    if here is None or goal is None or lane["state"] == "conflict":
        return False
    return (here.epoch.n, here.seq) >= (goal.epoch.n, goal.seq)


def _sizes(lanes: list[Lane]) -> dict[str, int | None]:
    """Lane → about how many bytes it has to send; None where that cannot be told."""
    sizes: dict[str, int | None] = {}
    for lane in lanes:
        if lane["in_sync"]:
            sizes[lane["lane"]] = 0
        elif lane["newest"] is None:
            sizes[lane["lane"]] = None
        else:
            try:
                size = observe_pending_bytes(lane["dataset"], lane["committed"], lane["newest"])
            except ZrError:
                size = None
            sizes[lane["lane"]] = size
    return sizes


def _shown(lanes: list[Lane], late: set[str]) -> list[Shown]:
    return [
        Shown(
            lane["lane"],
            f"{lane['dataset']} → {lane['target']}",
            lane["sent_bytes"],
            lane["lane"] not in late,
        )
        for lane in lanes
    ]


def _causes(facts: dict[str, Any], late: list[Lane]) -> list[str]:
    """What is in the way of the lanes that are late."""
    if not late:
        return []
    zone = find_zone({group["timezone"] for group in facts["groups"]})
    return render_causes({**facts, "groups": []}, zone, {lane["dataset"] for lane in late})


def _facts(lane: Lane, arrived: bool) -> Lane:
    keys = ("lane", "dataset", "target", "committed", "state", "error")
    return {"arrived": arrived, **{key: lane[key] for key in keys}}


def _tell_plan(lanes: list[Lane], as_json: bool) -> None:
    sizes = _sizes(lanes)
    pending = [lane for lane in lanes if not lane["in_sync"]]
    if as_json:
        keys = ("lane", "dataset", "target", "newest", "committed", "state")
        plan = [{**{k: lane[k] for k in keys}, "bytes": sizes[lane["lane"]]} for lane in pending]
        click.echo(render_json({"format": 1, "dry_run": True, "lanes": plan}))
        return
    for lane in pending:
        size = sizes[lane["lane"]]
        about = "an unknown amount" if size is None else f"about {render_size(size)}"
        notes = {"no-copy": " (a whole copy)", "unknown": " (its target was not asked yet)"}
        whole = notes.get(lane["state"], "")
        click.echo(f"Would send {lane['dataset']} to {lane['target']}: {about}{whole}.")
    if not pending:
        click.echo(f"Nothing to send: {count(len(lanes), 'dataset')} in sync.")


def _not_in_time(late: list[Lane], number: int, timeout_seconds: int, causes: list[str]) -> Passing:
    names = name_some([lane["dataset"] for lane in late])
    behind = "are still behind" if len(late) > 1 else "is still behind"
    why = f"In the way: {' '.join(causes)}" if causes else "Nothing fails: it only takes long."
    return Passing(
        "not-in-sync",
        f"After {timeout_seconds} s, {len(late)} of {count(number, 'dataset')} {behind}: {names}."
        f" {why}",
        "It goes on in the background; `zr doctor` says what to do.",
    )
