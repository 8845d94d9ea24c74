"""The Hypothesis state machine: draws operations while it drives the model with them.

The rule looks at what the model shows and makes one operation of it (choices.py), mostly a sensible
one, else one that has to be refused. At the end the whole sequence goes to `judge`, which runs it
on the other side and raises where that one saw something else. Numbers that a rule draws only
choose among what exists, so a sequence is plain data and can be run, cut short and run again
anywhere. That is how one is made small, too (comparing.py): Hypothesis would need far more runs.
Each sequence has a seed of its own, for Hypothesis makes most examples of a run from earlier ones.
"""

import random
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, Verbosity, reject, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from .choices import Choices, pick
from .interpreter import Interpreter
from .model_world import ModelWorld
from .world import Operation, Record

Judge = Callable[[list[Operation], list[Record]], None]
FIRST_OPERATIONS = 3
WEIGHTS = {
    "write": 4,
    "snapshot": 4,
    "replicate": 6,
    "resume": 2,
    "change": 1,
    "stray": 1,
    "again": 1,
    "abort": 1,
    "hold": 2,
    "release": 1,
    "bookmark": 1,
    "destroy_snapshots": 2,
    "destroy_bookmarks": 1,
    "create": 1,
    "placeholder": 1,
    "rename": 1,
    "destroy": 1,
    "clone": 1,
    "take": 1,
    "set_property": 1,
    "key": 1,
    "properties": 1,
    "read": 1,
    "ask": 1,
}
"""Kinds of operations (choices.py), and how often each is drawn."""
OPTIONAL = [name for name, weight in WEIGHTS.items() if weight <= 2]
"""A sequence may do without."""


class Pair(RuleBasedStateMachine):
    """The model's half of the pair."""

    judge: ClassVar[Judge]
    make_world: ClassVar[Callable[[], Any]] = ModelWorld

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.interpreter = Interpreter(type(self).make_world())
        self.choices = Choices(self.interpreter.look, self.interpreter.streams)
        self.kinds: list[str] = []
        self.random = random.Random()

    def teardown(self) -> None:
        """All that was drawn, on the other side."""
        if self.operations:
            self.interpreter.end()
            type(self).judge(self.operations, self.interpreter.records)

    def _do(self, operation: Operation) -> None:
        if operation["do"] == "transfer":
            operation["label"] = len(self.operations)
        self.operations.append(operation)
        self.interpreter.perform(operation)

    @initialize(
        kind=st.sampled_from(("filesystem", "filesystem", "encrypted", "volume")),
        left_out=st.frozensets(st.sampled_from(OPTIONAL), max_size=12),
        salt=st.integers(0, 1 << 64),
    )
    def begins(self, kind: str, left_out: frozenset[str], salt: int) -> None:
        """Two datasets, and a placeholder for replicas; some kinds of operations not at all."""
        if salt == 0:
            reject()  # the plainest example of all, with which Hypothesis always begins
        self.random = random.Random(salt)
        self.kinds = [name for name, weight in WEIGHTS.items() for _ in range(weight)]
        self.kinds = [name for name in self.kinds if name not in left_out]
        self._do({"do": "create", "dataset": "a", "kind": "filesystem"})
        self._do({"do": "create", "dataset": "b", "kind": kind})
        self._do({"do": "placeholder", "dataset": "r"})

    @rule(drawn=st.integers(0, 1 << 64))
    def acts(self, drawn: int) -> None:
        """One operation. What Hypothesis draws is mixed up, since it likes small numbers."""
        dice = random.Random(drawn ^ self.random.getrandbits(64))
        kind, *n = (dice.randrange(10_000) for _ in range(6))
        made = getattr(self.choices, pick(self.kinds, kind))(*n)
        self._do(made or self.choices.write(*n))


def draw_sequence(
    judge: Judge,
    *,
    number: int,
    operations: int,
    first_seed: int,
    make_world: Callable[[], Any] = ModelWorld,
) -> None:
    """Draw sequence `number` and give it to `judge`; what that raises comes out."""
    members = {"judge": staticmethod(judge), "make_world": staticmethod(make_world)}
    machine = seed((first_seed << 32) + number)(type("Pair", (Pair,), members))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=1,
            stateful_step_count=1 + operations - FIRST_OPERATIONS,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
            report_multiple_bugs=False,
        ),
    )
