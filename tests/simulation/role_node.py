"""One node of a story with roles: its machine, and zr on it from its start to its crash.

zr is production's `engine/role_*.py`: turns, run command by command, and a crash may come before,
within or after every one. Its lanes (role_lane.py) and its wire (role_wire.py) are thin doubles.
"""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.role_lane import RoleLane
from tests.simulation.role_machine import GROUP, SERVICE, RoleMachine
from tests.simulation.tasks import CrashedError, Tasks
from zrepl_py.adapters.authority import ManualAuthority
from zrepl_py.core.siteview import find_whole_tick
from zrepl_py.engine.commands import Command, Engine
from zrepl_py.engine.role_node import RoleGroup, RoleNode, restore_role
from zrepl_py.engine.role_tree import Trees, observe_trees
from zrepl_py.engine.role_turn import ORDERED, Turn, take_turn
from zrepl_py.errors import Passing, Standing, ZrError
from zrepl_py.model.history import History
from zrepl_py.model.lineage import Memory
from zrepl_py.model.roles import Order, State
from zrepl_py.model.site import Manifest, Node
from zrepl_py.testing.model_journal import ModelJournal, PowerLostError
from zrepl_py.testing.model_zfs import ModelZfs

if TYPE_CHECKING:
    from tests.simulation.role_site import RoleSite

MOST_TURNS = 40
LOOKS = ("observe", "read", "records", "now", "monotonic", "answer")
UUID = "7f9d2f5e-0000-4000-8000-000000000001"


class SimRoleNode:
    """A machine that runs zr; implements tasks.Host."""

    def __init__(self, site: "RoleSite", here: Node, machine: RoleMachine) -> None:
        self.site, self.here, self.machine = site, here, machine
        self.name = here.name
        self.loop = site.loop
        self.random = Random(f"{site.seed}/{here.name}/roles")
        self.members: dict[str, str] = {}
        self.receive_below: tuple[str, ...] = ()
        self.journal = ModelJournal(machine.clock, as_values=True)
        self.zfs = ModelZfs(machine.pools)
        self.frozen = 0
        self.deferred: list[Callable[[], None]] = []
        self.asked_at = 0.0
        self.crash_in: int | None = None
        self.crash_as = ""
        self.journal_full = 0
        """The journal's file system takes no more while this is above 0."""
        self.dead = False
        """It does not come back by itself."""
        self.tasks: Tasks | None = None
        self.memory = Memory(here.uuid, UUID)
        """What is durable: the simulation's own reading of the journal."""
        self.role: RoleNode | None = None
        """None until the daemon has read its journal."""
        self.lane: RoleLane
        self.ports: dict[str, Any] = {}
        self.answer: Callable[[str], None] = lambda _: None
        self._boots = self._daemons = 0
        self._turning = self._again = False

    @property
    def up(self) -> bool:
        """The daemon runs, and knows itself."""
        return self.role is not None

    @property
    def peer(self) -> "SimRoleNode":
        """The other one."""
        return self.site.beta if self is self.site.alpha else self.site.alpha

    @property
    def state(self) -> State:
        """What it is; unknown while its daemon does not run."""
        return self.role.state if self.role is not None else State.UNKNOWN

    def histories(self) -> dict[str, History]:
        """Member → what the pool has of it now; nothing where it is suspended."""
        if self.machine.pools.pools[self.machine.pool].health == "SUSPENDED":
            return {}
        if self.role is None:
            return {}
        engine, said = observe_trees(self.role), None
        while True:
            try:
                command = engine.send(said)
            except StopIteration as done:
                trees: Trees = done.value
                return trees.reachable(self.role)
            said = getattr(self.ports[command.port], command.verb)(*command.args)

    def whole(self) -> Manifest | None:
        """The newest tick that is here as a whole."""
        have = {m: {s.guid for s in h.snapshots} for m, h in self.histories().items()}
        return find_whole_tick(self.role.manifests if self.role else (), have)

    # Life and death.

    def boot(self) -> None:
        """The daemon starts."""
        assert self.tasks is None
        tasks = self.tasks = Tasks(self, threads=4)
        self._daemons += 1
        machine, site = self.machine, self.site
        self.lane = RoleLane(self)
        self.ports = {
            "ZfsPort": self.zfs, "DatasetPort": machine.datasets, "HostPort": machine.host,
            "JournalPort": self.journal, "ClockPort": machine.clock,
            "AuthorityPort": ManualAuthority(), "RoleLanesPort": self.lane,
            "RolePeerPort": site.wire.end_of(self),
        }  # fmt: skip
        group = RoleGroup(
            f"{GROUP}/tank", UUID, self.here, self.peer.here, site.alpha.here.uuid, self.members,
            GROUP, (SERVICE.name,), True, self.receive_below,
            max_lag_seconds=site.max_lag_seconds, switch_seconds=site.switch_seconds,
        )  # fmt: skip
        self._turning = self._again = False
        draw = lambda: f"{self.random.getrandbits(32):08x}"  # noqa: E731
        names = (f"daemon-{self._daemons}", f"boot-{self._boots}")

        def known(role: RoleNode | None, error: Exception | None) -> None:
            if role is not None:
                self.role = role
                site.watch.booted(self)
                self._turn_again(tasks)
            elif error is not None:
                self.broken(error)

        tasks.run(restore_role(group, *names, draw), self.ports, known)

    def stop(self) -> None:
        """The daemon ends (an update, the OOM killer); the machine and its programs go on."""
        if self.tasks is None:
            return
        tasks, self.tasks, self.role = self.tasks, None, None
        self.crash_in, self.crash_as = None, ""
        self.deferred.clear()
        tasks.forget()

    def crash(self, down_seconds: float | None = None) -> None:
        """Power off, now."""
        if not self.machine.on:
            return
        self.site.trace(self, "CRASH", "", "")
        self.site.watch.seen["crash"] += 1
        self.stop()
        self.machine.lose_power()
        self.journal.crash(keep_unsynced=self.random.randrange(2))
        if down_seconds is None:
            down_seconds = self.site.scenario.down_seconds(self.random)
        self.loop.after(down_seconds, self.start_again)

    def start_again(self) -> None:
        """Power on, unless it is meant to stay off."""
        if self.machine.on or self.dead:
            return
        self.site.trace(self, "BOOT", "", "")
        self._boots += 1
        self.machine.start(self.members)
        self.boot()

    def thaw(self) -> None:
        """One reason less to stand still."""
        self.frozen -= 1
        if not self.frozen:
            deferred, self.deferred = self.deferred, []
            for act in deferred:
                self.loop.after(0.0, act)

    # Turns.

    def _turn_again(self, tasks: Tasks) -> None:
        if self.tasks is not tasks:
            return
        if self.frozen:
            self.deferred.append(lambda: self._turn_again(tasks))
            return
        self.nudge()
        self.loop.after(self.site.scenario.beat_seconds, lambda: self._turn_again(tasks))

    def nudge(self) -> None:
        """A turn, now or right after the one that runs."""
        if self._turning:
            self._again = True
        elif self.tasks is not None and self.role is not None:
            self._turning = True
            self.tasks.run(self._turns(self.role), self.ports, self._turned)

    def _turned(self, _: Any, error: Exception | None) -> None:
        self._turning = False
        if error is not None:
            self.site.watch.seen[f"turn failed: {getattr(error, 'reason', error)}"] += 1
            self.broken(error)
        if self._again:
            self._again = False
            self.nudge()

    def _turns(self, role: RoleNode) -> Engine[None]:
        for _ in range(MOST_TURNS):
            before = role.state
            turn = yield from take_turn(role)
            self._took(role, turn, before)
            if not turn.moved:
                break
        yield from self.lane.turn(role, turn.look)

    def _took(self, role: RoleNode, turn: Turn, before: State) -> None:
        if turn.what != "rest":
            self.site.trace(self, "TURN", turn.what, f"{before} → {role.state}")
        if role.state is not before or turn.what in ORDERED:
            self.site.watch.moved(self, turn.what, before)
        if turn.refusal is not None:
            self.answer(turn.refusal.reason)
        elif turn.what in ORDERED:
            self.answer("done")
        elif role.order is not Order.NONE and not turn.moved:
            role.give(Order.NONE)  # it waits: a person hears so, and types it again
            self.answer("waits")

    def type(self, order: Order, accepted: str, answer: Callable[[str], None]) -> bool:
        """A person orders; False where nobody is there to take it."""
        role = self.role
        if role is None or self.frozen or role.order is not Order.NONE:
            return False
        role.give(order, accepted, "anna")
        self.answer = answer
        self.nudge()
        return True

    # What tasks.Host asks for.

    def latency(self, command: Command) -> float:
        """Seconds."""
        return self.site.latency_seconds * (0.2 + 2 * self.random.random() ** 3)

    def perform(self, port: Any, command: Command) -> Any:
        """Do a command, and crash where the seed says so."""
        crash = self._crash_comes() if self.crash_in is not None else None
        if crash == "before":
            self.crash()
            raise CrashedError
        if crash == "within" and command.port == "JournalPort":
            self.journal.lose_power_after(0)
        self.site.watch.before(self, command)
        try:
            value = self._do(port, command)
        except PowerLostError:
            self.crash()
            raise CrashedError from None
        except ZrError as error:
            self.site.trace(self, "FAILED", command, error)
            self.site.watch.seen[f"{command.verb} raised {error.reason}"] += 1
            raise
        if not command.verb.startswith(LOOKS):
            self.site.trace(self, "", command, value)
            self.site.watch.after(self, command, value)
        if crash is not None:
            self.crash()
            raise CrashedError
        return value

    def _do(self, port: Any, command: Command) -> Any:
        machine, verb = self.machine, command.verb
        if command.port == "JournalPort" and self.journal_full and verb == "append":
            raise Passing("no-space", "The journal's file system is full.")
        suspended = machine.pools.pools[machine.pool].health == "SUSPENDED"
        if command.port == "DatasetPort" and suspended:
            raise Standing("pool-suspended", f"Pool {machine.pool} is suspended.")
        changes = command.port in ("DatasetPort", "HostPort", "ZfsPort") and not verb.startswith(
            ("observe", "read")
        )
        if not changes:
            return getattr(port, verb)(*command.args, **command.kwargs)
        if verb == "receive_stream":
            self.lane.check_right(command.args[0])
        machine.reflect()
        value = getattr(port, verb)(*command.args, **command.kwargs)
        for name in value if verb == "write_markers" else ():
            machine.pools.write(name, ".zr/epoch", command.args[1].encode())
        if command.port == "HostPort":
            machine.absorb()
            machine.follow_service(self.members)
        machine.reflect()
        return value

    def _crash_comes(self) -> str | None:
        assert self.crash_in is not None
        self.crash_in -= 1
        if self.crash_in > 0:
            return None
        self.crash_in = None
        return self.crash_as or self.random.choice(("before", "after", "within"))

    def broken(self, error: Exception) -> None:
        """Nobody may raise this."""
        if not isinstance(error, Passing | Standing):
            self.site.watch.violation("bug", f"{self.name}: {type(error).__name__}: {error}")
