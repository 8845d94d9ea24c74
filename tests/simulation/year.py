"""One simulated year of minutes: `make sim-year`. Does anything that lasts go wrong only in time?

The same nodes, faults and checkers as the seeds, on another scale: a tick a minute, few writes,
retention by grids and calendars on both sides, power that goes, clocks that step by hours and by
ten years, and a target that is away four times, for weeks and once for months.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random

from tests.simulation.scenario import DAY_SECONDS, TIMEZONE, Order, Scenario, draw_scenario
from tests.simulation.site import Report, Site
from tests.simulation.truth import own_versions
from zrepl_py.model.policy import Keep, Limits, Policy, Rung, Selection

YEAR_DAYS = 365.0
MONTH_SECONDS = YEAR_DAYS * DAY_SECONDS / 12
STARTS_AT = 1_790_000_000
"""2026-09-21: both changes of Berlin's clocks are within a year."""
FAULTS = frozenset(
    {
        "clock-source",
        "clock-target",
        "crash-source",
        "crash-target",
        "drift",
        "little-room",
        "operator",
        "partition",
        "restart",
        "sync",
    }
)
MEAN_DAYS = 9.0
"""Between two faults of a kind."""
LONGEST_DAYS = 1.5
PAUSES = (10.0, 60.0, 240.0, 1500.0)
TRACE_LINES = 20
JOURNAL_LINES = 30_000
SHOWN = (
    "crash",
    "fault clock-source",
    "retention-asks clock",
    "retention-asks removes-much",
    "retention apply",
    "space-thins",
    "caught up after an absence",
    "looked while all is well",
    "looked while the target is away",
)
"""What a year must have seen to be worth something."""
AWAY_DAYS = ((5.0, 14.0), (8.0, 25.0), (60.0, 100.0), (14.0, 30.0))
"""Each one's shortest and longest, in the order of their coming."""


def draw_year(seed: int, days: float = YEAR_DAYS) -> Scenario:
    """The seed's year, or as much of it as is asked for."""
    random = Random(f"{seed}/year")
    window = days * DAY_SECONDS
    drawn = draw_scenario(seed)
    every = 60
    tree = random.choice((("", "/a"), ("", "/a", "/b"), ("", "/a", "/a/deep")))
    limits = Limits(
        max_snapshots=random.choice((150, 400, 1000)),
        min_free_percent=10,
        max_remove_percent=random.choice((100, 50, 20)),
        keep_waiting=random.choice((0, 200, 2880)),
    )
    policy = Policy(
        name="all",
        source="alpha",
        selection=Selection(("tank/data/**",)),
        every_seconds=every,
        targets=("beta",),
        keep={"alpha": _keep(random, short=True), "beta": _keep(random, short=False)},
        limits=limits,
        timezone=TIMEZONE,
    )
    return replace(
        drawn,
        days=days,
        faults=FAULTS,
        window_seconds=window,
        cadence_seconds=every,
        latency_seconds=random.choice((0.005, 0.02, 0.2)),
        targets=("beta",),
        orders=(Order(policy, "tank", tuple(f"tank/data{below}" for below in tree)),),
        starts_at=STARTS_AT,
        bandwidth=1e8,
        fault_seconds=MEAN_DAYS * DAY_SECONDS,
        lasting_seconds=LONGEST_DAYS * DAY_SECONDS,
        pauses=PAUSES,
        absences=tuple(_absences(random, window)),
        journal_lines=JOURNAL_LINES,
    )


def _keep(random: Random, *, short: bool) -> Keep:
    """Retention as people write it: on the source less than on the target."""
    grids = ((Rung(24, 3600),), (Rung(16, 900), Rung(24, 3600)), (Rung(12, 7200), Rung(10, 21_600)))
    calendars = ((("daily", 14), ("weekly", 8), ("monthly", 12), ("yearly", 3)), (("daily", 40),))
    keep = Keep(
        last=random.choice((10, 60)),
        within_seconds=random.choice((None, 14_400, 2 * DAY_SECONDS)),
        grid=random.choice(grids),
        calendar=random.choice(calendars),
        at_least=random.choice((None, 20)),
        matching=random.choice(((), ("*01T000*",))),  # the first minutes of a month
        timezone=TIMEZONE,
    )
    return replace(keep, within_seconds=None, calendar=(("daily", 7),)) if short else keep


def _absences(random: Random, window: float) -> list[tuple[float, float]]:
    """(when, seconds) of each, in its own part of the year, with weeks of rest after it."""
    share = window / YEAR_DAYS  # a shorter year has shorter absences
    parts = ((0.08, 0.12), (0.22, 0.28), (0.38, 0.42), (0.76, 0.80))
    return [
        (random.uniform(*part) * window, random.uniform(*days) * share)
        for part, days in zip(parts, AWAY_DAYS, strict=True)
    ]


def run_year(seed: int, days: float = YEAR_DAYS, say: Callable[[str], None] = print) -> Report:
    """Run it, saying every month how it stands."""
    site = Site(draw_year(seed, days))
    for line in _describe(site):
        say(line)
    month = MONTH_SECONDS * days / YEAR_DAYS
    for number in range(1, 13):
        site.loop.after(number * month, lambda n=number: say(_progress(site, n)))  # type: ignore[misc]
    began = time.process_time()
    report = site.run()
    away = sum(seconds for _, seconds in site.scenario.absences) / DAY_SECONDS
    for violation in report.violations:
        say(violation)
    for line in report.trace[-TRACE_LINES:] if report.violations else ():
        say(line[:200])
    say("seen: " + ", ".join(f"{what} {report.seen[what]}" for what in SHOWN))
    ticks = report.seen["tick-taken"]
    say(
        f"seed {seed}: {report.simulated_seconds / DAY_SECONDS:.1f} days, {ticks} ticks, "
        f"{report.ticks} snapshots, {report.commits} commits, {len(report.faults)} faults, "
        f"{away:.0f} days without beta; {time.process_time() - began:.0f} s of CPU, "
        f"{_memory()} MiB; {len(report.violations)} violations"
    )
    return report


def _describe(site: Site) -> list[str]:
    policy = site.orders[0].policy
    lines = [f"seed {site.seed}: datasets {', '.join(site.orders[0].made)}; {policy.limits}"]
    lines += [f"  {node} keeps {keep}" for node, keep in policy.keep.items()]
    for begins, seconds in site.scenario.absences:
        first, days = begins / DAY_SECONDS, seconds / DAY_SECONDS
        lines.append(f"  beta is away for {days:.1f} days from day {first:.1f}")
    return lines


def _progress(site: Site, month: int) -> str:
    kept = ", ".join(
        f"{node.node.name} keeps {'/'.join(str(len(own_versions(d))) for d in datasets)}"
        for node in site.nodes
        for datasets in [[d for d in node.pools.pools[node.pool].datasets.values() if d.snapshots]]
    )
    lineages, arrived = site.truth.lineages.values(), site.truth.arrived.values()
    return (
        f"month {month:2}: {sum(len(each.guids) for each in lineages)} snapshots, "
        f"{sum(map(len, arrived))} commits, {kept}; {time.process_time():.0f} s of CPU, "
        f"{_memory()} MiB"
    )


def _memory() -> int:
    """The most that this process ever had, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
