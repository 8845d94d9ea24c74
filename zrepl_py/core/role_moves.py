"""The moves of the table of roles, in the order in which they are looked at.

What takes a right away stands before what gives one, and does not ask who says it. What gives one
asks for every fact that it rests on.
"""

from typing import Any

from zrepl_py.core.role_row import Row, but, move, stay
from zrepl_py.model.roles import (
    Authority,
    Claim,
    Fit,
    Order,
    Progress,
    Record,
    State,
    Verdict,
    Write,
)

ANY = tuple(State)
SERVING = (State.PRIMARY, State.PRIMARY_ALONE)
WRITING = (*SERVING, State.DRAINING, State.PROMOTING)
FOLLOWING = (State.STANDBY, State.CATCHING_UP)
PROMOTABLE = (*FOLLOWING, State.DEMOTED, State.FENCED, State.DIVERGED)
OVERTAKEN = (Verdict.RETURNING, Verdict.FORWARD)
NO_PRIMARY = (Claim.SILENT, Claim.ASIDE, Claim.STANDBY, Claim.BEHIND, Claim.WAS_STANDBY)
"""The other node does not write, and would not by itself."""
USABLE = (Fit.FRESH, Fit.LAGGING)
MINE = but(Authority.LOST)

BROKEN: tuple[Row, ...] = (
    move(
        "broken", but(State.FAULTED), State.FAULTED,
        "The pool, the journal or a member of the group is not usable: services stop.",
        fit=Fit.BROKEN,
    ),
    move(
        "mended", State.FAULTED, State.UNKNOWN,
        "What was broken is usable again; the role is proved anew.",
        fit=but(Fit.BROKEN),
    ),
)  # fmt: skip

BELIEF: tuple[Row, ...] = (
    move(
        "handed-over", (State.UNKNOWN, State.DRAINING), State.DEMOTED,
        "This node gave its epoch away, durably: it only goes forward from here, as it should.",
        record=Record.HANDED_OVER,
    ),
    move(
        "overtaken", (*WRITING, State.SPLIT), State.FENCED,
        "The other node has a higher epoch: services stop, and nothing is written any more.",
        verdict=OVERTAKEN,
    ),
    move(
        "overtaken-after-start", State.UNKNOWN, State.FENCED,
        "This node may have been the primary, and the other one has a higher epoch: what a daemon "
        "before this one has left open is closed first.",
        verdict=OVERTAKEN,
    ),
    stay(
        "closing", State.FENCED,
        "The datasets are being closed; until that is proven nothing else happens.",
        progress=but(Progress.DONE),
    ),
    move(
        "split", (*WRITING, *PROMOTABLE, State.UNKNOWN), State.SPLIT,
        "Both nodes went on from the same epoch, and both may have been written to. Nothing is "
        "done until a person has chosen.",
        verdict=Verdict.SPLIT,
    ),
    move(
        "tail", (State.INIT, State.UNKNOWN, *FOLLOWING, State.DEMOTED, State.FENCED),
        State.DIVERGED,
        "This node has what is not in the other one's lineage. It is kept.",
        verdict=(Verdict.RETURNING, Verdict.WRITTEN),
    ),
    move(
        "fast-forward",
        (State.INIT, *FOLLOWING, State.DEMOTED, State.FENCED, State.DIVERGED),
        State.CATCHING_UP,
        "The other node went on, and this one has nothing of its own: it follows.",
        Write.ADOPT,
        verdict=Verdict.FORWARD,
    ),
    move(
        "authority-lost", WRITING, State.FENCED,
        "The authority is not with this node any more: services stop.",
        authority=Authority.LOST,
    ),
)  # fmt: skip

_CONFIRMED: dict[str, Any] = {"claim": (*NO_PRIMARY[1:], Claim.HANDED), "authority": MINE}
_RESTARTED: dict[str, Any] = {
    "proved": True,
    "claim": but(Claim.PRIMARY, Claim.TAKING),
    "authority": MINE,
}
_YIELDING = (Verdict.SYNC, Verdict.PEER_YIELDS)

PROOF: tuple[Row, ...] = (
    move(
        "new", State.UNKNOWN, State.INIT,
        "Neither node has a role in this group yet.",
        record=Record.NOTHING, claim=but(Claim.SILENT), verdict=Verdict.SYNC,
    ),
    move(
        "proved-primary", State.UNKNOWN, State.PRIMARY,
        "This node was the primary, and the other one says that nobody else is.",
        record=Record.PRIMARY, verdict=_YIELDING, **_CONFIRMED,
    ),
    move(
        "proved-promoting", State.UNKNOWN, State.PROMOTING,
        "This node had begun to take over, and the other one agrees: it goes on.",
        record=Record.PROMOTING, verdict=_YIELDING, **_CONFIRMED,
    ),
    move(
        "stale-peer-started", State.UNKNOWN, State.PRIMARY,
        "This node was the primary; the other one was once, in a lower epoch, and is closed.",
        record=Record.PRIMARY, verdict=Verdict.PEER_YIELDS, claim=Claim.WAS_PRIMARY, authority=MINE,
    ),
    move(
        "stale-peer-promoting", State.UNKNOWN, State.PROMOTING,
        "This node had begun to take over from the other one, which is closed: it goes on.",
        record=Record.PROMOTING, verdict=Verdict.PEER_YIELDS, claim=Claim.WAS_PRIMARY,
        authority=MINE,
    ),
    move(
        "daemon-restarted", State.UNKNOWN, State.PRIMARY_ALONE,
        "Only the daemon was away; the datasets are open as it left them.",
        record=Record.PRIMARY, **_RESTARTED,
    ),
    move(
        "daemon-restarted-promoting", State.UNKNOWN, State.PROMOTING,
        "Only the daemon was away; taking over goes on.",
        record=Record.PROMOTING, **_RESTARTED,
    ),
    move(
        "proved-standby", State.UNKNOWN, State.CATCHING_UP,
        "This node was the standby, and the other one answers.",
        record=Record.STANDBY, claim=but(Claim.SILENT), verdict=_YIELDING,
    ),
)  # fmt: skip

PROCEDURES: tuple[Row, ...] = (
    move(
        "switchover-failed", State.DRAINING, State.PRIMARY,
        "The switchover could not be finished in time, or the standby does not follow any more: "
        "everything is opened again here.",
        Write.FORGET, progress=Progress.FAILED,
    ),
    move(
        "switchover-aborted", State.DRAINING, State.PRIMARY,
        "A person took the switchover back: everything is opened again here.",
        Write.FORGET, order=Order.ABORT,
    ),
    move(
        "promoted", State.PROMOTING, State.PRIMARY_ALONE,
        "The group is open here, and marked.",
        Write.OPENED, progress=Progress.DONE,
    ),
    move(
        "rescued", State.RESCUING, State.CATCHING_UP,
        "What only this node had is set aside under a name of its own; now it follows.",
        Write.ADOPT, progress=Progress.DONE,
    ),
    move(
        "handed-to-me", FOLLOWING, State.PROMOTING,
        "The other node has handed over, and all of it is here.",
        Write.TAKE, record=Record.STANDBY, claim=Claim.HANDED, verdict=Verdict.SYNC, fit=USABLE,
        authority=MINE,
    ),
    move(
        "nothing-kept", State.DIVERGED, State.CATCHING_UP,
        "What only this node had is gone, or the other one has it by now: it follows.",
        record=Record.STANDBY, claim=but(Claim.SILENT), verdict=Verdict.SYNC,
    ),
    move(
        "rejoin", State.DIVERGED, State.RESCUING,
        "The other node is the primary; what only this node has is set aside first.",
        claim=Claim.PRIMARY, verdict=(Verdict.RETURNING, Verdict.WRITTEN),
    ),
    move(
        "authority-back", State.FENCED, State.UNKNOWN,
        "The authority is with this node again; the role is proved anew.",
        authority=Authority.HELD, record=(Record.PRIMARY, Record.PROMOTING),
        claim=but(Claim.PRIMARY, Claim.TAKING),
    ),
    move(
        "split-over", State.SPLIT, State.UNKNOWN,
        "The split is over; the role is proved anew.",
        verdict=_YIELDING,
    ),
)  # fmt: skip

_STATED: dict[str, Any] = {"order": Order.FORCE, "fit": USABLE, "authority": Authority.GRANTED}
_GONE = (Claim.SILENT, Claim.ASIDE)

ORDERS: tuple[Row, ...] = (
    move(
        "founded", State.INIT, State.PRIMARY_ALONE,
        "The group has its first epoch, and this node is its primary.",
        Write.FOUND, order=Order.BEGIN, claim=Claim.ASIDE, verdict=Verdict.SYNC,
    ),
    move(
        "switchover", State.PRIMARY, State.DRAINING,
        "Clients and services are sent away, then the other node takes over.",
        Write.PREPARE, order=Order.SWITCHOVER, claim=Claim.STANDBY, verdict=Verdict.SYNC,
    ),
    move(
        "forced", FOLLOWING, State.PROMOTING,
        "A person has stated what may be lost, and that the other node is fenced.",
        Write.PROMOTE, claim=NO_PRIMARY, **_STATED,
    ),
    move(
        "forced-from-aside",
        (State.DEMOTED, State.FENCED, State.DIVERGED, State.RESCUING, State.SPLIT),
        State.PROMOTING,
        "A person has stated what may be lost; the node that took over since is gone.",
        Write.PROMOTE, claim=_GONE, **_STATED,
    ),
    move(
        "forced-after-start", State.UNKNOWN, State.PROMOTING,
        "A person has stated what may be lost, and that the other node is fenced.",
        Write.PROMOTE, record=(Record.STANDBY, Record.OVERTAKEN), claim=_GONE, **_STATED,
    ),
    move(
        "continued", State.UNKNOWN, State.PRIMARY_ALONE,
        "A person has stated that the other node is down and has not taken over.",
        order=Order.CONTINUE, record=Record.PRIMARY, claim=_GONE, authority=Authority.GRANTED,
    ),
    move(
        "continued-promoting", State.UNKNOWN, State.PROMOTING,
        "A person has stated that the other node is down; taking over goes on.",
        order=Order.CONTINUE, record=Record.PROMOTING, claim=_GONE, authority=Authority.GRANTED,
    ),
    move(
        "resolved", State.SPLIT, State.PROMOTING,
        "A person has chosen this node; the other one will set aside what only it has.",
        Write.RESOLVE, order=Order.RESOLVE, claim=but(Claim.SILENT), fit=USABLE,
        authority=Authority.GRANTED,
    ),
    move(
        "automatic", State.STANDBY, State.PROMOTING,
        "The other node is silent, its authority has run out, and the witness gave it to this one.",
        Write.PROMOTE, order=Order.NONE, claim=Claim.SILENT, fit=Fit.FRESH,
        authority=Authority.GRANTED,
    ),
)  # fmt: skip

ROUTINE: tuple[Row, ...] = (
    move(
        "too-old", State.STANDBY, State.CATCHING_UP,
        "The newest whole tick here is older than allowed.",
        fit=(Fit.LAGGING, Fit.SEEDING),
    ),
    move(
        "fresh", State.CATCHING_UP, State.STANDBY,
        "A whole tick of the group is here, and young enough.",
        fit=Fit.FRESH,
    ),
    move(
        "peer-gone", State.PRIMARY, State.PRIMARY_ALONE,
        "The other node does not follow: nothing is confirmed by it any more.",
        claim=but(Claim.STANDBY, Claim.BEHIND),
    ),
    move(
        "peer-unfit", State.PRIMARY, State.PRIMARY_ALONE,
        "The other node's copies do not fit: nothing is confirmed by it any more.",
        verdict=but(Verdict.SYNC),
    ),
    move(
        "peer-back", State.PRIMARY_ALONE, State.PRIMARY,
        "The other node follows.",
        claim=(Claim.STANDBY, Claim.BEHIND), verdict=Verdict.SYNC,
    ),
)  # fmt: skip
