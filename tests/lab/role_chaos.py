"""`python -m tests.lab.role_chaos --cycles N`: roles change, trouble strikes at the steps.

Each cycle: one of switchover, forced promotion, return of the old primary; during it one or two
troubles, each at a step that was drawn; then everything is healed, and must come to rest by itself.
A given --seed repeats the choices.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from . import Lab
from .errors import LabError
from .role_chaos_checks import Checks
from .role_chaos_faults import Faults
from .role_chaos_person import Person
from .role_chaos_plan import NEW, OLD, Cycle, draw_cycle
from .role_chaos_site import ChaosSite
from .roles_site import GROUP
from .site import OTHER

LOGS = Path("/tmp/zr-role-chaos")
REST_SECONDS = 180.0
KEPT_RESCUES = 3
STATE = """
date -u +%FT%T.%N; zr status || true; zr rescue list || true; zr events --lines 150 || true
zfs list -rt all -o name,guid,readonly,mounted,canmount,written,userrefs,origin || true
mount -t zfs || true; tail -n 200 /var/lib/zr/role-steps || true
grep -h '"role"' /var/lib/zr/journal/journal-*.jsonl | tail -n 20 || true
journalctl -u zr -u 'zr-*' -n 400 --no-pager -o short-precise || true
dmesg | tail -n 50
"""


@dataclass
class Chaos:
    """A run, and what it found."""

    site: ChaosSite
    faults: Faults
    checks: Checks
    person: Person
    seen: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    times: list[float] = field(default_factory=list)
    """Seconds of the newest cycle: trouble, coming to rest, checks."""

    @classmethod
    def begin(cls, lab: Lab, before: Chaos | None = None) -> Chaos:
        """From empty pools to a primary and a standby; counts go on."""
        site = ChaosSite(lab)
        site.prepare()
        faults, checks = Faults(site), Checks(site)
        checks.begin()
        chaos = cls(site, faults, checks, Person(site, faults))
        if before is not None:
            faults.counts, faults.hits = before.faults.counts, before.faults.hits
            checks.size_bytes, checks.counts = before.checks.size_bytes, before.checks.counts
            chaos.seen = before.seen
        return chaos

    def run_cycle(self, cycle: Cycle) -> list[str]:
        """One cycle; the faults it showed."""
        self.times = []
        self.faults.said.clear()
        self.person.said.clear()
        self.person.took_receipts_aside = False
        began = time.time()
        old = self.site.primary()
        sides = {OLD: old, NEW: OTHER[old]}
        self._perform(cycle, sides)
        self.faults.heal()
        healed = time.time()
        restless = self._settle(cycle)
        rested = time.time()
        self.times = [healed - began, rested - healed]
        for name in self.site.lab.nodes:
            self.seen[name] |= set(self.site.steps(name, began))
        if restless:
            return [f"did not come to rest in {REST_SECONDS:.0f} s: {why}" for why in restless]
        if self.person.took_receipts_aside:
            self.faults.said.append("a person has accepted receipts in a rescue")
            self.checks.noted_aside |= self.site.noted("receipted")
        faults = self.checks.all(lied=cycle.lies)
        self._drop_rescues()
        self.times.append(time.time() - rested)
        return faults

    def _perform(self, cycle: Cycle, sides: dict[str, str]) -> None:
        old, new = sides[OLD], sides[NEW]
        if cycle.story == "switchover":
            self.faults.arm(cycle.troubles, sides)
            # It is not waited for: the machine on which it was typed may fail.
            with contextlib.suppress(LabError, OSError):
                self.site.lab.nodes[old].start(["zr", "switchover", GROUP, "--timeout", "60"])
            return
        self._die(cycle, old)
        if cycle.story == "promotion":
            self.faults.arm(cycle.troubles, sides)
        self.person.promote(new, old, lies=cycle.lies)
        if cycle.story == "return":
            self.faults.arm(cycle.troubles, sides, booting=True)
        if cycle.lies:
            self.faults.mend_link()
        self.faults.boot(old)

    def _die(self, cycle: Cycle, old: str) -> None:
        match cycle.death:
            case "crash":
                self.faults.crash(old)
            case "freeze":
                self.faults.freeze(old)
            case "cut":
                self.faults.cut()
        time.sleep(cycle.wait_seconds)
        if not cycle.lies:  # what is said to be fenced, is
            self.faults.crash(old)
            self.faults.mend_link()

    def _settle(self, cycle: Cycle) -> list[str]:
        """Why it has not come to rest; rest counts when it lasts for two looks."""
        deadline, before = time.monotonic() + REST_SECONDS, ["not looked yet"]
        while True:
            restless = self.site.find_restless()
            if not restless and not before:
                return []
            if time.monotonic() > deadline:
                return restless or before
            before = restless
            if any("split" in why for why in restless):
                self.person.help_out(cycle.keep)
            time.sleep(0.5)

    def _drop_rescues(self) -> None:
        """A person has what he needs of the oldest ones; their names were read before."""
        for name in self.site.lab.nodes:
            labels = [rescue["label"] for rescue in self.site.rescues(name)]
            for label in labels[:-KEPT_RESCUES]:
                self.person.type(name, f"rescue drop {label} --yes")

    def last_line(self, cycles: int, faults: int) -> str:
        """The summary."""
        counts, hits = self.faults.counts, self.faults.hits
        steps = ", ".join(
            f"{name} {len(hits[name])} of {len(self.seen[name] | set(hits[name]))}"
            for name in self.site.lab.nodes
        )
        return (
            f"role-chaos: {cycles} cycles, {counts['kill']} kills, {counts['crash']} crashes, "
            f"{counts['cut']} cuts, {counts['freeze']} freezes, kinds of steps hit: {steps} "
            f"({sum(sum(c.values()) for c in hits.values())} hits), "
            f"{self.checks.counts['fsynced']} files fsynced, "
            f"{self.checks.counts['receipted']} with a receipt, "
            f"{self.checks.size_bytes} bytes compared, {faults} faults"
        )


def report(chaos: Chaos, folder: Path, cycle: Cycle, found: list[str]) -> None:
    """What is needed to find the cause."""
    with contextlib.suppress(LabError, OSError):
        chaos.faults.heal()
    for node in chaos.site.lab.nodes.values():
        with contextlib.suppress(LabError, OSError):
            said = node.sh(STATE, check=False, timeout_seconds=120)
            path = folder / f"cycle-{cycle.number}-{node.name}.txt"
            path.write_bytes(said.stdout + said.stderr)
    for sentence in found:
        print(f"  FAULT {sentence[:600]}", flush=True)
    for sentence in (*chaos.faults.said, *chaos.person.said):
        print(f"  - {sentence}", flush=True)


def run(options: argparse.Namespace, seed: str) -> int:
    """All cycles, on a new lab after each that failed; the exit code."""
    folder = LOGS / f"{options.name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    number, last, total, done = options.first, options.first + options.cycles, 0, 0
    chaos: Chaos | None = None
    with contextlib.suppress(KeyboardInterrupt):  # then what was done so far counts
        while number < last:
            with Lab.up(name=options.name, init="systemd") as lab:
                chaos = Chaos.begin(lab, chaos)
                found: list[str] = []
                while number < last and not found:
                    found = run_one(chaos, draw_cycle(seed, number), folder)
                    number, done, total = number + 1, done + 1, total + len(found)
                chaos.site.end()
            if total and not options.keep_going:
                break
    if chaos is not None:
        print(chaos.last_line(done, total), flush=True)
    return 1 if total else 0


def run_one(chaos: Chaos, cycle: Cycle, folder: Path) -> list[str]:
    """A cycle, told in a line."""
    began = time.monotonic()
    try:
        found = chaos.run_cycle(cycle)
    except (LabError, OSError) as error:
        found = [f"{error!r}"]
    seconds = [f"{part:.0f}" for part in chaos.times or [time.monotonic() - began]]
    said = "; ".join(chaos.faults.said)
    print(f"cycle {cycle.number}: {' + '.join(seconds)} s = {cycle} | {said}", flush=True)
    if found:
        report(chaos, folder, cycle, found)
    return found


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.role_chaos", description=__doc__)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--seed", default=None, help="repeat the choices of an earlier run")
    parser.add_argument("--first", type=int, default=1, help="number of the first cycle")
    parser.add_argument("--keep-going", action="store_true", help="go on after a failure")
    parser.add_argument("--name", default="rolechaos", help="the lab's name")
    options = parser.parse_args()
    seed = options.seed or f"{random.SystemRandom().randrange(16**8):08x}"
    print(f"role-chaos: seed {seed}, {options.cycles} cycles, logs in {LOGS}", flush=True)
    return run(options, seed)


if __name__ == "__main__":
    sys.exit(main())
