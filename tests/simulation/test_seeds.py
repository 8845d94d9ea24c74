"""A hundred fixed seeds gate every commit; a fresh one that finds something goes into FOUND.

What a seed draws changes with the simulator: it is a story like the one that found something, and
perhaps not the same. docs/design/simulation.md says which found what.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.__main__ import render_failure, run_seed
from tests.simulation.night import read_record, run_night

FOUND: tuple[tuple[int, float], ...] = (
    (498657452321, 0.01),
    (153, 0.25),
    (1260, 0.25),
    (2016, 0.25),
)
"""(seed, days) outside of the hundred that found something."""
FOUND_LONG = (
    14,
    287405028742,
    237013654247,
    969283900801,
    105135976384,
    894019770912,
    759130986491,
    70902587690,
    295843081456,
    536687565718,
    842405572975,
    275714826447,
    583729892795,
    907555125658,
    155513844854,
)
"""Of two days; they gate every landing. Some showed a mistake of a checker or of a story."""


@pytest.mark.parametrize(("seed", "days"), [*((seed, 0.25) for seed in range(100)), *FOUND])
def test_seed(seed: int, days: float) -> None:
    report = run_seed(seed, days=days)
    assert report.simulated_seconds >= days * 86_400
    assert report.ok, render_failure(report)


@pytest.mark.long
@pytest.mark.parametrize("seed", FOUND_LONG)
def test_found_in_two_days(seed: int) -> None:
    test_seed(seed, 2.0)


def test_restores_are_compared_also_where_clocks_were_wrong() -> None:
    assert run_seed(9).seen["restore compared"] > 30


@pytest.mark.parametrize("words", ["--seed 40", "--roles --seed 4"])
def test_a_seed_is_one_story(words: str) -> None:
    """Also in another process, whose sets of words have another order."""
    argv = [sys.executable, "-m", "tests.simulation", *words.split(), "--trace"]
    told = []
    for order in ("1", "2"):
        environ = os.environ | {"PYTHONHASHSEED": order}
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        told.append(done.stdout.splitlines()[:-1])  # but for the time it took
    assert told[0] == told[1]
    assert len(told[0]) > 500


def test_a_night_is_recorded_and_goes_on(tmp_path: Path) -> None:
    record, said = tmp_path / "night.jsonl", list[str]()
    record.write_text("")
    draw = iter((1, 2, 3)).__next__  # new seeds do not gate a commit
    assert run_night(2, 0.01, jobs=1, resume=record, say=said.append, draw=draw) == 0
    assert run_night(3, 0.01, jobs=1, resume=record, say=said.append, draw=draw) == 0
    assert len(list(read_record(record))) == 3
    assert said[-1].startswith("3 seeds, ")
    assert said[-1].endswith("0 violations")
