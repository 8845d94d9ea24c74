"""Thousands of new seeds on all cores: `--night 5000`, `--fresh 200`. What did they find?

Every finished seed is a line of a record file (JSON: seed, days, what was violated), so a run that
is interrupted goes on with `--resume FILE`, and what failed is there to be run again. Never stops
at a failure. A seed that breaks the simulator itself counts as a violation.
"""

import json
import multiprocessing
import os
import secrets
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.simulation.scenario import draw_scenario
from tests.simulation.site import Site

RECORDS = Path(os.environ.get("TMPDIR", "/tmp")) / "zr-simulation"
SAY_EVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Seen:
    """What one seed showed, in a line."""

    seed: int
    days: float
    """As it was asked for: --days."""
    simulated_seconds: float
    faults: int
    cpu_seconds: float
    violations: tuple[str, ...] = ()


def watch_seed(job: tuple[int, float]) -> Seen:
    """Run one seed; in a process of the pool."""
    seed, days = job
    began = time.process_time()
    try:
        report = Site(draw_scenario(seed, None, days)).run()
    except Exception:  # noqa: BLE001 - it is reported with its seed, like any violation
        text = "[simulator] " + traceback.format_exc(limit=-8)
        return Seen(seed, days, 0.0, 0, time.process_time() - began, (text,))
    return Seen(
        seed,
        days,
        report.simulated_seconds,
        len(report.faults),
        time.process_time() - began,
        report.violations,
    )


def run_night(
    count: int,
    days: float,
    *,
    jobs: int | None = None,
    resume: Path | None = None,
    say: Callable[[str], None] = print,
    draw: Callable[[], int] = lambda: secrets.randbelow(1 << 40),
) -> int:
    """Run new seeds until `count` are in the record; returns how many failed. `draw`: a seed."""
    record = resume or _new_record()
    seen = list(read_record(record)) if resume else []
    say(f"Record: {record}")
    began = spoke = time.monotonic()
    wanted = [(draw(), days) for _ in range(count - len(seen))]
    cores = jobs or os.cpu_count() or 1
    try:
        with _many(cores) as each, record.open("a") as file:
            for one in each(watch_seed, wanted):
                seen.append(one)
                file.write(json.dumps(asdict(one)) + "\n")
                file.flush()
                if one.violations:
                    say(f"seed {one.seed} (--days {one.days:g}): {one.violations[0]}")
                if time.monotonic() - spoke > SAY_EVERY_SECONDS:
                    spoke = time.monotonic()
                    say(render_total(seen))
    except KeyboardInterrupt:
        say(f"Interrupted; go on with --resume {record}")
    failed = [one for one in seen if one.violations]
    cpu = sum(one.cpu_seconds for one in seen)
    simulated = sum(one.simulated_seconds for one in seen) / 86_400
    say(
        f"{time.monotonic() - began:.0f} s on {cores} cores; {cpu:.0f} s CPU, "
        f"{simulated / max(cpu, 0.001):.2f} simulated days per second of CPU"
    )
    for one in failed:
        say(f"Failed: make sim SEED={one.seed} DAYS={one.days:g}")
    if failed:
        path = record.with_suffix(".failed")
        path.write_text("".join(f"{one.seed} {one.days:g}\n" for one in failed))
        say(f"Failed seeds: {path}")
    say(render_total(seen))
    return len(failed)


@contextmanager
def _many(cores: int) -> Iterator[Callable[..., Iterable[Seen]]]:
    """A map over so many processes; with one core, in this one."""
    if cores == 1:
        yield map
        return
    with multiprocessing.Pool(cores, maxtasksperchild=50) as pool:
        yield pool.imap_unordered


def render_total(seen: list[Seen]) -> str:
    """The last line."""
    return (
        f"{len(seen)} seeds, {sum(one.simulated_seconds for one in seen) / 86_400:.1f} simulated "
        f"days, {sum(one.faults for one in seen)} faults injected, "
        f"{sum(bool(one.violations) for one in seen)} violations"
    )


def read_record(path: Path) -> Iterator[Seen]:
    """The finished seeds of an earlier run; a torn last line is none."""
    for line in path.read_text().splitlines():
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        yield Seen(**{**fields, "violations": tuple(fields["violations"])})


def _new_record() -> Path:
    RECORDS.mkdir(parents=True, exist_ok=True)
    return RECORDS / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.jsonl"
