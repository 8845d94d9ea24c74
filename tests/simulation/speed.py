"""How many simulated days go into a second of CPU? The measure: three datasets, one-minute cadence,
two days, one target, the faults that each seed draws. Printed as CPU time: cores are shared."""

import time
from collections.abc import Callable
from dataclasses import replace

from tests.simulation.scenario import Scenario, draw_scenario
from tests.simulation.site import Site

SEEDS = range(5)


def measured(seed: int) -> Scenario:
    """The seed's scenario, brought to the measure."""
    drawn = draw_scenario(seed, None, 2.0)
    order = drawn.orders[0]
    policy = replace(order.policy, every_seconds=60, targets=("beta",))
    made = ("tank/data", "tank/data/a", "tank/data/b")
    return replace(
        drawn,
        window_seconds=2 * 86_400.0,
        cadence_seconds=60,
        targets=("beta",),
        orders=(replace(order, policy=policy, made=made),),
    )


def measure(say: Callable[[str], None] = print) -> int:
    """One line per seed, then the whole; returns how many had a violation."""
    began, days, commands, failed = time.process_time(), 0.0, 0, 0
    for seed in SEEDS:
        start = time.process_time()
        report = Site(measured(seed)).run()
        spent = time.process_time() - start
        days += report.simulated_seconds / 86_400
        commands += report.steps
        failed += bool(report.violations)
        say(
            f"seed {seed}: {report.ticks} snapshots, {report.commits} commits, "
            f"{len(report.faults)} faults, {report.steps} steps in {spent:.2f} s of CPU"
        )
        for violation in report.violations:  # it may have ended early: no measure
            say(f"  {violation}")
    spent = time.process_time() - began
    say(
        f"{days:.1f} simulated days in {spent:.1f} s of CPU: {days / spent:.2f} days/s, "
        f"{commands / spent:.0f} steps/s"
    )
    return failed
