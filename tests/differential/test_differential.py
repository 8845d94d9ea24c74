"""The model and real OpenZFS agree on random sequences; `make differential` draws more of them."""

import os
from collections.abc import Iterator
from itertools import count

import pytest

from tests.lab import Lab

from .comparing import find_difference
from .interpreter import run
from .machine import draw_sequence
from .model_world import ModelWorld
from .mutants import MUTANTS, mutated_pools
from .remote import Far
from .running import Compare, run_sequences
from .world import Operation, Record


@pytest.fixture(scope="module")
def fars() -> Iterator[list[Far]]:
    with Lab.up(name=f"pair{os.getpid()}") as lab:
        yield [Far.start(lab, node) for node in lab.nodes.values()]


@pytest.mark.lab
@pytest.mark.parametrize(("adapter", "sequences"), [("libzfs_core", 20), ("command", 4)])
def test_model_is_as_real_zfs(fars: list[Far], adapter: str, sequences: int) -> None:
    compares = [
        Compare(lambda ops, far=far: far.run(ops, adapter), tries=8)  # type: ignore[misc]
        for far in fars
    ]
    tally = run_sequences(compares, sequences=sequences, operations=40, first_seed=7)
    differing = [*tally.disagreements, *tally.unsteady]
    assert not differing, "\n".join(differing)
    assert tally.agreed == sequences


@pytest.mark.lab
def test_what_a_promoted_child_leaves_is_cleaned(fars: list[Far]) -> None:
    """Its parent is its clone then, which `zfs destroy -R` refuses."""
    operations: list[Operation] = [
        {"do": "create", "dataset": "r", "kind": "filesystem"},
        {"do": "take", "snapshot": "r@s"},
        {"do": "clone", "snapshot": "r@s", "to": "r/x"},
        {"do": "promote", "dataset": "r/x"},
        {"do": "take", "snapshot": "r@s"},
    ]
    records = fars[0].run(operations, "libzfs_core")  # Broken, where something is left
    assert find_difference(run(ModelWorld(), operations), records) is None
    assert [*records[-1]["seen"]] == ["r", "r/x"]
    left = fars[0].node.sh("zfs list -H -o name").text
    assert "pair-" not in left


def test_a_model_agrees_with_itself() -> None:
    tally = run_sequences(
        [Compare(lambda ops: run(ModelWorld(), ops))], sequences=8, operations=40, first_seed=1
    )
    assert (tally.agreed, tally.disagreements) == (8, [])


def test_a_sequence_is_drawn_the_same_again() -> None:
    first, again = (draw_sequence(number=3, operations=40, first_seed=5) for _ in range(2))
    assert first == again


def test_what_differs_once_is_shown_whole() -> None:
    calls = count()

    def other(operations: list[Operation]) -> list[Record]:
        records = run(ModelWorld(), operations)
        return records if next(calls) else [*records[:-1], {"outcome": None, "seen": "mist"}]

    tally = run_sequences([Compare(other)], sequences=1, operations=10, first_seed=1)
    assert (tally.agreed, tally.disagreements) == (0, [])
    (sentence,) = tally.unsteady
    assert "mist" in sentence
    assert '"do": "placeholder"' in sentence


@pytest.mark.parametrize("name", MUTANTS)
def test_the_comparison_notices(name: str) -> None:
    """If sequences are drawn otherwise now: `python -m tests.differential --mutant NAME --seed 1`
    says which one notices it."""
    compare = Compare(lambda ops: run(ModelWorld(), ops), mutated_pools(name), tries=0)
    first = MUTANTS[name].sequence
    tally = run_sequences([compare], sequences=1, operations=40, first_seed=1, first=first)
    assert "model and real ZFS disagree" in "".join(tally.disagreements), MUTANTS[name].real
