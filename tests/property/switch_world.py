"""Both nodes of a switchover, step by step: what a power loss keeps, and what it takes.

The pool keeps properties, rights, snapshots and marker; the journal keeps the memory. Everything
else (mounts, services, the address, keys, what was told) is gone.
"""

from dataclasses import dataclass, field, replace

from tests.property.roles_model import NodeModel as Core
from tests.property.roles_model import Word, journal, may_receive, view_of
from zrepl_py.core.lineage import recall
from zrepl_py.core.opening import GateSight, GateStep, is_closed, is_taken, plan_gate
from zrepl_py.core.remember import hand_over, hear_epoch
from zrepl_py.core.roles import RIGHTS, decide
from zrepl_py.core.siteview import PeerWord, hear
from zrepl_py.core.switchover import (
    SourceSight,
    SwitchStep,
    TargetSight,
    judge_target,
    plan_source,
    plan_target,
)
from zrepl_py.model.lineage import Intent, Memory
from zrepl_py.model.names import Epoch
from zrepl_py.model.roles import (
    Advance,
    Claim,
    Gate,
    Order,
    Progress,
    Record,
    State,
    Verdict,
)

VOLATILE = ("mounted", "services", "address", "holders", "keys")


@dataclass
class Machine:
    """One node: its core as in the other model, and the machine around it."""

    core: Core
    mounted: bool = False
    services: bool = False
    address: bool = False
    holders: bool = False
    keys: bool = False
    readonly: bool = True
    receive: bool = True
    marker: Epoch | None = None
    tick: Epoch | None = None
    finals: dict[str, int] | None = None
    still: bool = False
    order: Order = Order.NONE
    late: bool = False
    steps: int = 0
    trace: list[str] = field(default_factory=list)

    @property
    def memory(self) -> Memory:
        return self.core.memory

    @property
    def writable(self) -> bool:
        return self.mounted and not self.readonly

    def word(self) -> Word:
        said = PeerWord(self.core.state, recall(self.memory), self.writable, self.memory.handover)
        return Word(said, self.memory.lineage, self.core.content)

    def sight(self) -> GateSight:
        head = self.memory.head.epoch if self.memory.head else None
        return GateSight(
            receive_forbidden=not self.receive, receive_allowed=self.receive, no_receive_runs=True,
            aligned=True, keys_loaded=self.keys, properties_given=True,
            writable=not self.readonly, mounted=self.mounted, marked=self.marker == head,
            epoch_snapshot=self.tick == head, services_run=self.services,
            services_stopped=not self.services, address_here=self.address,
            address_absent=not self.address, no_holders=not self.holders,
            unmounted=not self.mounted, readonly=self.readonly, nothing_in_use=not self.mounted,
        )  # fmt: skip

    def lose_power(self) -> None:
        for name in VOLATILE:
            setattr(self, name, False)
        self.finals, self.still, self.order, self.late = None, False, Order.NONE, False
        self.core = Core(self.memory, self.core.content, self.core.rescued)


def one_step(me: Machine, other: Machine) -> bool:
    """At most one decision or step of `me`; False where there was nothing to do."""
    me.steps += 1
    word = other.word()
    told = word.lineage[-1].epoch if word.lineage else None
    memory = hear_epoch(me.memory, told)
    me.core = replace(me.core, writable=me.writable, heard=word, memory=memory)
    return _decide(me) or _carry_out(me, other)


def _decide(me: Machine) -> bool:
    view = view_of(me.core, me.order, False)
    progress = Progress.RUNNING
    if me.core.state is State.PROMOTING and is_taken(me.sight()):
        progress = Progress.DONE
    if me.core.state is State.FENCED and is_closed(me.sight()):
        progress = Progress.DONE
    if me.core.state is State.DRAINING and plan_source(_source(me, None)) is SwitchStep.GIVE_UP:
        progress = Progress.FAILED
    outcome = decide(replace(view, progress=progress))
    if not isinstance(outcome, Advance):
        return False
    me.trace.append(outcome.row)
    proved = me.core.proved or outcome.to in (State.PRIMARY, State.PRIMARY_ALONE)
    memory = journal(me.core, outcome.write)
    me.core = replace(me.core, memory=memory, state=outcome.to, proved=proved)
    if outcome.to in (State.DRAINING, State.PRIMARY) or progress is Progress.FAILED:
        me.order = Order.NONE
    return True


def _source(me: Machine, other: Machine | None) -> SourceSight:
    return SourceSight(
        me.memory.intent, recall(me.memory) is Record.HANDED_OVER,
        other.memory.intent if other else None, me.sight(), me.finals, me.still,
        {"audio": other.core.content} if other else {}, _follows(other), not me.late,
    )  # fmt: skip


def _follows(other: Machine | None) -> bool | None:
    """Nobody but the primary writes in this world."""
    claim = hear(other.word().said, "", {}) if other else Claim.SILENT
    return judge_target(claim, Verdict.SYNC)


def _carry_out(me: Machine, other: Machine) -> bool:
    if me.core.state is State.DRAINING:
        step = plan_source(_source(me, other))
    elif me.core.state in (State.STANDBY, State.CATCHING_UP):
        draining = other.core.state is State.DRAINING
        asked = other.memory.intent if draining else None
        claim = hear(me.core.heard.said, me.memory.node, {}) if me.core.heard else Claim.SILENT
        step = plan_target(TargetSight(me.memory.intent, asked, claim, True, True))
    else:
        step = SwitchStep.WAIT
    if step is SwitchStep.WAIT:
        missing = plan_gate(me.core.state, me.sight())
        if missing is None:
            return _send(me, other)
        step = missing
    me.trace.append(step)
    if isinstance(step, GateStep):
        _gate(me, step)
    else:
        return _switch(me, other, step)
    return True


def _send(me: Machine, other: Machine) -> bool:
    """The ordinary lane, with the receiver's checks."""
    fits = may_receive(me.core, other.core) and other.receive
    if not fits or other.core.content == me.core.content:
        return False
    other.core = replace(other.core, content=me.core.content)
    return True


def _switch(me: Machine, other: Machine, step: SwitchStep) -> bool:
    intent: Intent | None = None
    match step:
        case SwitchStep.TAKE_FINALS:
            me.finals = {"audio": me.core.content[-1]}
        case SwitchStep.PROVE_STILL:
            me.still = True
        case SwitchStep.SEND_FINALS:
            return _send(me, other)
        case SwitchStep.HAND_OVER:
            assert not me.writable
            memory = hand_over(me.memory, me.finals or {})
            me.core = replace(me.core, memory=memory)
        case SwitchStep.NOTE_INTENT | SwitchStep.DROP_INTENT:
            if step is SwitchStep.NOTE_INTENT:
                intent = other.memory.intent
            me.core = replace(me.core, memory=replace(me.memory, intent=intent))
        case _:
            return False
    return True


def _gate(me: Machine, step: GateStep) -> None:
    head = me.memory.head.epoch if me.memory.head else None
    rights = RIGHTS[me.core.state].gate
    match step:
        case GateStep.FORBID_RECEIVE | GateStep.ALLOW_RECEIVE:
            me.receive = step is GateStep.ALLOW_RECEIVE
        case GateStep.LOAD_KEYS:
            me.keys = True
        case GateStep.MAKE_WRITABLE | GateStep.MAKE_READONLY:
            me.readonly = step is GateStep.MAKE_READONLY
        case GateStep.MOUNT | GateStep.UNMOUNT:
            me.mounted = step is GateStep.MOUNT
        case GateStep.WRITE_MARKERS:
            assert me.writable
            me.marker = head
        case GateStep.TAKE_EPOCH_SNAPSHOT:
            me.tick = head
        case GateStep.START_SERVICES | GateStep.STOP_SERVICES:
            assert step is GateStep.STOP_SERVICES or me.marker == head
            me.services = me.holders = step is GateStep.START_SERVICES
        case GateStep.ADD_ADDRESS | GateStep.REMOVE_ADDRESS:
            me.address = step is GateStep.ADD_ADDRESS
        case GateStep.END_HOLDERS:
            me.holders = False
        case _:
            raise AssertionError(f"{step} was never missing here ({rights})")
    assert rights is not Gate.AS_IT_WAS
