"""A crash before, within and after every effect of a few minutes, on each side: a first copy,
increments, retention, a property that a person sets, `zr sync` with its receipt, and a replica that
a person destroys and that comes again.

The seeds draw their crashes; here every single one is gone through, with no other fault.
"""

from dataclasses import replace
from random import Random

import pytest

from tests.simulation.operator import Operator
from tests.simulation.people import People
from tests.simulation.scenario import Scenario, draw_scenario
from tests.simulation.site import Report, Site
from zrepl_py.engine.commands import Command
from zrepl_py.model.policy import Keep

SECONDS = 370.0
LINES, VALUES = 0, 1
"""Seeds whose journals keep lines, which power tears, or values, which it leaves or not."""
CHANGES = {
    "alpha": {"append", "bookmark", "destroy_bookmarks", "destroy_snapshots", "hold", "release"},
    "beta": {"append", "destroy_snapshots", "hold", "receive", "release", "set_user_properties"},
}
"""What changes something on a node; each must be among what is gone through."""


def _scenario(seed: int) -> Scenario:
    drawn = draw_scenario(seed, frozenset({"replica-destroyed"}))
    order = drawn.orders[0]
    keep = {"alpha": Keep(2), "beta": Keep(2)}
    policy = replace(order.policy, every_seconds=60, targets=("beta",), keep=keep)
    return replace(
        drawn,
        window_seconds=SECONDS,
        cadence_seconds=60,
        latency_seconds=0.02,
        targets=("beta",),
        orders=(replace(order, policy=policy, made=("tank/data",)),),
        nights=False,
        bandwidth=1e9,
        encrypted=False,
        pauses=(1e6,),
        fault_seconds=1e12,  # none by dice
    )


class Story:
    """The same few minutes each time."""

    def __init__(self, seed: int, *, whole_trace: bool = False) -> None:
        self.site = Site(_scenario(seed), whole_trace=whole_trace)
        for minute in (1, 2, 3, 4, 5, 6, 7, 15, 30, 60):
            self.site.loop.after(60.0 * minute - 5, self._write)
        self.site.loop.after(100, lambda: self.site.faults.set_all("16K"))
        self.site.loop.after(130, lambda: Operator(self.site).deeds["sync"](Random(0)))
        self.site.loop.after(270, lambda: People(self.site).deeds["replica-destroyed"](Random(0)))

    def _write(self) -> None:
        self.site.world.write(self.site.alpha, self.site.alpha.pools.dataset("tank/data"))

    def run(self, node: str = "", effect: int = 0, when: str = "") -> Report:
        """With a crash of `node` at its n-th effect."""
        for victim in self.site.nodes:
            if victim.node.name == node:
                victim.crash_in, victim.crash_as = effect, when
        return self.site.run()

    def commands(self, node: str) -> list[str]:
        """The verbs of what a node did until nothing more can happen to it."""
        return [
            what.verb
            for now, name, _, what, _ in self.site.traced
            if now < SECONDS and name == node and isinstance(what, Command)
        ]


@pytest.mark.parametrize("node", ["alpha", "beta"])
@pytest.mark.parametrize(
    ("when", "seed"), [("before", VALUES), ("within", LINES), ("within", VALUES), ("after", VALUES)]
)
def test_every_effect(node: str, when: str, seed: int) -> None:
    undisturbed = Story(seed, whole_trace=True)
    report = undisturbed.run()
    assert report.ok
    assert report.seen["sync done"]
    commands = undisturbed.commands(node)
    assert CHANGES[node] <= set(commands)
    assert commands.count("set_user_properties") == {"alpha": 0, "beta": 3}[node]
    assert commands.count("receive") == {"alpha": 0, "beta": 8}[node]
    crashed = halves = 0
    for effect in range(1, len(commands) + 1):
        report = Story(seed).run(node, effect, when)
        assert report.ok, (effect, report.violations)
        crashed += report.seen["crash"]
        halves += report.seen["half received when power went"]
    assert crashed == len(commands)
    assert halves if (node, when) == ("beta", "within") else not halves
