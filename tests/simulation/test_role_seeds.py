"""Fixed seeds with roles: three gate every commit, a hundred every landing; a seed is one story."""

import pytest

from tests.simulation.__main__ import render_failure, run_seed

FOUND = (107, 144, 2398, 2465, 4279, 8112)
"""Outside of the hundred, and found something once."""


@pytest.mark.parametrize("seed", range(2, 5))
def test_seed(seed: int) -> None:
    report = run_seed(seed, roles=True)
    assert report.ok, render_failure(report)


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, *range(5, 100), *FOUND])
def test_more_seeds(seed: int) -> None:
    test_seed(seed)


def test_a_seed_is_one_story() -> None:
    first, second = (run_seed(4, roles=True, trace=True) for _ in range(2))
    assert first.trace == second.trace
