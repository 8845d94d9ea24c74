"""The model and real OpenZFS agree on random sequences; `make differential` draws more of them."""

import os
import warnings
from collections.abc import Iterator

import pytest

from tests.lab import Lab

from .interpreter import run
from .model_world import ModelWorld
from .mutants import MUTANTS, mutated_pools
from .remote import Far
from .running import Compare, run_sequences


@pytest.fixture(scope="module")
def fars() -> Iterator[list[Far]]:
    with Lab.up(name=f"pair{os.getpid()}") as lab:
        yield [Far.start(lab, node) for node in lab.nodes.values()]


@pytest.mark.lab
@pytest.mark.parametrize(("adapter", "sequences"), [("libzfs_core", 20), ("command", 4)])
def test_model_is_as_real_zfs(fars: list[Far], adapter: str, sequences: int) -> None:
    compares = [
        Compare(lambda ops, far=far: far.run(ops, adapter)[0], tries=8)  # type: ignore[misc]
        for far in fars
    ]
    tally = run_sequences(compares, sequences=sequences, operations=40, first_seed=7)
    assert not tally.disagreements, "\n".join(tally.disagreements)
    assert tally.agreed == sequences
    for sentence in tally.unsteady:
        warnings.warn(sentence, stacklevel=1)  # told, and looked at; it did not happen again


def test_a_model_agrees_with_itself() -> None:
    tally = run_sequences(
        [Compare(lambda ops: run(ModelWorld(), ops))], sequences=8, operations=40, first_seed=1
    )
    assert (tally.agreed, tally.disagreements) == (8, [])


@pytest.mark.parametrize("name", MUTANTS)
def test_the_comparison_notices(name: str) -> None:
    """If sequences are drawn otherwise now: `python -m tests.differential --mutant NAME --seed 1`
    says which one notices it."""
    compare = Compare(lambda ops: run(ModelWorld(), ops), mutated_pools(name), tries=0)
    first = MUTANTS[name].sequence
    tally = run_sequences([compare], sequences=1, operations=40, first_seed=1, first=first)
    found = "".join([*tally.disagreements, *tally.unsteady])
    assert "model and real ZFS disagree" in found, MUTANTS[name].real
