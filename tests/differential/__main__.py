"""`python -m tests.differential --sequences 500 --operations 40 --adapter libzfs_core --seed 0`.

Boots a lab of its own and uses both nodes, unless `--attach NAME` says to use one that is up. The
last line says how many sequences agreed; exit code 1 where one did not. `--outcomes` prints how
often which outcome was compared. `--mutant NAME` puts a bug into the model: that has to fail.
`--only N` draws sequence N alone, as it was. It ends early after `--stop-after` disagreements.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab import Lab

from .model_world import ModelWorld
from .mutants import MUTANTS, mutated_pools
from .remote import Far
from .running import Compare, Tally, run_sequences


@contextmanager
def fars(attach: str | None) -> Iterator[list[Far]]:
    """Both nodes of a lab, ready."""
    if attach:
        lab = Lab.attach(attach)
        yield [Far.start(lab, node) for node in lab.nodes.values()]
        return
    with Lab.up(name=f"differential{os.getpid()}") as lab:
        yield [Far.start(lab, node) for node in lab.nodes.values()]


def compare_with(found: list[Far], adapter: str, mutant: str | None) -> list[Compare]:
    """One Compare for each node."""
    make_world = mutated_pools(mutant) if mutant else ModelWorld
    tries = 5 if mutant else 30
    return [
        Compare(lambda ops, far=far: far.run(ops, adapter), make_world, tries)  # type: ignore[misc]
        for far in found
    ]


def say(line: str) -> None:
    """At once, also into a file."""
    print(line, flush=True)


def main(words: list[str]) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--sequences", type=int, default=500)
    parser.add_argument("--operations", type=int, default=40)
    parser.add_argument("--adapter", choices=("libzfs_core", "command"), default="libzfs_core")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--stop-after", type=int, default=3)
    parser.add_argument("--outcomes", action="store_true")
    parser.add_argument("--mutant", choices=sorted(MUTANTS))
    parser.add_argument("--attach")
    given = parser.parse_args(words)
    began = time.monotonic()
    with fars(given.attach) as found:
        tally = run_sequences(
            compare_with(found, given.adapter, given.mutant),
            sequences=1 if given.only is not None else given.sequences,
            operations=given.operations,
            first_seed=given.seed,
            say=say,
            first=given.only or 0,
            stop_after=1 if given.mutant else given.stop_after,
        )
    if given.outcomes:
        for kind, count in sorted(tally.kinds.items()):
            say(f"{count:6} {kind}")
    say(last_line(tally, given.adapter, given.seed, time.monotonic() - began))
    return 1 if tally.disagreements or tally.unsteady else 0


def last_line(tally: Tally, adapter: str, seed: int, seconds: float) -> str:
    """What it came to."""
    return (
        f"{adapter}, seed {seed}: {tally.agreed} sequences ({tally.operations} operations) agree, "
        f"{len(tally.disagreements)} do not, {len(tally.unsteady)} did not once, {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
