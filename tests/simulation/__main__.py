"""`python -m tests.simulation`: run seeds, fixed or fresh; print what was violated, and a trace."""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.simulation.night import run_night
from tests.simulation.role_scenario import ROLE_FAULTS, draw_roles
from tests.simulation.role_site import RoleSite
from tests.simulation.scenario import FAULTS, draw_scenario
from tests.simulation.site import Report, Site
from tests.simulation.speed import measure
from tests.simulation.year import YEAR_DAYS, run_year

CHECK_DAYS = 0.25
FRESH_DAYS = 2.0


def run_seed(
    seed: int,
    *,
    faults: frozenset[str] | None = None,
    trace: bool = False,
    days: float = CHECK_DAYS,
    roles: bool = False,
) -> Report:
    """One seed, from its drawing to its last check."""
    if roles:
        return RoleSite(draw_roles(seed, faults), whole_trace=trace).run()
    return Site(draw_scenario(seed, faults, days), whole_trace=trace).run()


def render_failure(report: Report) -> str:
    """What was violated, how it came to it, and how to see it again."""
    lines = [
        *report.trace,
        f"seed {report.scenario.seed}: {report.scenario}",
        f"faults that happened: {', '.join(report.faults)}",
        *report.violations,
        f"Again: {report.scenario.again}",
    ]
    return "\n".join(lines)


def main() -> int:
    """Exit 1 when a seed failed."""
    options = _parser().parse_args()
    known = set(ROLE_FAULTS if options.roles else FAULTS)
    faults = frozenset(options.faults.split(",")) if options.faults else None
    if faults and (odd := faults - known):
        raise SystemExit(f"No such faults: {', '.join(sorted(odd))}. {', '.join(sorted(known))}.")
    if options.year:
        return 0 if run_year(options.seed or 0, options.days or YEAR_DAYS).ok else 1
    if options.speed:
        return measure()
    fresh = options.night or options.fresh
    if fresh and options.roles:
        raise SystemExit("--roles runs ranges of seeds: --seeds 1000-5999")
    if fresh:
        days = options.days or FRESH_DAYS
        return min(1, run_night(fresh, days, jobs=options.jobs, resume=options.resume))
    if options.seed is not None:
        seeds = [options.seed]
    else:
        first, _, last = options.seeds.partition("-")
        seeds = list(range(int(first), int(last or first) + 1))
    began, simulated, failed = time.process_time(), 0.0, []
    seen: Counter[str] = Counter()
    for seed in seeds:
        days = options.days or CHECK_DAYS
        report = run_seed(seed, faults=faults, trace=options.trace, days=days,
                          roles=options.roles)  # fmt: skip
        simulated += report.simulated_seconds
        seen.update(report.seen)
        if options.verbose or options.trace or options.seed is not None:
            print(_summary(report))
        if options.trace and report.ok:
            print("\n".join(report.trace))
        if not report.ok:
            failed.append(seed)
            print(render_failure(report) + (f" FAULTS={options.faults}" if faults else ""))
    spent = time.process_time() - began
    print(
        f"{len(seeds)} seeds, {len(failed)} failed, {simulated / 86_400:.1f} days in {spent:.1f} s"
        f" of CPU ({simulated / 86_400 / spent:.1f} days/s)"
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
    parser.add_argument("--night", type=int, metavar="COUNT", help="the same, for thousands")
    parser.add_argument("--roles", action="store_true", help="the seeds' stories with roles")
    parser.add_argument("--speed", action="store_true", help="simulated days per second of CPU")
    parser.add_argument("--year", action="store_true", help="a year of minutes; with --seed")
    parser.add_argument("--days", type=float, help="how long: 0.25, new seeds 2")
    parser.add_argument("--jobs", type=int, help="processes for new seeds (default: all cores)")
    parser.add_argument("--resume", type=Path, help="the record of new seeds to go on with")
    parser.add_argument("--faults", help="only these kinds, comma-separated")
    parser.add_argument("--trace", action="store_true", help="print everything that happened")
    parser.add_argument("--verbose", action="store_true", help="one line per seed")
    parser.add_argument("--seen", action="store_true", help="how often which situation came up")
    return parser


if __name__ == "__main__":
    sys.exit(main())
