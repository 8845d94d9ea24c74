"""What is said of a group's roles: one line for `zr status`, what helps, and each step in words.

Pure. Takes what the daemon's `role_show` answers (docs/formats/control-socket.md). What is not told
is not guessed: a field that is missing or null is left out of the sentence.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zrepl_py.cli.words import count, render_size, render_span
from zrepl_py.core.opening import GateStep
from zrepl_py.core.roles import TABLE, WAITING
from zrepl_py.core.switchover import SwitchStep
from zrepl_py.model.roles import Advance

Facts = Mapping[str, Any]

SERVING = ("primary", "primary-alone")
FOLLOWING = ("standby", "catching-up")

_PEERS = {
    "init": "has no roles yet",
    "unknown": "does not know its role yet",
    "primary": "is primary",
    "primary-alone": "is primary, alone",
    "standby": "is standby",
    "catching-up": "catches up",
    "draining": "hands over",
    "demoted": "has handed over",
    "promoting": "takes over",
    "fenced": "is closed",
    "diverged": "keeps what only it has",
    "rescuing": "sets aside what only it has",
    "split": "is split off",
    "faulted": "is faulted",
}
"""What the other node says it is."""

_GATE = {
    GateStep.FORBID_RECEIVE: "nothing may be received into the datasets any more",
    GateStep.END_RECEIVES: "streams that still arrive are ended",
    GateStep.ALIGN: "all datasets are brought to the same moment",
    GateStep.LOAD_KEYS: "encryption keys are loaded",
    GateStep.GIVE_PROPERTIES: "the datasets get the properties of their originals",
    GateStep.MAKE_WRITABLE: "the datasets are made writable",
    GateStep.MOUNT: "the datasets are mounted",
    GateStep.WRITE_MARKERS: "the new epoch is written into each file system",
    GateStep.TAKE_EPOCH_SNAPSHOT: "the first snapshot of the new epoch is taken",
    GateStep.START_SERVICES: "services are started",
    GateStep.ADD_ADDRESS: "the address is taken over",
    GateStep.REMOVE_ADDRESS: "the address is given up",
    GateStep.STOP_SERVICES: "services are stopped",
    GateStep.END_HOLDERS: "programs that still use the datasets are ended",
    GateStep.UNMOUNT: "the datasets are unmounted, everywhere",
    GateStep.MAKE_READONLY: "the datasets are made read-only",
    GateStep.PROVE_CLOSED: "it is proven that nothing can write any more",
    GateStep.ALLOW_RECEIVE: "the datasets may be received into",
}
_SWITCH = {
    SwitchStep.ASK: "the other node is asked to take over",
    SwitchStep.TAKE_FINALS: "the final snapshots are taken",
    SwitchStep.PROVE_STILL: "it is proven that nothing was written since then",
    SwitchStep.SEND_FINALS: "the final snapshots are sent",
    SwitchStep.HAND_OVER: "handed over: it only goes forward from here, as it should",
    SwitchStep.GIVE_UP: "given up: everything is opened again here",
    SwitchStep.NOTE_INTENT: "the switchover is noted",
    SwitchStep.DROP_INTENT: "the switchover is dropped",
}
_RESCUE = {
    "Close": "closed, and proven so",
    "TakeSnapshot": "what only this node has is snapshotted",
    "HoldSnapshot": "that snapshot is held",
    "MakeParent": "a place for the rescue is made",
    "MoveAside": "set aside",
    "CloneBack": "the common version is put back in its place",
    "PromoteClone": "the common history is given to it",
    "GiveProperties": "its properties are given back",
    "Seal": "the rescue is sealed",
    "LoadKey": "its key is loaded",
    "ship-rescue": "a rescue was sent to the other node",
}
STEPS: dict[str, str] = {
    **{str(step): words for step, words in _GATE.items()},
    **{str(step): words for step, words in _SWITCH.items()},
    **_RESCUE,
    **{row.name: row.outcome.sentence for row in TABLE if isinstance(row.outcome, Advance)},
}
"""The first word of a step, as the daemon names it → what it does."""


def render_step(text: str) -> str:
    """`mount` → `the datasets are mounted`; what is not known stays as it is."""
    words = text.split()
    head = words[0].rstrip(":") if words else ""
    if head not in STEPS:
        return text
    if head == "align" and words[1:] not in ([], ["Settled"]):
        return f"{STEPS[head]}: {render_step(text.partition(': ')[2])}"
    rest = " ".join(words[1:])
    named = bool(rest) and head in _RESCUE and head != "ship-rescue"
    return f"{STEPS[head]}: {rest}" if named else STEPS[head]


def render_roles(roles: Sequence[Facts]) -> list[str]:
    """The block of `zr status`: for each group a line, and below it what needs somebody."""
    parts = []
    for role in roles:
        below = [f"  {line}" for line in _notes(role)]
        parts.append("\n".join([f"{role['group']}: {render_role(role)}", *below]))
    return parts


def render_role(role: Facts) -> str:
    """`primary, beta follows (0 s)`."""
    state, peer = role["state"], role["peer"]
    silent = role.get("peer_state") is None
    lag = role.get("lag_seconds")
    ago = "" if lag is None else f" ({render_span(lag)})"
    theirs = f"{peer} {_say_of_peer(role)}"
    catches_up = role.get("peer_state") == "catching-up"
    far = "" if lag is None else f" ({render_span(lag)} behind)"
    behind = "" if lag is None else f", {render_span(lag)} behind"
    match state:
        case "primary" if catches_up:
            return f"primary, {peer} catches up{far}"
        case "primary":
            return f"primary, {peer} follows{ago}"
        case "primary-alone" if catches_up:
            return f"primary, ALONE: {peer} catches up{far}, so nothing is confirmed"
        case "primary-alone":
            return f"primary, ALONE: {theirs}, so nothing is confirmed"
        case "standby" | "catching-up" if silent:
            # Nothing arrives from a node that is silent, so nobody catches up.
            return f"standby{behind}; {theirs}"
        case "standby":
            return f"standby{far}, {theirs}"
        case "catching-up":
            return f"standby, catching up{behind}{_say_coming(role)}; {theirs}"
        case "init":
            return f"no roles yet; {theirs}"
        case "draining" | "promoting" | "rescuing":
            doing = {"draining": f"hands over to {peer}", "promoting": "takes over"}
            step = role.get("step")
            now = f": {render_step(step)}" if step and step != "rest" else ""
            return f"{doing.get(state, 'sets aside what only it has')}{now}"
        case "unknown":
            was = role.get("primary")
            last = f", the last primary was {was}" if was else ""
            return f"not proven since the start{last}; {theirs}"
        case "split":
            return f"SPLIT: {role['here']} and {peer} both went on"
        case "diverged":
            return f"has what {peer} has not, and keeps all of it; {theirs}"
        case "demoted":
            return f"handed over to {peer}; {theirs}"
        case "fenced":
            return f"closes, and serves no more; {theirs}"
    return f"{state}; {theirs}"


def _say_of_peer(role: Facts) -> str:
    """`is primary`; what follows its name."""
    said = role.get("peer_state")
    if said is None:
        apart = role.get("apart")
        return f"says nothing of {role['group']}" if apart else "does not answer"
    return _PEERS.get(said, f"is {said}")


def _say_coming(role: Facts) -> str:
    """The group is as old as its slowest dataset: how many it waits for."""
    coming = role.get("coming")
    of = len(role.get("members") or ())
    return f", {len(coming)} of {of} datasets still to come" if coming else ""


def _notes(role: Facts) -> Iterator[str]:
    """What is in the way, what helps, and what else a person should know."""
    usual = next((words for state, words in WAITING.items() if state == role["state"]), "")
    if more := (role.get("says") or "").removeprefix(usual).strip():
        yield more
    if (error := role.get("error")) is not None:
        yield error["message"]
    if (blocked := role.get("blocked")) is not None:
        yield f"{blocked['sentence']} {blocked['way_out']}"
    yield from render_trouble(role)
    order = role.get("order") or "none"
    if order not in ("none", ""):
        yield f"An order is being carried out: {order}."
    yield from _advice(role)
    if role["state"] in SERVING:
        yield from render_unserved(role)
    yield from _rescues(role)


def render_trouble(role: Facts) -> Iterator[str]:
    """What the other node says is in its way."""
    if role.get("peer_trouble"):
        yield f"{role['peer']} says: {role['peer_trouble']}"


def render_unserved(role: Facts) -> Iterator[str]:
    """Of a primary: services that do not run, an address that is not here."""
    down = find_down(role)
    if down:
        named = ", ".join(f"{name} ({state})" for name, state in down.items())
        yield f"Does not run: {named}. It is tried again; `journalctl` may say more."
    if role.get("address") not in (None, "here"):
        yield (
            f"The group's address is not on {role['here']} yet: another machine may still have it."
        )


def find_down(role: Facts) -> dict[str, str]:
    """Services that do not run → their state."""
    services: Mapping[str, str] = role.get("services") or {}
    return {name: state for name, state in services.items() if state != "running"}


def _advice(role: Facts) -> Iterator[str]:
    """What it waits for, and the command that helps."""
    state, group, here, peer = role["state"], role["group"], role["here"], role["peer"]
    silent = role.get("peer_state") is None
    if state == "init":
        yield f"To set them up, on the node that serves: zr promote {group} --first"
    elif silent and role.get("apart"):
        yield (
            f"{peer} may serve: do not promote here before you have looked there. `zr doctor` on "
            "both says more."
        )
    elif state in (*FOLLOWING, "demoted", "fenced") and silent:
        yield (
            f"If {peer} is dead: `zr promote {group}` here says what would be lost, and the "
            "command that takes over. Nothing is done before that."
        )
    elif state == "unknown" and silent and role.get("primary") == here:
        yield (
            f"It waits for {peer}. If {peer} serves meanwhile, type nothing: it must be reached "
            "from here."
        )
        yield f"Only if {peer} is down, and was not promoted: zr promote {group} --peer-is-down"
    elif state == "unknown" and silent:
        yield (
            f"It waits for {peer}. If {peer} is dead: `zr promote {group}` says what would be "
            "lost, and changes nothing."
        )
    elif state == "diverged" and role.get("blocked") is not None:
        yield "All of it is kept. It goes on by itself when that is mended."
    elif state == "diverged" and role.get("peer_state") in SERVING:
        yield (
            f"All of it is kept. {peer} serves, so it is set aside now, and this node follows: by "
            "itself. Type nothing."
        )
    elif state == "diverged" and not silent:
        yield f"All of it is kept. It waits for {peer}: `zr status` there says what that waits for."
    elif state == "diverged":
        yield (
            f"All of it is kept. It waits until {peer} answers as the primary, and then goes on by "
            f"itself. If {peer} serves, type nothing: it must be reached from here."
        )
        yield f"Only if {peer} is lost for good: zr promote {group}"
    elif state == "draining":
        yield f"To take it back: zr switchover {group} --abort"
    elif state == "split":
        yield "Nothing is changed until a person chooses; what the other one has is kept as a"
        yield f"rescue. Compare both, then type, on the node that is kept: {_keep(group, here)}"
        yield f"or: {_keep(group, peer)}"
    elif state == "faulted":
        yield "`zr doctor` says what is broken, and what to do. It goes on by itself then."


def _keep(group: str, node: str) -> str:
    return f"zr resolve {group} --keep {node}"


def _rescues(role: Facts) -> Iterator[str]:
    rescues, sending = role.get("rescues") or (), role.get("sending")
    if sending is not None:
        so_far = render_size(sending["bytes"])
        yield f"The rescue of {sending['member']} is being sent to {role['peer']}: {so_far} so far."
    if not rescues:
        return
    size = sum(rescue.get("bytes") or 0 for rescue in rescues)
    kept = count(len(rescues), "rescue")
    yield f"{kept} kept ({render_size(size)}) until you drop it: zr rescue list {role['group']}"
    if any(rescue.get("own") and not rescue["shipped"] for rescue in rescues):
        yield f"Not all of it was sent to {role['peer']} yet: what is not there is only here."
