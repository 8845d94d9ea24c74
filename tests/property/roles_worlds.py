"""Every world that two nodes can come to, from one budget of faults, writes and orders."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Generic, NamedTuple, TypeVar

from tests.property.roles_model import (
    SERVING,
    NodeModel,
    Word,
    close_step,
    crash,
    handover_step,
    hear_word,
    may_receive,
    open_step,
    rescue_step,
    settle,
)
from zrepl_py.core.lineage import may_speak
from zrepl_py.model.lineage import Entry, Memory
from zrepl_py.model.names import Epoch
from zrepl_py.model.roles import Order, State

T = TypeVar("T")
STEPS = (open_step, close_step, rescue_step, handover_step)
FIRST = Entry(Epoch(1, "0" * 8), "a")


class Budget(NamedTuple):
    """How often things may still happen."""

    crashes: int = 0
    writes: int = 0
    orders: tuple[Order, ...] = ()
    honest: bool = True
    """A person forces only while the other node is switched off."""


class World(NamedTuple):
    """Nodes and words are numbers here (`Numbers`), so that millions of worlds can be compared."""

    nodes: tuple[int, int]
    wires: tuple[int, int]
    """wires[i]: on its way to node i; -1 where there is nothing."""
    budget: Budget
    receipts: frozenset[int] = frozenset()
    written: int = 0

    def with_node(self, i: int, node: int) -> "World":
        return self._replace(nodes=(node, self.nodes[1]) if i == 0 else (self.nodes[0], node))

    def with_wire(self, i: int, word: int) -> "World":
        return self._replace(wires=(word, self.wires[1]) if i == 0 else (self.wires[0], word))


class Numbers(Generic[T]):
    """A number for each different value."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._known: dict[T, int] = {}

    def of(self, value: T) -> int:
        if value not in self._known:
            self._known[value] = len(self.values)
            self.values.append(value)
        return self._known[value]


NODES, WORDS = Numbers[NodeModel](), Numbers[Word]()


@cache
def said(node: int) -> int:
    return WORDS.of(NODES.values[node].word())


@cache
def hears(node: int, word: int) -> int:
    return NODES.of(hear_word(NODES.values[node], WORDS.values[word]))


@cache
def ordered(node: int, order: Order) -> int:
    return NODES.of(settle(NODES.values[node], order))


@cache
def crashed(node: int) -> int:
    return NODES.of(crash(NODES.values[node]))


@cache
def received(source: int, target: int) -> int:
    """The target with all that the source has, or itself where nothing may be sent."""
    here, there = NODES.values[source], NODES.values[target]
    if not there.up or not may_receive(here, there):
        return target
    return NODES.of(replace(there, content=here.content))


@cache
def alone(node: int) -> tuple[tuple[str, int], ...]:
    """What a node can do by itself: (what, the node after it)."""
    now = NODES.values[node]
    if not now.up:
        return (("starts", NODES.of(settle(replace(now, up=True)))),)
    found = []
    if now.heard is not None:
        found.append(("hears nothing", NODES.of(settle(replace(now, heard=None)))))
    for step in STEPS:
        if (after := step(now)) is not None:
            found.append((step.__name__, NODES.of(after)))
    if now.state is State.DRAINING:
        found.append(("gives up", NODES.of(settle(now, failed=True))))
    return tuple(found)


def start(budget: Budget) -> World:
    """Node a is the primary of the first epoch, b its standby; both run."""
    a = NodeModel(Memory("a", "g", (FIRST,), FIRST.epoch, opened=True), state=State.PRIMARY_ALONE,
                  proved=True, writable=True)  # fmt: skip
    b = NodeModel(Memory("b", "g", (FIRST,), FIRST.epoch), state=State.CATCHING_UP)
    return World((NODES.of(settle(a)), NODES.of(settle(b))), (-1, -1), budget)


def successors(world: World) -> Iterator[tuple[str, World]]:
    budget = world.budget
    for i in (0, 1):
        me, name = world.nodes[i], "ab"[i]
        for what, after in alone(me):
            yield f"{name} {what}", world.with_node(i, after)
        if not NODES.values[me].up:
            continue
        if NODES.values[world.nodes[1 - i]].up and world.wires[1 - i] != said(me):
            yield f"{name} speaks", world.with_wire(1 - i, said(me))
        if world.wires[i] >= 0:
            heard = hears(me, world.wires[i])
            yield f"{name} hears", world.with_node(i, heard).with_wire(i, -1)
        yield from replicates(world, i)
        yield from people(world, i)
        if budget.crashes:
            less = world._replace(budget=budget._replace(crashes=budget.crashes - 1))
            yield f"{name} crashes", less.with_node(i, crashed(me)).with_wire(i, -1)


def replicates(world: World, i: int) -> Iterator[tuple[str, World]]:
    node, budget = NODES.values[world.nodes[i]], world.budget
    if node.writable and budget.writes:
        wrote = NODES.of(replace(node, content=(*node.content, world.written + 1)))
        less = budget._replace(writes=budget.writes - 1)
        after = world._replace(budget=less, written=world.written + 1).with_node(i, wrote)
        yield f"{'ab'[i]} writes", after
    target = received(world.nodes[i], world.nodes[1 - i])
    if target == world.nodes[1 - i]:
        return
    after = world.with_node(1 - i, target)
    if node.state is State.PRIMARY:
        assert node.memory.head is not None
        assert may_speak(node.memory.head.epoch, node.memory.seen), "an overtaken one confirms"
        after = after._replace(receipts=world.receipts | set(node.content))
    yield f"{'ab'[i]} sends", after


def people(world: World, i: int) -> Iterator[tuple[str, World]]:
    budget = world.budget
    for order in sorted(set(budget.orders)):
        stated = order in (Order.FORCE, Order.CONTINUE)
        if stated and budget.honest and would_lie(order, world, i):
            continue
        after = ordered(world.nodes[i], order)
        if after == world.nodes[i]:
            continue
        left = list(budget.orders)
        left.remove(order)
        less = world._replace(budget=budget._replace(orders=tuple(left)))
        yield f"{'ab'[i]}: {order}", less.with_node(i, after)


def would_lie(order: Order, world: World, i: int) -> bool:
    """`--i-fenced` says that the other one is off; `--peer-is-down` also that it was not promoted
    meanwhile."""
    me, other = (NODES.values[world.nodes[k]] for k in (i, 1 - i))
    longer = len(other.memory.lineage) > len(me.memory.lineage)
    return other.up or (order is Order.CONTINUE and longer)


@cache
def explore(budget: Budget) -> set[World]:
    first = start(budget)
    came: dict[World, tuple[World, str] | None] = {first: None}
    queue = deque([first])
    while queue:
        world = queue.popleft()
        for what, after in successors(world):
            if after in came:
                continue
            came[after] = (world, what)
            queue.append(after)
            if wrong := judge(after):
                raise AssertionError(f"{wrong}: {story(after, came)}")
    return set(came)


def story(world: World, came: dict[World, tuple[World, str] | None]) -> list[str]:
    told: list[str] = []
    while (step := came[world]) is not None:
        world, what = step
        told.append(what)
    return told[::-1]


def judge(world: World) -> str:
    return judge_nodes(*world.nodes, world.budget.honest, world.receipts, world.written)


@cache
def judge_nodes(a: int, b: int, honest: bool, receipts: frozenset[int], written: int) -> str:
    nodes = (NODES.values[a], NODES.values[b])
    heads = [n.memory.head.epoch for n in nodes if n.writable and n.memory.head]
    if len(heads) == 2 and heads[0] == heads[1]:
        return "two primaries in one epoch"
    if honest and len(heads) == 2:
        return "two nodes write, and nobody lied"
    for node in nodes:
        if node.state in SERVING and node.memory.head and node.memory.head.node != node.memory.node:
            return "a node serves in the other one's epoch"
        if not receipts <= set(node.content):
            return "what has a receipt is not on both nodes"
    kept = {t for node in nodes for t in (*node.content, *node.rescued)}
    return "" if kept == set(range(1, written + 1)) else "something that was written is nowhere"


@cache
def heal(a: int, b: int) -> tuple[int, int]:
    """No more faults, no more orders: everything is heard and done."""
    pair = [a, b]
    for _ in range(40):
        before = tuple(pair)
        for i in (0, 1):
            if not NODES.values[pair[i]].up:
                pair[i] = alone(pair[i])[0][1]
            pair[i] = hears(pair[i], said(pair[1 - i]))
            for what, after in alone(pair[i]):
                if what.endswith("_step"):
                    pair[i] = after
                    break
            pair[1 - i] = received(pair[i], pair[1 - i])
        if tuple(pair) == before:
            return pair[0], pair[1]
    raise AssertionError("it does not come to rest")


LIVES = "forced, and the other one lives"
SCENES = {
    "switchover there and back": Budget(0, 1, (Order.SWITCHOVER, Order.SWITCHOVER)),
    "switchover and crashes": Budget(2, 0, (Order.SWITCHOVER,)),
    "aborted switchover": Budget(1, 0, (Order.SWITCHOVER, Order.ABORT)),
    "forced, honestly": Budget(1, 2, (Order.FORCE,)),
    "switchover, then forced": Budget(1, 1, (Order.SWITCHOVER, Order.FORCE)),
    "both lost power": Budget(2, 1, (Order.CONTINUE,)),
    LIVES: Budget(0, 2, (Order.FORCE,), honest=False),
    "a split": Budget(0, 0, (Order.FORCE, Order.FORCE, Order.RESOLVE, Order.SWITCHOVER), False),
}


@cache
def check_scene(budget: Budget) -> set[State]:
    """Explore, and heal every world that was found; the states that were come through."""
    worlds = explore(budget)
    for world in worlds:
        nodes = heal(*world.nodes)
        assert judge(world._replace(nodes=nodes)) == ""
        here, there = (NODES.values[n] for n in nodes)
        if State.SPLIT in (here.state, there.state):
            assert not budget.honest, "a split, and nobody lied"
            continue
        assert [here.state in SERVING, there.state in SERVING].count(True) == 1, (here, there)
        assert here.content == there.content
    return {NODES.values[n].state for world in worlds for n in world.nodes}


def forget() -> None:
    """What was computed with other decisions."""
    for known in (
        said,
        hears,
        ordered,
        crashed,
        received,
        alone,
        judge_nodes,
        heal,
        explore,
        check_scene,
    ):
        known.cache_clear()
