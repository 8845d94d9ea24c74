"""What happens in a cycle? Drawn from the seed and the cycle's number alone, before it begins.

So a seed repeats its choices, whatever the machine's speed, and a cycle can be drawn by itself.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .layout import NODES

WINDOW_SECONDS = 5.5
OUTAGE_EVERY = 50
OUTAGE_SECONDS = 75.0
"""Longer than alpha's own rules keep snapshots: what beta has not yet waits for it."""
STEPS_SECONDS = (-3600.0, -61.0, -2.0, 1.0, 5.0, 61.0, 3600.0, 86_400.0, 315_576_000.0)
FAR_SECONDS = 10_000_000.0


@dataclass(frozen=True)
class Fault:
    """One trouble: `kind` at `at` seconds after the cycle's begin, for `seconds`."""

    kind: str
    """cut, cable, mute, degrade, kill-daemon, kill-worker, kill-warden, crash, freeze, clock."""
    node: str = ""
    at: float = 0.0
    seconds: float = 0.0
    detail: str = ""
    amount: float = 0.0

    def __str__(self) -> str:
        words = [self.kind, self.node, self.detail]
        if self.amount:
            words.append(f"{self.amount:+.0f}s")
        if self.seconds:
            words.append(f"{self.seconds:.1f}s")
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class Writes:
    """What is written during a cycle."""

    seed: str
    operations: int
    places: tuple[int, ...]
    """Indices of the datasets that are written to."""
    big: tuple[int, ...]
    """Those that get a long file first."""


@dataclass(frozen=True)
class Cycle:
    """All choices of one cycle."""

    number: int
    writes: Writes
    faults: tuple[Fault, ...]
    alien: tuple[str, int] | None = None
    """A person takes a snapshot by hand: (node, index of the dataset)."""

    @property
    def window_seconds(self) -> float:
        """How long things break."""
        return max([WINDOW_SECONDS, *(fault.at + fault.seconds + 0.5 for fault in self.faults)])


def draw_cycle(seed: str, number: int, volumes: Sequence[bool], born: int | None = None) -> Cycle:
    """`volumes`: of each dataset whether it is a volume; `born`: index of one that is new."""
    chance = random.Random(f"{seed}/{number}")
    writes = _draw_writes(chance, f"{seed}/{number}", volumes, born)
    faults: list[Fault] = []
    if number % OUTAGE_EVERY == OUTAGE_EVERY // 2:
        faults.append(Fault("cut", at=1.0, seconds=OUTAGE_SECONDS))
        writes = replace(writes, operations=150, places=tuple(range(len(volumes))))
    while not faults:
        if chance.random() < (0.8 if writes.big else 0.5):
            faults.append(_draw_link_fault(chance, slow=bool(writes.big)))
        for node in NODES:
            if chance.random() < 0.45:
                faults.append(_draw_node_fault(chance, node, slow=bool(writes.big)))
        if chance.random() < 0.15:
            faults.append(_draw_clock_fault(chance))
    alien = None
    if chance.random() < 0.25:  # best where nothing is written: then it stays the newest
        quiet = [i for i in range(len(volumes)) if i not in writes.places]
        alien = (chance.choice(NODES), chance.choice(quiet or list(range(len(volumes)))))
    return Cycle(number, writes, tuple(faults), alien)


def draw_power_loss(seed: str, number: int, volumes: Sequence[bool], born: int | None) -> Cycle:
    """A node loses its power at a random instant while much is written, and nothing else breaks."""
    chance = random.Random(f"{seed}/power/{number}")
    writes = replace(
        _draw_writes(chance, f"{seed}/{number}", volumes, born),
        operations=90,
        places=tuple(range(len(volumes))),
    )
    crash = Fault("crash", chance.choice(NODES), chance.uniform(0.3, 6.0), chance.uniform(0.1, 1.5))
    return Cycle(number, writes, (crash,))


def _draw_writes(
    chance: random.Random, seed: str, volumes: Sequence[bool], born: int | None
) -> Writes:
    if chance.random() < 0.08:
        return Writes(seed, 0, (), ())
    everything = range(len(volumes))
    places = set(chance.sample(everything, chance.randint(1, len(everything))))
    big: tuple[int, ...] = ()
    if chance.random() < 0.4:
        big = (chance.choice([i for i in everything if not volumes[i]]),)
    if born is not None:
        big, places = (born,), places | {born}
    return Writes(seed, chance.randint(1, 90), tuple(sorted(places)), big)


def _draw_link_fault(chance: random.Random, *, slow: bool) -> Fault:
    at, seconds = chance.uniform(0, 4.5), chance.uniform(0.2, 5)
    kind = "degrade" if slow else chance.choice(["cut", "cut", "cable", "mute", "degrade"])
    if kind == "degrade":
        rates = ["10mbit", "20mbit", "40mbit"] if slow else ["", "5mbit", "20mbit"]
        words = (
            f"{chance.choice([0, 5, 40])}ms",
            f"{chance.choice([0, 0.5, 3])}%",
            chance.choice(rates),
        )
        return Fault(kind, detail=" ".join(words).strip())
    node = chance.choice(NODES) if kind != "cut" else ""
    if kind == "mute":  # made in the node, so for the whole window: it may be off or frozen later
        return Fault(kind, node)
    return Fault(kind, node, at, seconds)


def _draw_node_fault(chance: random.Random, node: str, *, slow: bool) -> Fault:
    earliest = 2.5 if slow else 0.5  # then the long file's stream is under way
    at, seconds = chance.uniform(earliest, 5.5), chance.uniform(0.1, 2.0)
    kinds = ["kill-daemon", "kill-worker", "crash", "freeze", "kill-warden"]
    kind = chance.choices(kinds, weights=[8, 6, 8, 4, 1])[0]
    if kind == "kill-worker":
        workers = ["zfs"] if node == "alpha" else ["zfs", "receive"]
        return Fault(kind, node, at, 0, chance.choice(workers))
    detail = chance.choice(["alone", "with its workers"]) if kind == "kill-daemon" else ""
    return Fault(kind, node, at, seconds, detail)


def _draw_clock_fault(chance: random.Random) -> Fault:
    node, amount = chance.choice(NODES), chance.choice(STEPS_SECONDS)
    return Fault("clock", node, 0.0, 0.0, "", amount)
