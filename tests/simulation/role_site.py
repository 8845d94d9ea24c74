"""A story with roles: two nodes, faults, people; then healing, and one primary again."""

from collections import deque
from functools import partial
from random import Random
from typing import Any

from tests.simulation.loop import Loop
from tests.simulation.role_faults import RoleFaults
from tests.simulation.role_machine import RoleMachine
from tests.simulation.role_node import SimRoleNode
from tests.simulation.role_people import RolePeople
from tests.simulation.role_scenario import RoleScenario
from tests.simulation.role_truth import RoleTruth
from tests.simulation.role_watch import RoleWatch
from tests.simulation.role_wire import RoleWire
from tests.simulation.site import Report, render_line
from zrepl_py.model.host import ServiceState
from zrepl_py.model.site import Node
from zrepl_py.testing.model_host import ModelLink

TRACE_LINES = 120
FOUND_BEATS = 12
HEAL_BEATS = 60
QUIET_BEATS = 20


class RoleSite:
    """Everything of one seed."""

    def __init__(self, scenario: RoleScenario, *, whole_trace: bool = False) -> None:
        self.scenario, self.seed = scenario, scenario.seed
        self.loop = Loop()
        self.latency_seconds = scenario.latency_seconds
        self.max_lag_seconds = 20 * scenario.beat_seconds + 3 * scenario.cadence_seconds
        self.switch_seconds = max(60.0, 12 * scenario.beat_seconds)
        self._trace: deque[tuple[float, str, str, Any, Any]] = deque(
            maxlen=None if whole_trace else TRACE_LINES
        )
        self.truth = RoleTruth()
        self.random = Random(f"{self.seed}/roles/world")
        self.link = ModelLink()
        self.somebody_lied = False
        self.lost = ""
        """The node whose disks are gone."""
        self.quiet = False
        self.writing = True
        self.wire = RoleWire(self)
        self.alpha = self._node("alpha", "tank", "a1")
        self.beta = self._node("beta", "back", "b1")
        self.watch = RoleWatch(self)
        self.people = RolePeople(self)
        self.faults = RoleFaults(self)
        self._make_disks()

    def _node(self, name: str, pool: str, mark: str) -> SimRoleNode:
        machine = RoleMachine(
            self.loop, name, pool, self.scenario.starts_at, self.link, self.seed * 10 + len(name)
        )
        here = Node(f"{mark * 4}-0000-4000-8000-000000000000", name)
        return SimRoleNode(self, here, machine)

    def _make_disks(self) -> None:
        members = self.scenario.members
        self.alpha.members = {m: m for m in members}
        self.beta.members = {m: f"back/zr/alpha/{m}" for m in members}
        for member in members:
            where = {"mountpoint": f"/{member}"}
            self.alpha.machine.pools.make_dataset(member, properties=where)
        self.beta.zfs.create_placeholder("back/zr/alpha/tank")
        self.beta.machine.datasets.may_receive.add("back/zr/alpha")
        self.beta.receive_below = ("back/zr/alpha",)
        self.alpha.receive_below = tuple(m for m in members if m != "tank/data/raw")
        for node in (self.alpha, self.beta):
            node.machine.starts_by_itself = self.scenario.starts_by_itself
            node.machine.reflect()
        self.alpha.machine.host.services["radio", "studio"].state = ServiceState.RUNNING
        self.alpha.machine.follow_service(self.alpha.members)

    def trace(self, node: SimRoleNode, mark: str, what: Any, value: Any) -> None:
        """One line; rendered only when somebody reads it."""
        self._trace.append((self.loop.now, node.name, mark, what, value))

    # The run.

    def run(self) -> Report:
        """From the first boot to the last check."""
        self.begin()
        self.faults.start()
        self.loop.run_until(self.loop.now + self.scenario.window_seconds)
        self.faults.end()
        return self.finish()

    def begin(self) -> None:
        """Both nodes, a first copy, and the first epoch."""
        for node in (self.alpha, self.beta):
            node.boot()
            for member in self.scenario.members:
                self._write_next(node, member)
        for beat in range(2, FOUND_BEATS):
            self.loop.after(beat * self.scenario.beat_seconds, self.people.found)
        self.loop.run_until((FOUND_BEATS + 2) * self.scenario.beat_seconds)

    def finish(self) -> Report:
        """All faults have ended; people answer what asks for people; then nothing moves."""
        beat = self.scenario.beat_seconds
        self.people.tidy_up()
        beats = HEAL_BEATS + 2 * self._most_waiting()
        self.loop.run_until(self.loop.now + beats * beat + 2 * self.scenario.cadence_seconds)
        self.writing = False
        self.loop.run_until(self.loop.now + 2 * self.scenario.cadence_seconds + 10 * beat)
        self.people.rest()
        self.quiet = True
        self.loop.run_until(self.loop.now + QUIET_BEATS * beat)
        if not self.watch.violations:
            self.watch.healed()
        return self.report()

    def _most_waiting(self) -> int:
        """Snapshots of a member that one node has alone: a lane sends one of them in a beat."""
        ends = [[n.machine.pools.find(n.members[m]) for n in (self.alpha, self.beta)]
                for m in self.scenario.members]  # fmt: skip
        pairs = [[{s.guid for s in d.snapshots} if d else set() for d in end] for end in ends]
        return max(len(here ^ there) for here, there in pairs)

    def report(self) -> Report:
        """What the story showed."""
        return Report(
            self.scenario,
            tuple(self.watch.violations),
            tuple(render_line(*entry) for entry in self._trace),
            self.loop.now,
            self.loop.steps,
            self.watch.seen["tick"],
            self.watch.seen["stream"],
            tuple(self.faults.happened),
            self.watch.seen,
        )

    # The world.

    def _write_next(self, node: SimRoleNode, member: str) -> None:
        pause = self.random.expovariate(1 / self.scenario.write_seconds)
        self.loop.after(pause, partial(self._write, node, member))

    def _write(self, node: SimRoleNode, member: str) -> None:
        name = node.members[member]
        if self.writing and node.machine.can_write(name):
            number = node.machine.write(member, name, self.truth)
            self.watch.wrote(node, number)
        self._write_next(node, member)
