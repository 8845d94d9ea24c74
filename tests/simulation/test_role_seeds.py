"""Fixed seeds with roles: three gate every commit, a hundred every landing."""

import pytest

from tests.simulation.__main__ import render_failure, run_seed

FOUND = (
    107,
    144,
    1114,
    1317,
    1614,
    1914,
    2398,
    2465,
    3227,
    3261,
    3397,
    3565,
    4092,
    4189,
    4279,
    8112,
)
"""Outside of the hundred, and found something once."""


@pytest.mark.parametrize("seed", range(2, 5))
def test_seed(seed: int) -> None:
    report = run_seed(seed, roles=True)
    assert report.ok, render_failure(report)


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, *range(5, 100), *FOUND])
def test_more_seeds(seed: int) -> None:
    test_seed(seed)
