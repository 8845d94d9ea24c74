"""Many sequences, on one or two nodes at once: how many agree, and what the first one that does
not looks like when it is made small."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .comparing import Disagreement, Unsteady, find_difference, render, shrink
from .interpreter import run
from .machine import draw_sequence
from .model_world import ModelWorld
from .world import Operation, Record

Run = Callable[[list[Operation]], list[Record]]
"""Operations → records of the other side."""
REPEATS = 3
"""How often a sequence that differed is run again before it counts as one that did so once."""


@dataclass
class Tally:
    """What a run has come to."""

    agreed: int = 0
    operations: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """`transfer done`, `hold snapshot-missing`, …: how often which outcome was compared."""
    disagreements: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    """What differed once, and not when the same sequence was run again at once. A failure too:
    either zr's adapter, the model or the comparison depends on something that nobody thought of."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def agree(self, operations: list[Operation], records: list[Record]) -> int:
        """One more sequence without a difference; returns how many there are."""
        with self._lock:
            self.agreed += 1
            self.operations += len(operations)
            for operation, record in zip(operations, records, strict=False):
                self.kinds[f"{operation['do']} {outcome_word(record['outcome'])}"] += 1
            return self.agreed

    def keep(self, found: Exception, sequence: str) -> str:
        """What judging a sequence raised; returns it as a sentence. Whatever is neither of the two
        kinds (a node that failed) is no agreement, so it counts as a disagreement."""
        if isinstance(found, Unsteady):
            self.unsteady.append(f"{sequence}, once: {found}")
            return self.unsteady[-1]
        kind = "" if isinstance(found, Disagreement) else f"{type(found).__name__}: "
        self.disagreements.append(f"{sequence}: {kind}{found}")
        return self.disagreements[-1]


def outcome_word(outcome: Any) -> str:
    """A few words for statistics."""
    if isinstance(outcome, dict) and "sent" in outcome:
        sent, received = outcome["sent"], outcome.get("received")
        return outcome_word(sent if received is None else received)
    if isinstance(outcome, str):
        return outcome
    if isinstance(outcome, list) and len(outcome) == 2 and outcome[0] in KINDS:
        return str(outcome[1])
    return "answered"


KINDS = ("Refused", "Passing", "Standing", "Corrupt", "Bug")


@dataclass(frozen=True)
class Compare:
    """One side beside the model."""

    other: Run
    make_world: Callable[[], Any] = ModelWorld
    tries: int = 30
    """How many runs may go into making a sequence small."""

    def judge(self, operations: list[Operation], records: list[Record]) -> None:
        """Errors: Disagreement, with the sequence made small; Unsteady, with the sequence."""
        difference = find_difference(records, self.other(operations))
        if difference is None:
            return
        if not any(self.differs(operations) for _ in range(REPEATS)):
            raise Unsteady(render(operations, difference))
        small = shrink(operations[: difference.number + 1], self.differs, self.tries)
        again = find_difference(self.mine(small), self.other(small))
        if again is None:
            text = render(operations, difference)
            raise Disagreement(f"(it did not repeat when it was made small)\n{text}")
        raise Disagreement(render(small, again))

    def mine(self, operations: list[Operation]) -> list[Record]:
        """The model's records."""
        return run(self.make_world(), operations)

    def differs(self, operations: list[Operation]) -> bool:
        """Whether the sides disagree on these."""
        return find_difference(self.mine(operations), self.other(operations)) is not None


def run_sequences(
    compares: list[Compare],
    *,
    sequences: int,
    operations: int,
    first_seed: int,
    say: Callable[[str], None] = lambda line: None,
    first: int = 0,
    stop_after: int = 3,
) -> Tally:
    """So many sequences, shared among `compares` (one thread each); ends early after failures."""
    tally = Tally()
    numbers = iter(range(first, first + sequences))
    lock = threading.Lock()
    began = time.monotonic()

    def work(compare: Compare) -> None:
        while len(tally.disagreements) < stop_after:
            with lock:
                number = next(numbers, None)
            if number is None:
                return

            try:
                drawn, records = draw_sequence(
                    number=number,
                    operations=operations,
                    first_seed=first_seed,
                    make_world=compare.make_world,
                )
                compare.judge(drawn, records)
            except Exception as found:  # noqa: BLE001 - the outermost edge of a thread
                say(tally.keep(found, f"sequence {number} of seed {first_seed}"))
            else:
                if tally.agree(drawn, records) % 50 == 0:
                    say(f"{tally.agreed} sequences agree, {time.monotonic() - began:.0f} s")

    threads = [threading.Thread(target=work, args=(c,)) for c in compares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally
