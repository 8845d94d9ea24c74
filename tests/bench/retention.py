"""How long does judging take? zr's rules, and beside them the straightforward way, for one plan.

Run by `make bench-retention`. Each measure has a process of its own, so that its memory is its own;
time is CPU time, since cores are shared. Both must keep the same snapshots, or it fails. What bzfs
and sanoid need is measured in the lab (tests/lab/bench_retention.py), where there is a ZFS to list.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from zrepl_py.core.retention import judge, judge_doomed
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import Epoch, TickName, render_tick
from zrepl_py.model.policy import Keep, Limits, Rung

SNAPSHOTS = 100_000
MOST_SECONDS, MOST_MEBIBYTES = 2.0, 300.0
ZONE = "Europe/Berlin"
EPOCH = Epoch(1, "9f3a21cc")
BEGAN = 1_780_000_000
COUNTS = {"hourly": 24, "daily": 14, "weekly": 8, "monthly": 12, "yearly": 5}
KEEP = Keep(60, grid=(Rung(96, 900),), calendar=tuple(COUNTS.items()), timezone=ZONE)
STAMPS = {"hourly": "%Y%m%d%H%z", "daily": "%Y%m%d", "weekly": "%G%V", "monthly": "%Y%m",
          "yearly": "%Y"}  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """What one way needed."""

    name: str
    seconds: float
    again_seconds: float
    mebibytes: float
    kept: frozenset[int]


def make_history(count: int) -> History:
    """A snapshot a minute."""
    return History(tuple(make_snapshot(n) for n in range(1, count + 1)))


def make_snapshot(number: int) -> Snapshot:
    """The one of this minute."""
    at = BEGAN + 60 * number
    return Snapshot(number, number, render_tick(TickName(EPOCH, number, at)), at)


def judge_by_rules(history: History) -> frozenset[int]:
    """zr's own way: all verdicts, with all reasons."""
    return frozenset(v.snapshot.guid for v in judge(history, KEEP, Limits(200_000), {}) if v.keep)


def find_doomed(history: History) -> frozenset[int]:
    """zr's own way, as the daemon asks: only what goes."""
    gone = {v.snapshot.guid for v in judge_doomed(history, KEEP, Limits(200_000), {})}
    return frozenset(s.guid for s in history.snapshots if s.guid not in gone)


def judge_one_by_one(history: History) -> frozenset[int]:
    """The straightforward way: every snapshot's name is parsed, and its hour, day, week, month and
    year are written out, newest first; the first of each is kept until there are enough."""
    zone = ZoneInfo(ZONE)
    kept, seen = set[int](), {name: set[str]() for name in (*COUNTS, "grid")}
    for place, snapshot in enumerate(sorted(history.snapshots, key=lambda s: -s.createtxg)):
        stamp = snapshot.name.rsplit("_", 1)[1]
        at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        local = at.astimezone(zone)
        cells = {name: local.strftime(STAMPS[name]) for name in COUNTS}
        cells["grid"] = str(int(at.timestamp()) // 900)
        if place < 60:
            kept.add(snapshot.guid)
        for name, cell in cells.items():
            if cell not in seen[name] and len(seen[name]) < (COUNTS | {"grid": 96})[name]:
                seen[name].add(cell)
                kept.add(snapshot.guid)
    return frozenset(kept)


WAYS: dict[str, Callable[[History], frozenset[int]]] = {
    "all verdicts": judge_by_rules,
    "what goes": find_doomed,
    "one by one": judge_one_by_one,
}


def measure(name: str, count: int) -> Measure:
    """In a process of its own: once, and once more after one more snapshot."""
    history = make_history(count)
    judging = WAYS[name]
    first, kept = _timed(judging, history)
    longer = History((*history.snapshots, make_snapshot(count + 1)))
    again, _ = _timed(judging, longer)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measure(name, first, again, most, kept)


def _timed(
    judging: Callable[[History], frozenset[int]], history: History
) -> tuple[float, frozenset[int]]:
    start = time.process_time()
    kept = judging(history)
    return time.process_time() - start, kept


def measure_small(rounds: int = 2000) -> float:
    """Milliseconds for the judgement after one receive: forty snapshots, one of them goes."""
    history = make_history(40)
    keep = Keep(39, within_seconds=1800)
    start = time.process_time()
    for _ in range(rounds):
        judge_doomed(history, keep, Limits(), {7: ("held",)})
    return (time.process_time() - start) / rounds * 1000


def main(say: Callable[[str], None] = print) -> int:
    """A table; exit 1 where the promise is not kept or the ways differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.retention")
    parser.add_argument("--snapshots", type=int, default=SNAPSHOTS)
    count = parser.parse_args().snapshots
    context = multiprocessing.get_context("spawn")
    found = []
    for name in WAYS:
        with context.Pool(1) as pool:
            found.append(pool.apply(measure, (name, count)))
    say(f"{count} snapshots, one a minute; keep_last, a grid, five calendars in {ZONE}")
    say(f"{'way':14}{'first':>10}{'again':>10}{'memory':>10}  stay")
    for one in found:
        say(
            f"{one.name:14}{one.seconds:8.2f} s{one.again_seconds:8.2f} s"
            f"{one.mebibytes:6.0f} MiB  {len(one.kept)}"
        )
    say(f"forty snapshots, after a receive: {measure_small():.3f} ms")
    ours = found[0]
    wrong = [one.name for one in found if one.kept != ours.kept]
    if wrong:
        say(f"These keep others than the rules say: {', '.join(wrong)}.")
    slow = ours.seconds > MOST_SECONDS or ours.mebibytes > MOST_MEBIBYTES
    if slow:
        say(f"Promised: {MOST_SECONDS:g} s and {MOST_MEBIBYTES:g} MiB for all verdicts.")
    return 1 if wrong or slow else 0


if __name__ == "__main__":
    sys.exit(main())
