"""What happens in a cycle of the role chaos? Drawn from the seed and the cycle's number alone.

A trouble waits for a step of a role (as `tests/lab/role_chaos_guest.py` notes them on the node that
makes it), so over the cycles every step of a change is hit, on both nodes, before, in and after it.
Where the step does not come, the trouble strikes all the same, later: between two steps.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

OLD, NEW = "old", "new"
"""Who was the primary when the cycle began, and the other one."""
CLOSING = ("remove-address", "stop-services", "unmount", "make-readonly", "prove-closed")
TAKING = (
    "forbid-receive", "end-receives", "align", "give-properties", "make-writable", "mount",
    "write-markers", "take-epoch-snapshot", "start-services", "add-address",
)  # fmt: skip
ASIDE = (
    "TakeSnapshot", "HoldSnapshot", "MakeParent", "MoveAside", "CloneBack", "PromoteClone",
    "GiveProperties", "Seal", "ship-rescue", "receive-rescue",
)  # fmt: skip
STEPS = {
    ("switchover", OLD): (
        "ask-target", *CLOSING, "take-finals", "prove-still", "send-finals", "hand-over",
        "journal", "allow-receive",
    ),
    ("switchover", NEW): ("note-intent", "journal", *TAKING),
    ("promotion", NEW): ("journal", *TAKING),
    ("return", OLD): (*ASIDE[:-1], "journal", "allow-receive"),
    ("return", NEW): ("receive-rescue", "start-services", "add-address"),
}  # fmt: skip
"""(story, side) → what is waited for; more comes by number alone."""
WORKERS = ("host", "zfs", "receive")
KINDS = {"kill-daemon": 4, "kill-worker": 4, "crash": 4, "cut": 2, "freeze": 2}
MOST = 14
"""Steps of a change that are waited for by number."""


@dataclass(frozen=True)
class Trouble:
    """One trouble, and when it strikes."""

    watched: str
    """The side whose steps are waited for."""
    step: str
    """A step's first word, or none: any."""
    count: int
    """So many-th of them since the change began."""
    after: bool
    """When it has ended, not when it begins."""
    delay_seconds: float
    kind: str
    side: str = ""
    """Whom it strikes."""
    worker: str = ""
    seconds: float = 0.0
    """How long: a cut, a freeze, a machine without power."""

    def __str__(self) -> str:
        which = self.step or "step"
        when = f"{'after' if self.after else 'in'} {self.watched}'s {which} #{self.count}"
        words = [self.kind, self.worker, self.side, f"{when} +{self.delay_seconds * 1000:.0f}ms"]
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class Cycle:
    """All choices of one cycle."""

    number: int
    story: str
    """switchover, promotion, return"""
    death: str
    """Of the primary, before a promotion: crash, freeze, cut."""
    lies: bool
    """The person says that the old primary is fenced, and it is not (death is a cut)."""
    wait_seconds: float
    """From the death to the promotion."""
    troubles: tuple[Trouble, ...]
    keep: str
    """Whom a person would keep of a split."""

    def __str__(self) -> str:
        how = f" after {self.death}{' (a lie)' if self.lies else ''}" if self.death else ""
        return f"{self.story}{how}: {'; '.join(map(str, self.troubles))}"


def draw_cycle(seed: str, number: int) -> Cycle:
    """All of it."""
    chance = random.Random(f"{seed}/roles/{number}")
    story = chance.choices(["switchover", "promotion", "return"], weights=[5, 3, 3])[0]
    death = "" if story == "switchover" else chance.choice(["crash", "crash", "freeze", "cut"])
    lies = death == "cut" and chance.random() < 0.4
    troubles = [_draw_trouble(chance, story, first=True)]
    if chance.random() < 0.35:
        troubles.append(_draw_trouble(chance, story, first=False))
    return Cycle(
        number, story, death, lies, chance.uniform(0.0, 3.0), tuple(troubles),
        chance.choice(["alpha", "beta"]),
    )  # fmt: skip


def _draw_trouble(chance: random.Random, story: str, *, first: bool) -> Trouble:
    sides = [side for known, side in STEPS if known == story]
    watched = chance.choice(sides)
    named = chance.random() < 0.75
    step = chance.choice(STEPS[story, watched]) if named else ""
    count = 1 if named else chance.randint(1, MOST)
    kind = chance.choices(list(KINDS), weights=list(KINDS.values()))[0]
    # The step is hit where it is made, mostly; else the one that waits for it.
    side = watched if chance.random() < 0.7 else chance.choice([OLD, NEW])
    if story == "promotion":
        side = NEW  # the other one has no power
        kind = kind if kind != "cut" else "boot"
    return Trouble(
        watched=watched,
        step=step,
        count=count,
        after=chance.random() < 0.3,
        delay_seconds=chance.choice([0.0, 0.0, chance.uniform(0, 0.2), chance.uniform(0, 2)]),
        kind=kind,
        side="" if kind == "cut" else OLD if kind == "boot" else side,
        worker=chance.choice(WORKERS) if kind == "kill-worker" else "",
        seconds=0.0 if kind.startswith("kill") else chance.uniform(0.3, 6.0),
    )
