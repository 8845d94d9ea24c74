"""A crash before, within and after every effect of a first copy and of an increment, on each side.

The seeds draw their crashes; here every single one is gone through, with no other fault.
"""

from dataclasses import replace

import pytest

from tests.simulation.scenario import Scenario, draw_scenario
from tests.simulation.site import Site

SECONDS = 400.0
EFFECTS = 40
"""More than both sides have between the first tick and the second increment."""


def _scenario() -> Scenario:
    drawn = draw_scenario(0, frozenset())
    order = drawn.orders[0]
    policy = replace(order.policy, every_seconds=60, targets=("beta",), keep={})
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
    )


def _write(site: Site) -> None:
    site.world.write(site.alpha, site.alpha.pools.dataset("tank/data"))


@pytest.mark.parametrize("node", ["alpha", "beta"])
@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_every_effect(node: str, when: str) -> None:
    crashed = halves = 0
    for effect in range(1, EFFECTS + 1):
        site = Site(_scenario())
        victim = next(n for n in site.nodes if n.node.name == node)
        for minute in range(1, 7):
            site.loop.after(60.0 * minute - 5, lambda s=site: _write(s))  # type: ignore[misc]
        victim.crash_in, victim.crash_as = effect, when
        report = site.run()
        assert report.ok, (effect, report.violations)
        crashed += report.seen["crash"]
        halves += report.seen["half received when power went"]
    assert crashed == EFFECTS
    assert halves if (node, when) == ("beta", "within") else not halves
