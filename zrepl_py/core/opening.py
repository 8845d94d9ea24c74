"""What is the next step towards open, or towards closed? Pure.

The state says which of the two is wanted (core/roles.py, RIGHTS); what is seen says what is
missing. There is no memory of steps: each has an observation that proves it done, and what is not
known counts as not done. So the same plan serves a promotion, a start, a switchover that is taken
back, and a fence; and it goes on wherever it was interrupted.

Invariants:
- The right to receive is taken away before anything else of an opening, and every file system
  carries the new epoch's marker before a service starts.
- Clients and services go before the datasets are closed; closed is what the kernel shows, not what
  a command said.
"""

from dataclasses import dataclass
from enum import StrEnum

from zrepl_py.core.roles import RIGHTS
from zrepl_py.model.roles import Gate, State


class GateStep(StrEnum):
    """Each is idempotent; its post-condition is the sight that is named beside it below."""

    FORBID_RECEIVE = "forbid-receive"
    END_RECEIVES = "end-receives"
    ALIGN = "align"
    LOAD_KEYS = "load-keys"
    GIVE_PROPERTIES = "give-properties"
    MAKE_WRITABLE = "make-writable"
    MOUNT = "mount"
    WRITE_MARKERS = "write-markers"
    TAKE_EPOCH_SNAPSHOT = "take-epoch-snapshot"
    START_SERVICES = "start-services"
    ADD_ADDRESS = "add-address"
    REMOVE_ADDRESS = "remove-address"
    STOP_SERVICES = "stop-services"
    END_HOLDERS = "end-holders"
    UNMOUNT = "unmount"
    MAKE_READONLY = "make-readonly"
    PROVE_CLOSED = "prove-closed"
    ALLOW_RECEIVE = "allow-receive"


@dataclass(frozen=True, slots=True)
class GateSight:
    """What is seen of a group on this node. None: not known."""

    receive_forbidden: bool | None = None
    """The receiving user's right is gone."""
    receive_allowed: bool | None = None
    no_receive_runs: bool | None = None
    aligned: bool | None = None
    """Every member stands at the tick that is presented: core/rejoin.py has nothing to do."""
    keys_loaded: bool | None = None
    properties_given: bool | None = None
    """A replica has its original's properties: where it is mounted, above all."""
    writable: bool | None = None
    """readonly=off, read back from each mount and device."""
    mounted: bool | None = None
    marked: bool | None = None
    """Every file system has the marker of the node's newest epoch: a real write, read back."""
    epoch_snapshot: bool | None = None
    """A snapshot of the group under that epoch exists."""
    services_run: bool | None = None
    services_stopped: bool | None = None
    address_here: bool | None = None
    address_absent: bool | None = None
    no_holders: bool | None = None
    unmounted: bool | None = None
    """In every mount namespace."""
    readonly: bool | None = None
    nothing_in_use: bool | None = None
    """The kernel has no objset of a member any more; a volume is read-only and nobody has it."""


Steps = tuple[tuple[GateStep, str], ...]
"""Step, and the sight that proves it, in order."""

TAKING: Steps = (
    (GateStep.FORBID_RECEIVE, "receive_forbidden"),
    (GateStep.END_RECEIVES, "no_receive_runs"),
    (GateStep.ALIGN, "aligned"),
    (GateStep.LOAD_KEYS, "keys_loaded"),
    (GateStep.GIVE_PROPERTIES, "properties_given"),
    (GateStep.MAKE_WRITABLE, "writable"),
    (GateStep.MOUNT, "mounted"),
    (GateStep.WRITE_MARKERS, "marked"),
    (GateStep.TAKE_EPOCH_SNAPSHOT, "epoch_snapshot"),
)
"""When all of it is proven, taking over is done: PROMOTING becomes PRIMARY_ALONE."""
SERVING: Steps = (
    (GateStep.START_SERVICES, "services_run"),
    (GateStep.ADD_ADDRESS, "address_here"),
)
"""A service that does not start leaves the node primary, with an alarm: its data are safe."""
CLOSING: Steps = (
    (GateStep.REMOVE_ADDRESS, "address_absent"),
    (GateStep.STOP_SERVICES, "services_stopped"),
    (GateStep.END_HOLDERS, "no_holders"),
    (GateStep.UNMOUNT, "unmounted"),
    (GateStep.MAKE_READONLY, "readonly"),
    (GateStep.PROVE_CLOSED, "nothing_in_use"),
)
FOLLOWING: Steps = ((GateStep.ALLOW_RECEIVE, "receive_allowed"),)


def plan_gate(state: State, sight: GateSight) -> GateStep | None:
    """The next step in this state, or None where nothing is missing."""
    return find_missing(wanted_steps(state), sight)


def is_taken(sight: GateSight) -> bool:
    """Whether a group was taken over: open and marked; services may still be starting."""
    return find_missing(TAKING, sight) is None


def is_closed(sight: GateSight) -> bool:
    """Whether it is proven that nothing can write."""
    return find_missing(CLOSING, sight) is None


def wanted_steps(state: State) -> Steps:
    """The steps whose sights must all be there in this state, in order."""
    rights = RIGHTS[state]
    if rights.gate is Gate.OPEN:
        return (*TAKING, *SERVING)
    if rights.gate is Gate.OPENING:
        return TAKING
    if rights.gate is Gate.AS_IT_WAS:
        return ()
    return (*CLOSING, *FOLLOWING) if rights.accepts else CLOSING


def find_missing(steps: Steps, sight: GateSight) -> GateStep | None:
    """The first of `steps` whose sight is not there."""
    return next((step for step, seen in steps if getattr(sight, seen) is not True), None)
