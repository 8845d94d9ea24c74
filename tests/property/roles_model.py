"""Two nodes, two lossy wires and a person, small enough to try every interleaving.

The decisions are the product's own: `judge_group`, `hear`, `recall`, `decide`. What is modelled is
what they rest on: a word that is on its way for as long as it likes or is lost, a crash that
forgets all but the journal and the pool, steps that take effect later, and writes.
"""

from dataclasses import dataclass, replace
from functools import cache
from zlib import crc32

from zrepl_py.core.handshake import GroupWord, MemberWord, judge_group
from zrepl_py.core.lineage import may_speak, recall
from zrepl_py.core.remember import Circumstances, hand_over, hear_epoch, remember
from zrepl_py.core.roles import decide
from zrepl_py.core.siteview import PeerWord, answer_by_hand, hear
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.lineage import Lineage, Memory
from zrepl_py.model.names import Epoch, TickName, render_tick
from zrepl_py.model.roles import (
    Advance,
    Claim,
    Fit,
    Order,
    Progress,
    Record,
    SiteView,
    State,
    Verdict,
    Write,
)

MEMBER = "audio"
CLOSED_STATES = (
    State.CATCHING_UP, State.STANDBY, State.DRAINING, State.DEMOTED, State.FENCED,
    State.DIVERGED, State.RESCUING, State.FAULTED,
)  # fmt: skip
SERVING = (State.PRIMARY, State.PRIMARY_ALONE)

Content = tuple[int, ...]
"""The writes that a node's dataset has, in order: each is one snapshot."""


@dataclass(frozen=True, slots=True)
class Word:
    """What one node says of itself to the other."""

    said: PeerWord
    lineage: Lineage
    content: Content


@dataclass(frozen=True, slots=True)
class NodeModel:
    """One node: what survives a crash, and what does not."""

    memory: Memory
    content: Content = ()
    rescued: frozenset[int] = frozenset()
    up: bool = True
    state: State = State.UNKNOWN
    proved: bool = False
    writable: bool = False
    heard: Word | None = None

    def word(self) -> Word:
        said = PeerWord(self.state, recall(self.memory), self.writable, self.memory.handover)
        return Word(said, self.memory.lineage, self.content)


@cache
def history_of(content: Content) -> History:
    name = [render_tick(TickName(Epoch(1, "0" * 8), token, 10**9 + token)) for token in content]
    return History(tuple(Snapshot(t, i + 1, name[i], 0) for i, t in enumerate(content)))


@cache
def verdict_of(
    me: str, mine: Lineage, content: Content, theirs: Lineage, their_content: Content
) -> Verdict:
    def said(node: str, lineage: Lineage, own: Content, other: Content) -> GroupWord:
        member = MemberWord(history_of(own), len(set(own) - set(other)))
        return GroupWord(node, "g", lineage, founder="a", members={MEMBER: member})

    other = "b" if me == "a" else "a"
    return judge_group(
        said(me, mine, content, their_content), said(other, theirs, their_content, content)
    )[0].verdict


def view_of(node: NodeModel, order: Order, failed: bool) -> SiteView:
    memory, heard = node.memory, node.heard
    claim, verdict = Claim.SILENT, Verdict.UNJUDGED
    if heard is not None:
        claim = hear(heard.said, memory.node, {MEMBER: node.content})
        verdict = verdict_of(
            memory.node, memory.lineage, node.content, heard.lineage, heard.content
        )
    progress = Progress.FAILED if failed else Progress.RUNNING
    if node.state is State.FENCED and not node.writable:
        progress = Progress.DONE
    return SiteView(
        node.state, recall(memory), node.proved, Fit.FRESH, progress, claim, verdict,
        answer_by_hand(order), order,
    )  # fmt: skip


def settle(node: NodeModel, order: Order = Order.NONE, failed: bool = False) -> NodeModel:
    """Decide until nothing moves; an order is given once. Only journal and state change: what
    follows for datasets is a step of its own."""
    for _ in range(20):
        outcome = decide(view_of(node, order, failed))
        if not isinstance(outcome, Advance):
            return node
        if outcome.write in (Write.PREPARE, Write.PROMOTE, Write.RESOLVE, Write.FOUND):
            order = Order.NONE
        if order in (Order.CONTINUE, Order.ABORT) and node.state is not outcome.to:
            order = Order.NONE
        failed = False
        node = enter(node, outcome)
    raise AssertionError(f"the decisions go round in a circle: {node}")


def enter(node: NodeModel, outcome: Advance) -> NodeModel:
    memory = journal(node, outcome.write)
    node = replace(node, memory=memory, state=outcome.to)
    if outcome.to in SERVING:
        return replace(node, proved=True)
    return node


def journal(node: NodeModel, write: Write) -> Memory:
    me, heard = node.memory.node, node.heard
    now = Circumstances(fork_of(node, write), "b" if me == "a" else "a")
    if heard is not None:
        now = replace(now, theirs=heard.lineage, given=heard.said.handover)
    return remember(node.memory, write, now)


def fork_of(node: NodeModel, write: Write) -> str:
    """Another one for every other epoch that could be made, as if it were random."""
    memory, theirs = node.memory, node.heard.lineage if node.heard else ()
    entries = [(entry.epoch, entry.over) for entry in (*memory.lineage, *theirs)]
    given = memory.handover and memory.handover.epoch
    return f"{crc32(repr((memory.node, write, memory.seen, given, entries)).encode()):08x}"


def hear_word(node: NodeModel, word: Word) -> NodeModel:
    """What was seen is on disk before anything follows from it."""
    told = word.lineage[-1].epoch if word.lineage else None
    return settle(replace(node, memory=hear_epoch(node.memory, told), heard=word))


def open_step(node: NodeModel) -> NodeModel | None:
    """The datasets are opened, where the state says so; the end of taking over."""
    if node.state in SERVING and not node.writable:
        return replace(node, writable=True)
    if node.state is State.PROMOTING:
        outcome = decide(replace_progress(node))
        if isinstance(outcome, Advance) and outcome.write is Write.OPENED:
            return settle(enter(replace(node, writable=True), outcome))
    return None


def replace_progress(node: NodeModel) -> SiteView:
    return replace(view_of(node, Order.NONE, False), progress=Progress.DONE)


def close_step(node: NodeModel) -> NodeModel | None:
    """The datasets are closed and proven so, where the state says so."""
    if node.state in CLOSED_STATES and node.writable:
        return settle(replace(node, writable=False, proved=False))
    return None


def rescue_step(node: NodeModel) -> NodeModel | None:
    """What only this node has is set aside; the dataset goes on at the last common snapshot."""
    if node.state is not State.RESCUING or node.heard is None:
        return None
    common = tuple(t for t in node.content if t in node.heard.content)
    tail = frozenset(node.content) - frozenset(common)
    node = replace(node, content=common, rescued=node.rescued | tail)
    outcome = decide(replace_progress(node))
    assert isinstance(outcome, Advance)
    return settle(enter(node, outcome))


def handover_step(node: NodeModel) -> NodeModel | None:
    """The commit point: closed, and the standby says that it has everything."""
    heard, intent = node.heard, node.memory.intent
    if node.state is not State.DRAINING or node.writable or heard is None or intent is None:
        return None
    ready = heard.said.state in (State.STANDBY, State.CATCHING_UP)
    if not ready or heard.lineage != node.memory.lineage or heard.content != node.content:
        return None
    finals = {MEMBER: node.content[-1]} if node.content else {}
    return settle(replace(node, memory=hand_over(node.memory, finals)))


def crash(node: NodeModel) -> NodeModel:
    """Power is lost: the journal and the pool stay, and nothing is mounted at the next start."""
    return replace(node, up=False, state=State.UNKNOWN, proved=False, writable=False, heard=None)


def may_receive(source: NodeModel, target: NodeModel) -> bool:
    """The source sends, and the receiver's epoch check lets it through."""
    return (
        source.state in (*SERVING, State.DRAINING)
        and target.state in (State.STANDBY, State.CATCHING_UP)
        and target.content == source.content[: len(target.content)]
        and check_epoch(source, target)
    )


def check_epoch(source: NodeModel, target: NodeModel) -> bool:
    """The epoch check, before anything is received."""
    head = source.memory.head
    return (
        head is not None
        and head == target.memory.head
        and head.node == source.memory.node
        and recall(source.memory) is Record.PRIMARY
        and may_speak(head.epoch, target.memory.seen)
    )
