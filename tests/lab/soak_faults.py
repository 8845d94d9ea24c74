"""Carries a cycle's faults out in time, and makes everything whole again afterwards.

Nothing here does what a person would have to do: cables go back in, machines boot, and what systemd
would start again is started again.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from zrepl_py.errors import Passing

from .errors import LabError
from .soak_plan import FAR_SECONDS, Cycle, Fault
from .soak_world import World, descendants

Action = Callable[[], None]


@dataclass
class Faults:
    """Performs faults on a world, and counts them."""

    world: World
    counts: Counter[str] = field(default_factory=Counter)
    down: set[str] = field(default_factory=set)
    """Nodes whose daemon is not running, because of us."""
    muted: set[str] = field(default_factory=set)

    def run(self, cycle: Cycle) -> None:
        """From the first fault to the end of the window. Everything may still be broken then."""
        steps: list[tuple[float, int, Action]] = []
        for fault in cycle.faults:
            steps.append((fault.at, len(steps), lambda fault=fault: self._begin(fault)))  # type: ignore[misc]
            if fault.seconds:
                end = fault.at + fault.seconds
                steps.append((end, len(steps), lambda fault=fault: self._end(fault)))  # type: ignore[misc]
        began = time.monotonic()
        for at, _, action in sorted(steps, key=lambda step: step[:2]):
            time.sleep(max(0.0, began + at - time.monotonic()))
            action()
        time.sleep(max(0.0, began + cycle.window_seconds - time.monotonic()))

    def heal(self) -> None:
        """The network is good, both nodes run, both daemons run."""
        lab = self.world.lab
        for node in lab.nodes.values():
            if node.is_running():
                node.thaw()
            else:
                self.world.boot(node.name)
        lab.heal()
        for name in self.muted:
            lab.nodes[name].sh("tc qdisc del dev vec0 root", check=False)
        self.muted.clear()
        for name in sorted(self.down):
            self._start(name)

    def _begin(self, fault: Fault) -> None:
        lab, name = self.world.lab, fault.node
        self.counts[fault.kind] += 1
        match fault.kind:
            case "cut":
                lab.cut()
            case "cable":
                lab.cut(name)
            case "mute":
                lab.nodes[name].sh("tc qdisc replace dev vec0 root netem loss 100%")
                self.muted.add(name)
            case "degrade":
                self._degrade(fault.detail)
            case "kill-daemon":
                self._kill_daemon(name, alone=fault.detail == "alone")
            case "kill-worker":
                self._kill_below(name, fault.detail)
            case "kill-warden":
                self._kill_below(name, "warden")
                self.down.add(name)
            case "crash":
                self._collect(name)
                lab.nodes[name].crash()
                self.down.add(name)
            case "freeze":
                self._freeze(name)
            case "clock":
                self._step_clock(name, fault.amount)

    def _end(self, fault: Fault) -> None:
        lab, name = self.world.lab, fault.node
        match fault.kind:
            case "cut" | "cable":
                lab.network.connect_nodes(cut=False, unplugged=set())
            case "kill-daemon":
                self._start(name)
            case "kill-warden":
                self._restart_ended(name)
            case "crash":
                self.world.boot(name)
                self._start(name)
            case "freeze":
                lab.nodes[name].thaw()

    def _freeze(self, name: str) -> None:
        """The kernel is stopped first; a helper of it that ends at that moment is looked for in
        vain, and the rest is then stopped by another look."""
        for _ in range(10):
            with contextlib.suppress(ProcessLookupError):
                self.world.lab.nodes[name].freeze()
                return
        raise LabError(f"{name} cannot be frozen: its processes come and go")

    def _degrade(self, detail: str) -> None:
        delay, loss, *rate = detail.split()
        milliseconds = float(delay.removesuffix("ms"))
        percent = float(loss.removesuffix("%"))
        self.world.lab.degrade(
            delay_ms=milliseconds, loss_percent=percent, rate=rate[0] if rate else ""
        )

    def _kill_daemon(self, name: str, *, alone: bool) -> None:
        node, process = self.world.lab.nodes[name], self.world.site.daemons[name]
        victims = [process.pid] if alone else sorted(descendants(node, process.pid))
        # A child of it (`zfs list`) may have ended since: the others are killed all the same.
        node.run(["kill", "-9", *map(str, victims)], check=False)
        self.down.add(name)
        self._collect(name)

    def _kill_below(self, name: str, kind: str) -> None:
        """A worker of a kind, or the warden that keeps them."""
        node, process = self.world.lab.nodes[name], self.world.site.daemons[name]
        for pid, argv in sorted(descendants(node, process.pid).items()):
            if argv[1:4] == ["-m", "zrepl_py.daemon.worker", kind]:
                node.run(["kill", "-9", str(pid)], check=False)  # it may be ending by itself
                return
        self.counts["kill-worker"] -= 1  # an earlier one is still being started again

    def _restart_ended(self, name: str) -> None:
        """A daemon started by hand cannot do without its warden: it says so, by ending."""
        code = self.world.site.daemons[name].wait(timeout_seconds=40)
        self._collect(name)
        if code != Passing.exit_code:
            raise LabError(f"{name}'s daemon lost its warden and ended with {code}")
        self._start(name)

    def _step_clock(self, name: str, seconds: float) -> None:
        offset = self.world.lab.state.clock_offset_seconds(name)
        if abs(offset) > FAR_SECONDS:
            seconds = -offset  # back from the far future, in one step
        self.world.lab.nodes[name].step_clock(seconds)

    def _collect(self, name: str) -> None:
        with contextlib.suppress(LabError):
            self.world.listen(name)

    def _start(self, name: str) -> None:
        self.world.start_daemon(name)
        self.down.discard(name)
