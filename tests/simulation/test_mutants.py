"""Every mutant still fits the production code; `python -m tests.simulation.mutants` hunts them."""

import importlib
import inspect

import pytest

from tests.simulation.mutant import Mutant
from tests.simulation.mutant_list import MUTANTS
from tests.simulation.mutants import hunt, planted

QUICK = ("replica-pruned-once", "acknowledged-before-journal", "every-seventh-skipped")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_it_fits(mutant: Mutant) -> None:
    with planted(mutant):
        pass
    if mutant.test:
        module, _, function = mutant.test.partition("::")
        killer = getattr(importlib.import_module(module), function)
        inspect.signature(killer).bind()  # the hunt calls it without anything


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.name in QUICK], ids=lambda m: m.name)
def test_the_simulator_is_awake(mutant: Mutant) -> None:
    assert hunt(mutant, 40).killer
