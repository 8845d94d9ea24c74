"""How long is nobody there, when beta takes over from alpha? `make bench-failover`, on two nodes.

Thirty datasets, a service and an address. Measured from outside: a program on each node writes into
the group as often as it can (whether it may is what it tries), and a third place, the hub, asks the
address who answers. So the times are what a client would see, not what the product says of itself.
What the product says, the steps in its events with their times, is printed below: where it went.

On the lab's nodes every process costs more than on a real machine, and both share two cores. Where
the host does other things too, their CPU as the host counts it says more than the time.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from .bench_by_hand import move_by_hand
from .bench_failover_say import Measure, Step, render_steps, render_table
from .bench_probe import ANSWERS, start_probe
from .lab import Lab
from .node import Node
from .processes import cpu_seconds
from .roles_site import ADDRESS, RolesSite
from .site import OTHER

DATASETS = 30
TAIL_MEGABYTES = 100
ANSWER_SECONDS, ASK_EVERY = 0.25, 0.03
FOLDER = "/tank/audio"
LOG = "/run/bench-writes"


@dataclass
class Hub:
    """Asks the address all the time who answers."""

    lab: Lab
    heard: list[tuple[float, str]] = field(default_factory=list)
    over: bool = False

    def listen(self) -> None:
        """Until `over`."""
        while not self.over:
            with contextlib.suppress(OSError):
                place = (ADDRESS, ANSWERS)
                caller = self.lab.hub.connect(*place, timeout_seconds=ANSWER_SECONDS)
                with caller:
                    self.heard.append((time.time(), caller.recv(64).decode()))
            time.sleep(ASK_EVERY)

    def first(self, node: str, after: float) -> float | None:
        """When the node answered first."""
        return next((at for at, name in list(self.heard) if name == node and at >= after), None)

    def last(self, node: str, before: float) -> float:
        """When it answered last."""
        return max(at for at, name in list(self.heard) if name == node and at <= before)


class Bench:
    """One site, again and again."""

    def __init__(self, site: RolesSite, hub: Hub) -> None:
        self.site, self.hub, self.lab = site, hub, site.lab
        self.found: dict[str, list[Measure]] = {}

    def note(self, what: str, value: float, unit: str = "s") -> None:
        """One more value."""
        self.found.setdefault(what, []).append(Measure(value, unit))
        print(f"  {what}: {value:.2f} {unit}", flush=True)

    def switch(self, old: str) -> None:
        """A planned one, of an idle group but for the service and the probe."""
        new, site = OTHER[old], self.site
        self.settle(old)
        began, used = time.time(), self.cpu()
        site.zr(old, "switchover", timeout_seconds=180)
        ended, used = time.time(), self.cpu() - used
        first = self.first_write(new, began)
        last = max(at for at in writes(self.lab.nodes[old]) if at < first)
        answered = self.await_answer(new, began)
        self.note("switchover: nobody can write", first - last)
        self.note("switchover: command → the other node writes", first - began)
        self.note("switchover: command → its address answers", answered - began)
        self.note("switchover: nobody answers", answered - self.hub.last(old, answered))
        self.note("switchover: the command", ended - began)
        self.note("switchover: CPU of both nodes meanwhile", used)
        self.tell_steps(f"switchover, {old} to {new}", began)

    def lose(self) -> None:
        """Alpha dies with a tail; beta is promoted; alpha returns."""
        lab, site = self.lab, self.site
        self.settle("alpha")
        lab.cut()
        size = f"bs=1M count={TAIL_MEGABYTES}"
        lab.alpha.sh(f"dd if=/dev/urandom of={FOLDER}/d05/tail {size} status=none; zpool sync")
        lab.alpha.crash()
        lab.heal()
        time.sleep(15)  # a person would take longer
        said = site.zr("beta", "promote", check=False)
        words = re.search(r"zr (promote station --on beta .*)", said.text)
        assert words, said.text
        began, used = time.time(), self.cpu()
        site.zr("beta", *words[1].split(), timeout_seconds=180)
        ended, used = time.time(), self.cpu() - used
        self.note("promotion: command → writable", self.first_write("beta", began) - began)
        self.note("promotion: command → address answers", self.await_answer("beta", began) - began)
        self.note("promotion: the command", ended - began)
        self.note("promotion: CPU of the node meanwhile", used)
        self.tell_steps("promotion", began)
        self.rejoin()

    def rejoin(self) -> None:
        """From alpha's power-on to a standby that has everything, its tail shipped."""
        lab, site = self.lab, self.site
        began = time.time()
        lab.alpha.boot()
        booted = time.time()
        follows = lambda: site.states() == ("standby", "primary")  # noqa: E731
        site.wait(follows, "alpha follows again", 300)
        self.note("rejoin: power on → up", booted - began)
        self.note("rejoin: up → follows again", time.time() - booted)
        site.wait(self.is_shipped, "the rescue is on beta", 300)
        self.note("rejoin: up → the tail is on beta too", time.time() - booted)
        sent, received = self.bytes_of(lab.alpha, "tx"), self.bytes_of(lab.alpha, "rx")
        self.note("rejoin: sent by the returning node", sent / 1e6, "MB")
        self.note("rejoin: received by it", received / 1e6, "MB")
        self.tell_steps("rejoin", began)

    def is_shipped(self) -> bool:
        """Every rescue of alpha's is on beta, too."""
        rescues = self.site.role("alpha").get("rescues") or []
        return bool(rescues) and all(rescue["shipped"] for rescue in rescues)

    def settle(self, primary: str) -> None:
        """The other one follows and has everything, for a while."""
        states = {"alpha": ("primary", "standby"), "beta": ("standby", "primary")}[primary]
        fine = lambda: self.site.states() == states  # noqa: E731
        self.site.wait(fine, f"{primary} serves, the other follows", 180)
        self.site.zr(primary, "sync", check=False, timeout_seconds=120)
        time.sleep(5)
        self.site.wait(fine, f"{primary} serves, the other follows", 180)

    def cpu(self) -> float:
        """Seconds of the host's processors that the nodes have used so far."""
        on = [node.machine for node in self.lab.nodes.values() if node.is_running()]
        return sum(cpu_seconds(machine.processes()) for machine in on)

    def first_write(self, node: str, after: float) -> float:
        """The first after a moment."""
        found: list[float] = []

        def look() -> bool:
            found[:] = [at for at in writes(self.lab.nodes[node]) if at > after]
            return bool(found)

        self.site.wait(look, f"{node} can be written to", 60)
        return found[0]

    def await_answer(self, node: str, after: float) -> float:
        """When the address is answered by it."""
        self.site.wait(lambda: self.hub.first(node, after) is not None, "an answer", 60)
        return self.hub.first(node, after) or 0.0

    def bytes_of(self, node: Node, way: str) -> int:
        """Of its network, since it was started."""
        return int(node.sh(f"cat /sys/class/net/vec0/statistics/{way}_bytes").text)

    def tell_steps(self, what: str, began: float) -> None:
        """Print what both nodes' events say of it."""
        steps = []
        for node in [node for node in self.lab.nodes.values() if node.is_running()]:
            said = node.run(["zr", "events", "--json", "--lines", "400"], check=False)
            for line in said.stdout.decode().splitlines():
                event = json.loads(line)
                at = datetime.fromisoformat(event["at"]).timestamp()
                if event["event"].startswith(("role-", "rescue-")) and at >= began - 0.5:
                    steps.append(Step(at - began, node.name, event))
        print(render_steps(what, sorted(steps, key=lambda step: step.at)), flush=True)


def writes(node: Node, log: str = LOG) -> list[float]:
    """When the probe could write there, as the host's clock says."""
    lines = node.sh(f"cat {log} 2>/dev/null || true").text.split()
    before = time.time()
    apart = node.now() - (before + time.time()) / 2
    return [float(line) - apart for line in lines]


def set_up(lab: Lab) -> RolesSite:
    """Thirty datasets, and the probes."""
    children = "\n".join(
        f"zfs create tank/audio/d{n:02}; echo {n} >{FOLDER}/d{n:02}/file"
        for n in range(1, DATASETS)
    )
    site = RolesSite(lab)
    tree = f"zfs create tank/audio\necho first >{FOLDER}/interview.wav\n{children}"
    site.set_up(tree, every="5s")
    site.begin()
    for node in lab.nodes.values():
        start_probe(node, "bench-probe", FOLDER, LOG, answers=True)
    return site


def main(rounds: int) -> None:
    """Print the table."""
    with Lab.up(name="benchfailover", init="systemd") as lab:
        hands = [move_by_hand(lab, DATASETS, writes) for _ in range(rounds)]
        site, hub = set_up(lab), Hub(lab)
        listener = threading.Thread(target=hub.listen, daemon=True)
        listener.start()
        bench = Bench(site, hub)
        for still, whole in hands:
            bench.note("by hand: nobody can write", still)
            bench.note("by hand: the commands", whole)
        try:
            for number in range(rounds):
                load = os.getloadavg()[0]
                print(f"round {number + 1} of {rounds}; the host's load is {load:.1f}", flush=True)
                for act in _acts(bench):
                    act()
        finally:  # also of a run that was interrupted
            hub.over = True
            listener.join()
            print(render_table(bench.found, statistics.median), flush=True)


def _acts(bench: Bench) -> Sequence[Callable[[], None]]:
    """One round; at its end alpha serves again."""
    return (
        lambda: bench.switch("alpha"),
        lambda: bench.switch("beta"),
        bench.lose,
        lambda: bench.settle("beta"),
        lambda: bench.switch("beta"),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
