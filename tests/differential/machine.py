"""The Hypothesis state machine: draws operations while it drives the model with them.

The rule looks at what the model shows and makes one operation of it (choices.py), mostly a sensible
one, else one that has to be refused. Numbers that a rule draws only choose among what exists, so a
sequence is plain data and can be run, cut short and run again anywhere. That is how it is judged
(running.py): after it was drawn, with nothing of the other side inside of Hypothesis, which would
draw a failing one again and takes whatever is not quite the same then for a flaky test. It is made
small from outside, too (comparing.py): Hypothesis would need far more runs.

What a sequence draws depends on its seed and number only, and on what the model shows. So numbers
come from a Random that is made of these two: those that Hypothesis draws also depend on the
constants in whatever modules are imported, and a sequence would be another one after any edit.
"""

import random
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, Verbosity, settings
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

Drawn = tuple[list[Operation], list[Record]]
"""Operations, and what the model showed after each and at the end."""
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
    "promote": 1,
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
MOST_LEFT_OUT = 12
KINDS = ("filesystem", "filesystem", "encrypted", "volume")
"""Of the second dataset."""
ONE_AT_A_TIME = threading.Lock()
"""Hypothesis parses source texts while it draws, and Python 3.11's parser counts its depth for all
threads together: in two at once it fails now and then (SystemError, "AST constructor recursion
depth mismatch")."""


class Pair(RuleBasedStateMachine):
    """The model's half of the pair."""

    drawn: ClassVar[list[Drawn]]
    salt: ClassVar[str]
    make_world: ClassVar[Callable[[], Any]] = ModelWorld

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.interpreter = Interpreter(type(self).make_world())
        self.choices = Choices(self.interpreter.look, self.interpreter.streams)
        self.kinds: list[str] = []
        self.random = random.Random(type(self).salt)

    def teardown(self) -> None:
        """The whole sequence, for `draw_sequence`."""
        if self.operations:
            self.interpreter.end()
            type(self).drawn.append((self.operations, self.interpreter.records))

    def _do(self, operation: Operation) -> None:
        if operation["do"] == "transfer":
            operation["label"] = len(self.operations)
        self.operations.append(operation)
        self.interpreter.perform(operation)

    @initialize()
    def begins(self) -> None:
        """Two datasets, and a placeholder for replicas; some kinds of operations not at all."""
        kind = self.random.choice(KINDS)
        left_out = self.random.sample(OPTIONAL, self.random.randrange(MOST_LEFT_OUT + 1))
        self.kinds = [name for name, weight in WEIGHTS.items() for _ in range(weight)]
        self.kinds = [name for name in self.kinds if name not in left_out]
        self._do({"do": "create", "dataset": "a", "kind": "filesystem"})
        self._do({"do": "create", "dataset": "b", "kind": kind})
        self._do({"do": "placeholder", "dataset": "r"})

    @rule()
    def acts(self) -> None:
        """One operation."""
        kind, *n = (self.random.randrange(10_000) for _ in range(6))
        made = getattr(self.choices, pick(self.kinds, kind))(*n)
        self._do(made or self.choices.write(*n))


def draw_sequence(
    *,
    number: int,
    operations: int,
    first_seed: int,
    make_world: Callable[[], Any] = ModelWorld,
) -> Drawn:
    """Draw sequence `number`: the same one each time."""
    drawn: list[Drawn] = []
    members = {
        "drawn": drawn,
        "make_world": staticmethod(make_world),
        "salt": f"{number} of {first_seed}",
    }
    machine = type("Pair", (Pair,), members)
    quiet = settings(
        max_examples=1,
        stateful_step_count=1 + operations - FIRST_OPERATIONS,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
    )
    with ONE_AT_A_TIME:
        run_state_machine_as_test(machine, settings=quiet)
    (sequence,) = drawn
    return sequence
