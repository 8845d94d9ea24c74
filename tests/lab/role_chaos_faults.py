"""Strikes at the steps that were drawn, and makes everything whole again afterwards."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from .errors import LabError
from .role_chaos_plan import Trouble
from .role_chaos_site import ChaosSite
from .site import POOLS

ARMED_SECONDS = 0.8
"""Until whoever waits for a step does."""
WAIT_SECONDS = 25.0
"""For a step that may not come."""
RETURN_SECONDS = 60.0
"""The same, of a node that boots first, or waits for one."""
UP_SECONDS = 60.0


@dataclass
class Faults:
    """Of one run; counts what it did, and which step of which node it hit."""

    site: ChaosSite
    counts: Counter[str] = field(default_factory=Counter)
    hits: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _threads: list[threading.Thread] = field(default_factory=list)
    _life: threading.Lock = field(default_factory=threading.Lock)
    booting: bool = False
    said: list[str] = field(default_factory=list)
    """What happened in this cycle."""

    def arm(
        self, troubles: tuple[Trouble, ...], sides: dict[str, str], *, booting: bool = False
    ) -> None:
        """From now on; returns when they wait. `booting`: what is waited for comes after a boot."""
        self.booting = booting
        since = time.time()
        for trouble in troubles:
            work = threading.Thread(target=self._strike, args=(trouble, sides, since), daemon=True)
            self._threads.append(work)
            work.start()
        time.sleep(ARMED_SECONDS)

    def heal(self) -> None:
        """After the last trouble: both nodes run, the link is good."""
        for thread in self._threads:
            thread.join(2 * UP_SECONDS + RETURN_SECONDS + 60)
            if thread.is_alive():
                raise LabError("a trouble did not end")
        self._threads.clear()
        for name in self.site.lab.nodes:
            with self._life:
                if self.site.lab.nodes[name].is_running():
                    self.site.lab.nodes[name].thaw()
            self.boot(name)
        self.mend_link()

    # What can be done to a node; each from any thread.

    def boot(self, name: str) -> None:
        """Where it is off."""
        with self._life:
            if not self.site.lab.nodes[name].is_running():
                self.site.lab.nodes[name].boot()

    def crash(self, name: str) -> None:
        """Its power fails."""
        with self._life:
            if self.site.lab.nodes[name].is_running():
                self.counts["crash"] += 1
                self.site.lab.nodes[name].crash()

    def freeze(self, name: str) -> None:
        """See Node.freeze; its helpers come and go."""
        with self._life:
            if self.site.lab.nodes[name].is_running():
                self.counts["freeze"] += 1
                for _ in range(10):
                    with contextlib.suppress(ProcessLookupError):
                        self.site.lab.nodes[name].freeze()
                        return

    def thaw(self, name: str) -> None:
        """Also where it was not frozen."""
        with self._life:
            if self.site.lab.nodes[name].is_running():
                self.site.lab.nodes[name].thaw()

    def cut(self) -> None:
        """The two lose each other."""
        self.counts["cut"] += 1
        self.site.lab.cut()

    def mend_link(self) -> None:
        """They see each other again."""
        self.site.lab.network.connect_nodes(cut=False, unplugged=set())

    # A trouble.

    def _strike(self, trouble: Trouble, sides: dict[str, str], since: float) -> None:
        target = sides.get(trouble.side, "")
        unit = ""
        if trouble.kind == "kill-daemon":
            unit = "zr"
        elif trouble.kind == "kill-worker":
            unit = f"zr-{trouble.worker}@{POOLS[target]}"
        watched = sides[trouble.watched]
        here = unit if target == watched else ""
        said = self._wait_for_step(trouble, watched, since, here)
        if hit := said.get("hit"):
            self.hits[watched][_head(hit["step"])] += 1
            where = f"{trouble.kind} {target}: at {hit['state']}/{hit['step']} of {watched}"
        else:
            where = f"{trouble.kind} {target}: at no step"
        self.said.append(where)
        try:
            self._perform(trouble, target, unit, done="killed" in said and bool(here))
        except (LabError, OSError) as error:
            self.said.append(f"{trouble.kind} {target} was not possible: {str(error)[:100]}")

    def _wait_for_step(
        self, trouble: Trouble, watched: str, since: float, unit: str
    ) -> dict[str, Any]:
        seconds = RETURN_SECONDS if self.booting else WAIT_SECONDS
        order = {
            "since": since,
            "seconds": seconds,
            "step": trouble.step,
            "count": trouble.count,
            "phase": "after" if trouble.after else "in",
            "delay": trouble.delay_seconds,
            "unit": unit,
        }
        deadline = time.monotonic() + UP_SECONDS
        while time.monotonic() < deadline:
            try:
                return dict(self.site.guest(watched, "watch", order, seconds + 10))
            except (LabError, OSError, ValueError):
                time.sleep(0.3)  # it has no power now
        return {}

    def _perform(self, trouble: Trouble, target: str, unit: str, *, done: bool) -> None:
        match trouble.kind:
            case "kill-daemon" | "kill-worker":
                self.counts["kill"] += 1
                if not done:
                    argv = ["systemctl", "kill", "--kill-whom=main", "-s", "KILL", unit]
                    self.site.lab.nodes[target].run(argv, check=False, timeout_seconds=10)
            case "crash":
                self.crash(target)
                time.sleep(trouble.seconds)
                self.boot(target)
            case "freeze":
                self.freeze(target)
                time.sleep(trouble.seconds)
                self.thaw(target)
            case "cut":
                self.cut()
                time.sleep(trouble.seconds)
                self.mend_link()
            case "boot":
                self.boot(target)


def _head(step: str) -> str:
    return step.partition(" ")[0].rstrip(":")
