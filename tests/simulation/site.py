"""The whole simulated site: nodes, links, world, checkers; and the course of one run.

Faults happen for a while; then all of them end, the world writes on, and what is left over is
checked; then nothing is written any more, and what remains is checked again.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.simulation.answers import Answers
from tests.simulation.faults import Faults
from tests.simulation.link import Link
from tests.simulation.loop import Loop
from tests.simulation.node import SimNode
from tests.simulation.role_scenario import RoleScenario
from tests.simulation.scenario import Order, Scenario
from tests.simulation.truth import Truth
from tests.simulation.watch import Watch
from tests.simulation.world import World
from zrepl_py.daemon.lanes import LOOK_SECONDS
from zrepl_py.testing.model_zfs_state import ModelDataset

SETTLE_SECONDS = 1200.0
WRITING_ON = 5
"""Cadences of the slowest policy after the last fault: check_lag.py begins to look after three."""
QUIET_SECONDS = 400.0
HEALED_LATENCY_SECONDS = 0.05
TRACE_LINES = 60


@dataclass(frozen=True)
class Report:
    """What one seed showed."""

    scenario: Scenario | RoleScenario
    violations: tuple[str, ...]
    trace: tuple[str, ...]
    """The last lines before the end, or all of them."""
    simulated_seconds: float
    steps: int
    ticks: int
    commits: int
    faults: tuple[str, ...]
    """Those that happened."""
    seen: Mapping[str, int]
    """How often which situation came up: events, failures by reason, faults."""

    @property
    def ok(self) -> bool:
        """Nothing was violated."""
        return not self.violations


class Site:
    """Everything of one seed."""

    def __init__(self, scenario: Scenario, *, whole_trace: bool = False) -> None:
        self.scenario = scenario
        self.seed = scenario.seed
        self.loop = Loop()
        self.latency_seconds = scenario.latency_seconds
        self.traced: deque[tuple[float, str, str, Any, Any]] = deque(
            maxlen=None if whole_trace else TRACE_LINES
        )
        """(when, node, mark, command or event, value): what `trace` is told, the last or all."""
        self.truth = Truth()
        self.healed_at = float("inf")
        """When the last fault ended."""
        self.alpha = SimNode(self, "alpha", 0xA1, "tank")
        others = [SimNode(self, n, 0xB1 + i, "back") for i, n in enumerate(scenario.targets)]
        self.nodes = [self.alpha, *others]
        self.orders = scenario.orders
        named = {node.node.name: node for node in self.nodes}
        ways = dict.fromkeys((o.policy.source, t) for o in self.orders for t in o.policy.targets)
        self.links = [Link(self, named[source], named[target]) for source, target in ways]
        self.sources = [n for n in self.nodes if any(n is link.source for link in self.links)]
        self.targets = [n for n in self.nodes if any(n is link.target for link in self.links)]
        self.watch = Watch(self)
        self.world = World(self)
        self.faults = Faults(self)
        self.answers = Answers(self)
        for node in self.nodes:
            node.policies = tuple(order.policy for order in self.orders)
        for target in self.targets:
            target.pools.make_dataset(f"{target.pool}/zr", mounted=False)
            target.keeps_for = tuple(s.node for s, _ in self.links_to(target))

    # What nodes and checkers ask for.

    def links_from(self, node: SimNode) -> list[tuple[SimNode, Link]]:
        """(target, link) of a source."""
        return [(link.target, link) for link in self.links if link.source is node]

    def links_to(self, node: SimNode) -> list[tuple[SimNode, Link]]:
        """(source, link) of a target."""
        return [(link.source, link) for link in self.links if link.target is node]

    def links_of(self, node: SimNode) -> list[tuple[SimNode, Link]]:
        """Both directions."""
        return [(n.target, n) for n in self.links if node in (n.source, n.target)]

    def order_of(self, dataset: str) -> Order:
        """The order that means a source's dataset."""
        return next(order for order in self.orders if order.means(dataset))

    def members_of(self, node: SimNode) -> list[ModelDataset]:
        """The datasets of a node that a policy means; parents first."""
        orders = [o for o in self.orders if o.policy.source == node.node.name]
        datasets = node.pools.pools[node.pool].datasets
        return [datasets[name] for name in sorted(datasets) if any(o.means(name) for o in orders)]

    def lanes(self) -> Iterator[tuple[SimNode, ModelDataset, SimNode]]:
        """(source, dataset, target) of all that should be replicated now."""
        for source in self.sources:
            for dataset in self.members_of(source):
                wanted = self.order_of(dataset.name).policy.targets
                for target, _ in self.links_from(source):
                    if target.node.name in wanted:
                        yield source, dataset, target

    def trace(self, node: SimNode, mark: str, what: Any, value: Any) -> None:
        """One line; rendered only when somebody reads it."""
        self.traced.append((self.loop.now, node.node.name, mark, what, value))

    # The run.

    def run(self) -> Report:
        """From the first boot to the last check."""
        self.world.make_datasets()
        for node in self.nodes:
            node.boot()
        self.world.start()
        self.faults.start()
        window = self.scenario.window_seconds
        self._until(window)
        self.faults.end()
        self.answers.hurry()
        # A site that is too slow for its cadence never catches up, and should not.
        self.latency_seconds = min(self.latency_seconds, HEALED_LATENCY_SECONDS)
        self.healed_at = window
        healed = window + SETTLE_SECONDS + WRITING_ON * self.scenario.slowest_seconds
        if "replica-destroyed" in self.scenario.faults:
            healed += LOOK_SECONDS  # until then an idle lane may not know that its replica is gone
        if "properties" in self.scenario.faults:  # once more, where nothing else goes wrong; twice,
            # so that it was told before. Where cadences are long, the hourly look tells it as well.
            for before, value in ((SETTLE_SECONDS, "16K"), (SETTLE_SECONDS / 2, "1M")):
                self.loop.after(healed - before - window, partial(self.faults.set_all, value))
        self._until(healed)
        self._check(self.watch.healed)
        self.world.stop()
        quiet = QUIET_SECONDS + 3 * self.scenario.slowest_seconds
        self._until(healed + quiet)
        for _ in range(200):  # a little later, should something periodic run just now
            if not any(node.busy for node in self.nodes):
                break
            self._until(self.loop.now + 1)
        self._check(self.watch.ended)
        return self._report()

    def _until(self, moment: float) -> None:
        self.loop.run_until(moment)

    def _check(self, check: Any) -> None:
        if not self.watch.violations:
            check()

    def _report(self) -> Report:
        truth = self.truth
        return Report(
            self.scenario,
            tuple(self.watch.violations),
            tuple(render_line(*entry) for entry in self.traced),
            self.loop.now,
            self.loop.steps,
            sum(len(lineage.guids) for lineage in truth.lineages.values()),
            sum(len(guids) for guids in truth.arrived.values()),
            tuple(self.faults.happened),
            self.watch.seen + Counter(f"fault {kind}" for kind in self.faults.happened),
        )


def render_line(now: float, node: str, mark: str, what: Any, value: Any) -> str:
    shown = str(_in_order(value))
    return f"{now:12.3f} {node:6} {mark} {what} → {shown[:160]}"


def _in_order(value: Any) -> Any:
    """Sets of words come in another order in every process. Only what ports answer is looked into;
    what they are asked has no sets."""
    if isinstance(value, Mapping):
        return {key: _in_order(inner) for key, inner in value.items()}
    return sorted(value) if isinstance(value, frozenset) else value
