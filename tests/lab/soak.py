"""`python -m tests.lab.soak --cycles N`: random writes, random trouble, then all is compared.

Each cycle: alpha writes while the daemons run and things break; everything is healed; both nodes
must converge by themselves; then holds, bookmarks, partial receives, acknowledged snapshots and the
contents of all new common snapshots are checked. A given --seed repeats the choices.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import Lab
from .command import Process
from .errors import LabError
from .site import Site
from .soak_checks import (
    CONVERGE_SECONDS,
    TIDY_SECONDS,
    Short,
    find_behind,
    find_leaks,
    find_missing,
    find_silent,
    find_taken,
    find_too_many,
    wait_until,
)
from .soak_compare import Comparer
from .soak_faults import Faults
from .soak_mutants import MUTANTS
from .soak_plan import Cycle, draw_cycle, draw_power_loss
from .soak_world import World

LOGS = Path("/tmp/zr-soak")
TAIL_CHARACTERS = 6000
PRUNE_SECONDS = 65.0
"""Both daemons prune once a minute: in a quiet one, both have pruned all they should."""


@dataclass
class Soak:
    """A run, and what it found."""

    world: World
    faults: Faults
    comparer: Comparer
    short: Short = field(default_factory=lambda: Short("", ""))
    leaks: int = 0
    missing: int = 0
    failures: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """From empty pools to two daemons."""
        self.world.prepare()
        self.comparer.check_decoder()
        for name in ("alpha", "beta"):
            self.world.start_daemon(name)
        uuids = {n: self.world.site.status(n)["uuid"] for n in ("alpha", "beta")}
        self.short = Short(uuids["alpha"][:8], uuids["beta"][:8])

    def run_cycle(self, cycle: Cycle) -> str:
        """One cycle; returns what to say of it."""
        began = time.monotonic()
        if cycle.alien:
            self.world.take_alien(*cycle.alien, cycle.number)
        writing = self.world.begin_writes(cycle.writes, cycle.window_seconds * 0.7)
        self.faults.run(cycle)
        self.faults.heal()
        self._end_writes(cycle, writing)
        healed = time.monotonic()
        self.world.lab.alpha.run(["zpool", "sync", "tank"])
        behind = wait_until(self._behind, CONVERGE_SECONDS)
        self._expect_none("needs a person", behind)
        converged = time.monotonic()
        if behind:
            return f"did not converge in {CONVERGE_SECONDS:.0f} s; {_render(cycle)}"
        count = self.check()
        compared = time.monotonic()
        times = (
            f"{healed - began:.1f} + {converged - healed:.1f} + {compared - converged:.1f} s",
            f"{count} compared",
        )
        return f"{'; '.join(times)}; {_render(cycle)}"

    def _behind(self) -> list[str]:
        self.world.listen()
        return find_behind(self.world)

    def _end_writes(self, cycle: Cycle, writing: Process | None) -> None:
        if writing is None or any((f.kind, f.node) == ("crash", "alpha") for f in cycle.faults):
            return
        code = writing.wait(timeout_seconds=60)
        if code != 0:
            raise LabError(f"the writer failed:\n{writing.output().decode(errors='replace')}")

    def check(self, *, again: bool = False) -> int:
        """All checks; returns how many snapshots were compared."""
        leaks = wait_until(lambda: find_leaks(self.world, self.short), TIDY_SECONDS)
        self.leaks += len(leaks)
        self._expect_none("leak", leaks)
        known = len(self.comparer.differences)
        count = self.comparer.compare_new(again=again)
        self._expect_none("differs", self.comparer.differences[known:])
        self.world.listen()
        missing = find_missing(self.world)
        self.missing += len(missing)
        self._expect_none("missing", missing + find_taken(self.world))
        self._expect_none("silent", find_silent(self.world))
        return count

    def _expect_none(self, what: str, found: list[str]) -> None:
        self.failures += [f"{what}: {sentence}" for sentence in found]

    def last_line(self, cycles: int) -> str:
        """The summary."""
        counts = self.faults.counts
        kills = sum(counts[f"kill-{who}"] for who in ("daemon", "worker", "warden"))
        cuts = counts["cut"] + counts["cable"] + counts["mute"]
        differences = len(self.comparer.differences) + self.missing
        return (
            f"soak: {cycles} cycles, {counts['crash']} crashes, {kills} kills, {cuts} cuts, "
            f"{self.comparer.size_bytes} bytes compared, {differences} differences, "
            f"{self.leaks} leaks"
        )


def _render(cycle: Cycle) -> str:
    writes = cycle.writes
    what = f"{writes.operations} writes in {len(writes.places)}" if writes.places else "no writes"
    alien = [f"by hand on {cycle.alien[0]}"] if cycle.alien else []
    return f"{what}{' +long' * len(writes.big)}; {', '.join([*map(str, cycle.faults), *alien])}"


KERNEL = """
for task in /proc/[0-9]*/task/[0-9]*; do
    state=$(sed -n 's/^State:[[:space:]]*//p' $task/status 2>/dev/null)
    case "$state" in D*|Z*) echo "$task $(cat $task/comm) $state"; cat $task/stack;; esac
done
echo w >/proc/sysrq-trigger; dmesg | tail -n 150
"""
"""What hangs in the kernel, and what the kernel says of it."""


def report(soak: Soak, failures: list[str]) -> None:
    """Both logs' ends, where they are whole, and what hangs in the kernels."""
    for node in soak.world.lab.nodes.values():
        with contextlib.suppress(LabError, OSError):
            said = node.sh(KERNEL, check=False)
            (soak.world.log_folder / f"{node.name}.kernel").write_bytes(said.stdout + said.stderr)
    for name in ("alpha", "beta"):
        try:
            soak.world.listen(name)
        except LabError as error:
            print(f"(the log of {name} cannot be read further: {error})")
        print(f"--- {name}: {soak.world.log_folder / name}.log ends so:")
        print(soak.world.said[name][-TAIL_CHARACTERS:])
    print("--- found:")
    for sentence in failures:
        print(f"  {sentence}")
    sys.stdout.flush()


def run(options: argparse.Namespace, seed: str) -> int:
    """The whole soak; returns the exit code."""
    folder = LOGS / f"{options.name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.log"):
        old.unlink()
    done = 0
    with Lab.up(name=options.name) as lab:
        world = World(lab, Site(lab), folder, options.mutant)
        soak = Soak(world, Faults(world), Comparer(world))
        try:
            soak.begin()
            for number in range(options.first, options.first + options.cycles):
                known = len(soak.failures)
                born = world.bear(number)
                draw = draw_power_loss if options.power_loss else draw_cycle
                cycle = draw(seed, number, [pair.volume for pair in world.pairs], born)
                began = time.monotonic()
                try:
                    said = soak.run_cycle(cycle)
                except (LabError, OSError) as error:
                    soak.failures.append(f"cycle {number}: {error!r}")
                    said = f"failed; {_render(cycle)}"
                done += 1
                seconds = time.monotonic() - began
                print(f"cycle {number}: {seconds:.1f} s = {said}", flush=True)
                if found := soak.failures[known:]:
                    report(soak, found)
                    if not options.keep_going:
                        break
            if not soak.failures or options.keep_going:
                finish(soak)
        except LabError as error:
            soak.failures.append(str(error))
            report(soak, soak.failures[-1:])
    print(soak.last_line(done))
    return 1 if soak.failures or soak.leaks else 0


def finish(soak: Soak) -> None:
    """Retention has its turn, all common snapshots are compared once more, both daemons end."""
    known = len(soak.failures)
    time.sleep(PRUNE_SECONDS)
    soak.failures += find_too_many(soak.world)
    count = soak.check(again=True)
    print(f"at the end: all {count} common snapshots compared again", flush=True)
    for name in ("alpha", "beta"):
        soak.world.site.stop(name)
        code = soak.world.site.daemons[name].poll()
        if code != 0:
            soak.failures.append(f"{name}'s daemon ended with {code} when it was asked to")
    if found := soak.failures[known:]:
        report(soak, found)


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.soak", description=__doc__)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--seed", default=None, help="repeat the choices of an earlier run")
    parser.add_argument("--first", type=int, default=1, help="number of the first cycle")
    parser.add_argument(
        "--power-loss", action="store_true", help="nothing but power failures, one a cycle"
    )
    parser.add_argument("--keep-going", action="store_true", help="go on after a failure")
    parser.add_argument("--name", default="soak", help="the lab's name")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), default="", help="must be noticed")
    options = parser.parse_args()
    seed = options.seed or f"{random.SystemRandom().randrange(16**8):08x}"
    print(f"soak: seed {seed}, {options.cycles} cycles, logs in {LOGS}", flush=True)
    return run(options, seed)


if __name__ == "__main__":
    sys.exit(main())
