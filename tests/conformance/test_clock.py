"""The clock kit: on the model, on the simulator's clock of a node, on the machine's."""

import time
from collections.abc import Callable

import pytest

from tests.simulation.loop import Loop, NodeClock
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.ports.clock import ClockPort
from zrepl_py.testing.kits.clock import CLOCK_CHECKS, ClockCase
from zrepl_py.testing.model_clock import ModelClock


class OnTheModel:
    def __init__(self) -> None:
        self._model = ModelClock()
        self.clock: ClockPort = self._model

    def pass_time(self, seconds: float) -> None:
        self._model.advance(seconds)

    def step(self, seconds: float) -> bool:
        self._model.step(seconds)
        return True


class OnASimulatedNode:
    """Engines never sleep there, so here its sleep lets the loop run."""

    class _Sleeping(NodeClock):
        def sleep(self, seconds: float) -> None:
            self._loop.run_until(self._loop.now + max(0.0, seconds))

    def __init__(self) -> None:
        self._loop = Loop()
        self._clock = self._Sleeping(self._loop, 1_795_000_000.0)
        self.clock: ClockPort = self._clock

    def pass_time(self, seconds: float) -> None:
        self._loop.run_until(self._loop.now + seconds)

    def step(self, seconds: float) -> bool:
        self._clock.wrong_by_seconds += seconds
        return True


class OnTheMachine:
    def __init__(self) -> None:
        self.clock: ClockPort = MachineClock()

    def pass_time(self, seconds: float) -> None:
        time.sleep(seconds)

    def step(self, seconds: float) -> bool:
        return False  # the lab steps the clocks of its nodes (tests/lab)


@pytest.mark.parametrize("check", CLOCK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", [OnTheModel, OnASimulatedNode, OnTheMachine])
def test_clock(kind: Callable[[], ClockCase], check: Callable[[ClockCase], None]) -> None:
    check(kind())


def test_a_drifting_model_gains_on_the_wall_only() -> None:
    clock = ModelClock(1000.0)
    clock.drift = 0.01
    clock.advance(100)
    assert clock.monotonic() == 100
    assert clock.now() == pytest.approx(1101)
