"""`python -m tests.simulation`: run seeds, fixed or fresh; print what was violated, and a trace."""

import argparse
import secrets
import sys
import time
from collections import Counter

from tests.simulation.scenario import FAULTS, draw_scenario
from tests.simulation.site import Report, Site


def run_seed(seed: int, *, faults: frozenset[str] | None = None, trace: bool = False) -> Report:
    """One seed, from its drawing to its last check."""
    return Site(draw_scenario(seed, faults), whole_trace=trace).run()


def render_failure(report: Report) -> str:
    """What was violated, how it came to it, and how to see it again."""
    lines = [
        *report.trace,
        f"seed {report.scenario.seed}: {report.scenario}",
        f"faults that happened: {', '.join(report.faults)}",
        *report.violations,
        f"Again: make sim SEED={report.scenario.seed}, "
        f"or python -m tests.simulation --seed {report.scenario.seed} --trace",
    ]
    return "\n".join(lines)


def main() -> int:
    """Exit 1 when a seed failed."""
    options = _parser().parse_args()
    faults = frozenset(options.faults.split(",")) & set(FAULTS) if options.faults else None
    if options.seed is not None:
        seeds = [options.seed]
    elif options.fresh:
        seeds = [secrets.randbelow(1 << 40) for _ in range(options.fresh)]
    else:
        first, _, last = options.seeds.partition("-")
        seeds = list(range(int(first), int(last or first) + 1))
    began, simulated, failed = time.perf_counter(), 0.0, []
    seen: Counter[str] = Counter()
    for seed in seeds:
        report = run_seed(seed, faults=faults, trace=options.trace)
        simulated += report.simulated_seconds
        seen.update(report.seen)
        if options.verbose or options.trace or options.seed is not None:
            print(_summary(report))
        if options.trace and report.ok:
            print("\n".join(report.trace))
        if not report.ok:
            failed.append(seed)
            print(render_failure(report))
    spent = time.perf_counter() - began
    print(
        f"{len(seeds)} seeds, {len(failed)} failed, {simulated / 86_400:.1f} days in {spent:.1f} s"
        f" ({simulated / 86_400 / spent:.1f} days/s)"
    )
    if options.seen:
        print("\n".join(f"{count:8} {what}" for what, count in sorted(seen.items())))
    if failed:
        print(f"Failed seeds: {' '.join(map(str, failed))}")
    return 1 if failed else 0


def _summary(report: Report) -> str:
    return (
        f"seed {report.scenario.seed}: {report.simulated_seconds / 3600:.1f} h, "
        f"{report.steps} steps, {report.ticks} snapshots, {report.commits} commits, "
        f"{len(report.faults)} faults of {len(report.scenario.faults)} kinds"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--seeds", default="0-99", help="a range (default 0-99)")
    parser.add_argument("--fresh", type=int, metavar="COUNT", help="so many new seeds")
    parser.add_argument("--faults", help="only these kinds, comma-separated")
    parser.add_argument("--trace", action="store_true", help="print everything that happened")
    parser.add_argument("--verbose", action="store_true", help="one line per seed")
    parser.add_argument("--seen", action="store_true", help="how often which situation came up")
    return parser


if __name__ == "__main__":
    sys.exit(main())
