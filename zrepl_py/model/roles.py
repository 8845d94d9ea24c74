"""Who may do what, and what is decided from which facts? The words of the roles.

Each fact is one word of a small set, so that every combination can be tried. Every set has a word
for "not known", and that word never gives a right.
"""

from dataclasses import dataclass
from enum import StrEnum

from zrepl_py.errors import Refused, ZrError


class State(StrEnum):
    """What a node is in a group, at this moment."""

    INIT = "init"
    UNKNOWN = "unknown"
    CATCHING_UP = "catching-up"
    STANDBY = "standby"
    PRIMARY = "primary"
    PRIMARY_ALONE = "primary-alone"
    DRAINING = "draining"
    DEMOTED = "demoted"
    PROMOTING = "promoting"
    FENCED = "fenced"
    DIVERGED = "diverged"
    RESCUING = "rescuing"
    SPLIT = "split"
    FAULTED = "faulted"


class Gate(StrEnum):
    """Are the datasets open for writing, and do services run on them?"""

    OPEN = "open"
    CLOSED = "closed"
    OPENING = "opening"
    CLOSING = "closing"
    AS_IT_WAS = "as it was"


@dataclass(frozen=True, slots=True)
class Rights:
    """What a state allows."""

    gate: Gate
    accepts: bool
    """Streams of the group's own epoch."""
    sends: bool
    confirms: bool
    """Asks the other node for receipts, and shows them."""
    meaning: str


class Record(StrEnum):
    """What a node's journal says of it."""

    NOTHING = "nothing"
    PRIMARY = "primary"
    """The newest epoch is its own, and it was opened."""
    PROMOTING = "promoting"
    """The newest epoch is its own, and taking it was not finished."""
    STANDBY = "standby"
    """The newest epoch is the other node's."""
    HANDED_OVER = "handed-over"
    """The newest epoch was its own, and it gave it away."""
    OVERTAKEN = "overtaken"
    """It was told of an epoch that is not in its lineage."""


class Claim(StrEnum):
    """What the other node says of itself, now."""

    SILENT = "silent"
    PRIMARY = "primary"
    """It may be writing: primary, or not proven closed."""
    TAKING = "taking"
    HANDED = "handed"
    """It has handed over to this node, and all that it handed over is here."""
    STANDBY = "standby"
    BEHIND = "behind"
    WAS_PRIMARY = "was-primary"
    """Started, not proven; its journal says that it was primary."""
    WAS_STANDBY = "was-standby"
    ASIDE = "aside"
    """Closed, and no part of the group's work: new, demoted, diverged, rescuing, faulted."""


class Verdict(StrEnum):
    """What the handshake found, from this node's side. core/handshake.py; worst first."""

    SPLIT = "split"
    RETURNING = "returning"
    """The other one's lineage is longer, and this node has what is not in it."""
    WRITTEN = "written"
    """Somebody wrote on this node although it is the standby."""
    FORWARD = "forward"
    """The other one's lineage is longer; this node has nothing of its own."""
    REFUSED = "refused"
    """Another group, authority or kind of stream; or a primary that lost what its standby has."""
    UNRELATED = "unrelated"
    UNJUDGED = "unjudged"
    """Not compared yet."""
    PEER_YIELDS = "peer-yields"
    """The other node has to come after this one."""
    SYNC = "sync"
    """One lineage; an increment fits, or nothing is to be sent."""


class Authority(StrEnum):
    """What the one configured authority says."""

    UNKNOWN = "unknown"
    """Nobody was asked, or nobody answered. With `manual`, that is so until a person speaks."""
    HELD = "held"
    LOST = "lost"
    """It is another's, or it has run out."""
    GRANTED = "granted"
    """This node may take the next epoch, and nobody else may."""


class Order(StrEnum):
    """What a person has asked for on this node."""

    NONE = "none"
    BEGIN = "begin"
    """Set up the roles, this node is primary."""
    SWITCHOVER = "switchover"
    ABORT = "abort"
    PROMOTE = "promote"
    """Without a statement: shows what would be lost."""
    FORCE = "force"
    """With a statement that core/promotion.py has checked."""
    CONTINUE = "continue"
    """This node was the primary, and the other one is down: go on."""
    REJOIN = "rejoin"
    RESOLVE = "resolve"
    """Of two that both went on, this one is kept."""


class Fit(StrEnum):
    """Can this node's own copy serve?"""

    FRESH = "fresh"
    """A whole tick of the group is here, and it is young enough."""
    LAGGING = "lagging"
    SEEDING = "seeding"
    """No tick of the group is here as a whole."""
    BROKEN = "broken"
    """Its pool is suspended, its journal cannot be read, or a member is missing."""


class Progress(StrEnum):
    """How far is what the state does? core/opening.py, core/switchover.py, core/rejoin.py."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """It cannot go on, or its time is over."""


@dataclass(frozen=True, slots=True)
class SiteView:
    """Everything that a decision depends on."""

    state: State
    record: Record = Record.NOTHING
    proved: bool = False
    """Since this machine was started, the role in `record` was proved, and the datasets were not
    closed since: so only the daemon was away, and they are as it left them."""
    fit: Fit = Fit.FRESH
    progress: Progress = Progress.RUNNING
    claim: Claim = Claim.SILENT
    verdict: Verdict = Verdict.UNJUDGED
    authority: Authority = Authority.UNKNOWN
    order: Order = Order.NONE


class Write(StrEnum):
    """What is journalled, durably, before a new state counts."""

    NOTHING = "-"
    ADOPT = "the other one's lineage"
    FOUND = "the first epoch, opened"
    PREPARE = "the intent"
    FORGET = "the intent's end"
    TAKE = "the epoch that was handed over"
    PROMOTE = "a new epoch, of its own"
    RESOLVE = "a new epoch over the other one's"
    OPENED = "that the epoch was opened"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a person's order is not carried out; `{here}`, `{peer}`, `{group}` stand for names."""

    reason: str
    sentence: str
    way_out: str
    price: str = ""
    """What the way out costs; empty where it costs nothing."""
    kind: type[ZrError] = Refused


@dataclass(frozen=True, slots=True)
class Stay:
    """Nothing changes. An order that was given waits (Passing)."""

    row: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Advance:
    """First `write` is made durable, then the node is in state `to`."""

    row: str
    to: State
    write: Write
    sentence: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The order is answered with this, and is over. Nothing changes."""

    row: str
    refusal: Refusal


Decision = Stay | Advance | Refuse
