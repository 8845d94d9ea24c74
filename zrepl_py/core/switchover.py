"""What does each node do next in a planned switchover? Pure: it loses nothing, or does not happen.

    source: intent → other one's intent → close → final snapshots → still? → sent? → HAND OVER
    target: intent → (the table of roles takes over when everything that was handed over is here)

Invariants:
- One durable record is the commit point: the source's handover. Before it, the source alone gives
  up, and opens again; after it, no node goes back.
- The record is made only when, in one and the same look, everything is closed, nothing was written
  since the final snapshots, and the target has said that it has each of them, follows, and has
  nothing of its own: or neither of the two could serve afterwards.
- Nothing is remembered but intent and handover: after a crash the source is a primary that has to
  be proved, or demoted; the target a standby.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from zrepl_py.core.opening import GateSight, GateStep, plan_gate
from zrepl_py.model.lineage import Intent
from zrepl_py.model.roles import Claim, State, Verdict


class SwitchStep(StrEnum):
    """Besides the steps that close the gate."""

    ASK = "ask-target"
    """The target notes the same intent."""
    TAKE_FINALS = "take-finals"
    PROVE_STILL = "prove-still"
    """A second look, a second later: nothing was written since the final snapshots."""
    SEND_FINALS = "send-finals"
    HAND_OVER = "hand-over"
    """THE commit point: core/remember.py, hand_over."""
    GIVE_UP = "give-up"
    """The table of roles opens everything again: Progress.FAILED."""
    DONE = "done"
    NOTE_INTENT = "note-intent"
    DROP_INTENT = "drop-intent"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class SourceSight:
    """What the node that hands over sees, all in one look."""

    intent: Intent | None
    handed_over: bool
    target_intent: Intent | None
    """What the target has noted, as it says now; None: nothing, or it is silent."""
    gate: GateSight
    finals: Mapping[str, int] | None
    """Member → guid of the snapshot that was taken after the gate was proven closed."""
    still: bool | None
    target_has: Mapping[str, Collection[int]]
    """Member → guids that the target says its pool shows."""
    target_follows: bool | None
    """It could go on from here. False: it was written to, or does not follow; None: not known, it
    is silent, say, or has just started."""
    in_time: bool


@dataclass(frozen=True, slots=True)
class TargetSight:
    """What the node that would take over sees."""

    intent: Intent | None
    asked: Intent | None
    """What the source asks for now; None: nothing, or it is silent."""
    claim: Claim
    ready: bool
    """It is a standby, and nothing is in the way here."""
    in_time: bool


def plan_source(sight: SourceSight) -> SwitchStep | GateStep:
    """The next step of the node that is DRAINING."""
    if sight.handed_over:
        return SwitchStep.DONE
    if sight.intent is None or not sight.in_time or sight.target_follows is False:
        return SwitchStep.GIVE_UP
    if sight.target_intent != sight.intent:
        return SwitchStep.ASK
    if (step := plan_gate(State.DRAINING, sight.gate)) is not None:
        return step
    if sight.finals is None:
        return SwitchStep.TAKE_FINALS
    if sight.still is not True:
        return SwitchStep.PROVE_STILL
    if not are_there(sight.finals, sight.target_has):
        return SwitchStep.SEND_FINALS
    return SwitchStep.HAND_OVER if sight.target_follows else SwitchStep.WAIT


def are_there(finals: Mapping[str, int], target_has: Mapping[str, Collection[int]]) -> bool:
    """The target says that its pool shows each of the final snapshots."""
    return all(guid in target_has.get(member, ()) for member, guid in finals.items())


def judge_target(claim: Claim, verdict: Verdict) -> bool | None:
    """Whether the target could take over, says its word of this look; see SourceSight."""
    if claim is Claim.ASIDE or verdict is Verdict.PEER_YIELDS:
        return False
    follows = claim in (Claim.STANDBY, Claim.BEHIND)
    return True if follows and verdict is Verdict.SYNC else None


def plan_target(sight: TargetSight) -> SwitchStep:
    """The next step of the other node, as long as nothing was handed over to it."""
    if sight.asked is not None and sight.asked != sight.intent:
        return SwitchStep.NOTE_INTENT if sight.ready and sight.in_time else SwitchStep.WAIT
    source_goes_on = sight.claim is Claim.PRIMARY and sight.asked is None
    if sight.intent is not None and (source_goes_on or not sight.in_time):
        return SwitchStep.DROP_INTENT
    return SwitchStep.WAIT


@dataclass(frozen=True, slots=True)
class Prospects:
    """P0: what must hold before anything is begun. Each may be not known: None."""

    same_version: bool | None = None
    lag_small: bool | None = None
    pools_healthy: bool | None = None
    no_partial: bool | None = None
    keys_available: bool | None = None
    mountpoints_free: bool | None = None
    space_enough: bool | None = None
    names_fit: bool | None = None
    """On the target too: core/rejoin_check.py has no objection, should the way back be needed."""
    services_known: bool | None = None
    rescues_seen: bool | None = None


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a switchover, or a promotion, would not work now."""

    fact: str
    sentence: str
    way_out: str
    known: bool = True
    """False: it may be so, or not."""


_OBJECTIONS = {
    "same_version": ("The two nodes run different versions of zr.", "Install the same one."),
    "lag_small": ("The standby is more than some seconds behind.", "Wait until it is in sync."),
    "pools_healthy": (
        "A pool is suspended, or its health is not known.",
        "`zpool status` on both nodes; a degraded pool would do.",
    ),
    "no_partial": ("A stream is only partly there.", "Wait until `zr status` shows no transfer."),
    "keys_available": (
        "The standby cannot load the keys of all encrypted members by itself.",
        "Put them where `keylocation` of the replica says, or load them by hand there.",
    ),
    "mountpoints_free": (
        "Something lies in a directory of the standby where a member is to be mounted.",
        "Move it out of the way there, and keep it: it may be wanted.",
    ),
    "space_enough": ("A pool has less free space than `min_free`.", "Make room on it."),
    "names_fit": (
        "A member could not be set aside under its name, should the way back be needed.",
        "`zr doctor` names it.",
    ),
    "services_known": (
        "The services or the address of the group are not the same on both nodes.",
        "Make their settings equal; `zr doctor` shows the difference.",
    ),
    "rescues_seen": (
        "A rescue waits for somebody to look at it; a switchover need not wait for that.",
        "`zr rescue list` names it, `zr rescue diff LABEL` the files that only it has, and "
        "`zr rescue export LABEL --to DIR` copies them out. Only then, when nobody needs it any "
        "more: `zr rescue drop LABEL`.",
    ),
}


def list_objections(found: Prospects) -> tuple[Objection, ...]:
    """Everything that is in the way, not only the first; what is not known is in the way."""
    return tuple(
        Objection(name.name, *_OBJECTIONS[name.name], known=said is not None)
        for name in fields(found)
        if (said := getattr(found, name.name)) is not True
    )
