"""One simulated node: what its disk keeps, and what its memory forgets in a crash.

On the disk: the pools, the journal up to its last sync, the node's uuid. In memory: the production
Source and Replicas with all they remember, and every engine that runs.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.loop import Loop, NodeClock
from tests.simulation.tasks import CrashedError, Tasks
from zrepl_py.core.codec import decode
from zrepl_py.daemon.lanes import Target
from zrepl_py.daemon.replicas import Replicas
from zrepl_py.daemon.source import Source
from zrepl_py.engine.commands import Command, Engine
from zrepl_py.engine.receive import Place
from zrepl_py.errors import Bug, Passing, ZrError
from zrepl_py.events import Event
from zrepl_py.model.names import Epoch
from zrepl_py.model.policy import Policy
from zrepl_py.model.site import Manifest, Node
from zrepl_py.testing.model_journal import ModelJournal, PowerLostError
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

if TYPE_CHECKING:
    from tests.simulation.site import Site

EPOCH = Epoch(1, "9f3a21cc")
POOL_BYTES = 1 << 30
PRUNE_SECONDS = 60.0
BUSY_SECONDS = 30.0
LINES_EVERY = 5
"""Of so many seeds one keeps its journals as lines, which are rendered and read."""
SLOW_VERBS = {"receive": 8.0, "observe_datasets": 3.0, "snapshot_changed": 2.0}


@dataclass(slots=True)
class Stream:
    """A stream on its way into a receive; `cut` is where it ends, if the link or source breaks."""

    content: bytes
    cut: int | None = None

    def lose_rest(self, random: Random, *, perhaps_nothing: bool = False) -> None:
        """It ends anywhere, or where all but its end has arrived, or (`perhaps_nothing`) even
        that."""
        size, least = len(self.content), 0 if perhaps_nothing else 1
        if random.random() < 0.5:
            place = max(0, size - random.randrange(least, 20))
        else:
            place = random.randrange(max(size + 1 - least, 1))
        self.cut = place if self.cut is None else min(self.cut, place)


@dataclass(slots=True)
class Turn:
    """Whose turn it is with one lane on its target."""

    taken: bool = False
    waiting: list[Callable[[], None]] = field(default_factory=list)


class SimNode:
    """A machine with pools, that runs zr until it crashes, and again."""

    def __init__(self, site: "Site", name: str, number: int, pool: str) -> None:
        self.site = site
        self.pool = pool
        self.loop: Loop = site.loop
        self.random = Random(f"{site.seed}/{name}")
        self.node = Node(f"{number:08x}-0000-4000-8000-000000000000", name)
        self.clock = NodeClock(self.loop, site.scenario.starts_at)
        self.pools = ModelPools(
            {pool: POOL_BYTES}, seed=site.seed * 10 + number, now=self.clock.now
        )
        self.journal = ModelJournal(
            self.clock,
            keep_lines=site.scenario.journal_lines,
            as_values=site.seed % LINES_EVERY != 0,
        )
        self.streams: dict[int, Stream] = {}
        self.crash_in: int | None = None
        """After so many further commands this node crashes; None: it does not."""
        self.crash_as = ""
        """`before`, `within` or `after` the command; empty: the seed draws."""
        self.crash_verb = ""
        """Only commands with this verb count; empty: all."""
        self.slowness = 1.0
        self.frozen = 0
        """While above 0 the daemon's process stands still (SIGSTOP, a starved machine)."""
        self.deferred: list[Callable[[], None]] = []
        """What it does when it goes on."""
        self.asked_at = 0.0
        self.journal_full = 0
        """The journal's file system takes no more while this is above 0."""
        self.policies: tuple[Policy, ...] = ()
        self.keeps_for: tuple[Node, ...] = ()
        self.tasks: Tasks | None = None
        self.lane_tasks: Tasks
        self.zfs: ModelZfs
        self.source: Source
        self.replicas: Replicas
        self._turns: dict[str, Turn] = {}
        self._fds = 100
        self._decoded: dict[str, Manifest] = {}
        """Ticks in the journal, by their hash: read once, however often it boots."""

    @property
    def up(self) -> bool:
        """The daemon runs."""
        return self.tasks is not None

    @property
    def busy(self) -> bool:
        """Something runs, or is due; a node that is down is busy with that."""
        return self.tasks is None or self.tasks.busy or self.lane_tasks.busy

    # Life and death.

    def boot(self) -> None:
        """Start the daemon: what daemon/assemble.py and daemon/service.py do."""
        assert self.tasks is None
        tasks = self.tasks = Tasks(self, threads=4)
        self.lane_tasks = Tasks(self, threads=self.site.scenario.threads)
        self.site.watch.booted(self)
        self.zfs = ModelZfs(self.pools)
        self._turns = {}
        self.streams = {}
        ports: dict[str, Any] = {"ZfsPort": self.zfs, "JournalPort": self.journal}
        targets: list[Any] = [
            Target(other.node, link.end)  # type: ignore[arg-type]
            for other, link in self.site.links_from(self)
        ]
        self.source = Source(
            node=self.node,
            epoch=EPOCH,
            policies=self.policies,
            targets=targets,
            ports=ports,
            clock=self.clock,
            agenda=tasks,
            lanes_agenda=self.lane_tasks,
            tell=self.tell,
            rescan_seconds=300,
            journalled=[self._manifest(r) for r in self.journal.records("tick")],
            reserved=(f"{self.pool}/zr",),
        )
        self.replicas = Replicas(
            name=self.node.name,
            places=[Place(f"{self.pool}/zr/{n.name}", n) for n in self.keeps_for],
            policies=self.policies,
            ports=ports,
            tell=self.tell,
        )
        for key in self.source.policies:
            self._tick_again(tasks, key)
        self._prune_again(tasks)

    def crash(self, down_seconds: float | None = None) -> None:
        """Power off, now: memory is gone, and so is what the journal had not synced."""
        if self.tasks is None:
            return
        self.site.trace(self, "CRASH", "", "")
        self.site.watch.seen["crash"] += 1
        tasks, self.tasks = self.tasks, None
        self.crash_in, self.crash_as, self.crash_verb = None, "", ""
        self.deferred.clear()
        tasks.forget()
        self.lane_tasks.forget()
        self.journal.crash(keep_unsynced=self.random.randrange(2))
        for _, link in self.site.links_of(self):
            link.tear()
        if down_seconds is None:
            down_seconds = self.site.scenario.down_seconds(self.random)
        self.loop.after(down_seconds, self._start_again)

    def thaw(self) -> None:
        """One reason less to stand still."""
        self.frozen -= 1
        if not self.frozen:
            deferred, self.deferred = self.deferred, []
            for act in deferred:
                self.loop.after(0.0, act)

    def _manifest(self, record: Any) -> Manifest:
        known = self._decoded.get(record["hash"])
        if known is None:
            known = self._decoded[record["hash"]] = decode(Manifest, record["manifest"])
        return known

    def _start_again(self) -> None:
        if self.tasks is None:
            self.site.trace(self, "BOOT", "", "")
            self.boot()

    def _tick_again(self, tasks: Tasks, key: tuple[str, str]) -> None:
        if self.frozen:
            self.deferred.append(lambda: self._tick_again(tasks, key))
        elif tasks.alive:
            self.source.start_tick(key)
            cadence = self.source.cadences[key]
            self.loop.after(cadence, lambda: self._tick_again(tasks, key))

    def _prune_again(self, tasks: Tasks) -> None:
        if not tasks.alive:
            return
        if self.frozen:
            self.deferred.append(lambda: self._prune_again(tasks))
            return
        for uuid, known in list(self.replicas.lanes.items()):
            if self.replicas.is_pruned(known):
                continue
            if not self._turns.setdefault(uuid, Turn()).taken:
                self.take_turn(uuid, partial(self._prune, tasks, uuid, known), None)
        pause = max(PRUNE_SECONDS, self.site.scenario.cadence_seconds / 2)
        self.loop.after(pause, lambda: self._prune_again(tasks))

    def _prune(self, tasks: Tasks, uuid: str, known: Any) -> None:
        def done(_: Any, error: Exception | None) -> None:
            self.end_turn(uuid)
            if error is not None:
                self.broken(error)

        tasks.run(self.replicas.prune(known), self.replicas.ports, done)

    # Turns: what daemon/receiver.py does with locks.

    def take_turn(
        self, lane: str, begin: Callable[[], None], too_late: Callable[[Passing], None] | None
    ) -> None:
        """Call `begin` when the lane is free; `too_late` where that takes too long."""
        turn = self._turns.setdefault(lane, Turn())
        if not turn.taken:
            turn.taken = True
            begin()
            return
        tasks = self.tasks
        turn.waiting.append(begin)

        def give_up() -> None:
            if self.tasks is tasks and begin in turn.waiting:
                turn.waiting.remove(begin)
                if too_late is not None:
                    too_late(Passing("busy", "The replica is still busy with a stream."))

        self.loop.after(BUSY_SECONDS, give_up)

    def end_turn(self, lane: str) -> None:
        """The next one, please."""
        turn = self._turns[lane]
        turn.taken = bool(turn.waiting)
        if turn.waiting:
            turn.waiting.pop(0)()

    # What tasks.Host asks for.

    def latency(self, command: Command) -> float:
        """Seconds."""
        usual = self.site.latency_seconds * self.slowness
        factor = SLOW_VERBS.get(command.verb, 1.0)
        return usual * factor * (0.2 + 2 * self.random.random() ** 3)

    def perform(self, port: Any, command: Command) -> Any:
        """Do a command, and crash where the seed says so."""
        crash = self._crash_comes(command) if self.crash_in is not None else None
        if crash == "before":
            self.crash()
            raise CrashedError
        if crash == "within":
            self._lose_power_within(command)
        site = self.site
        site.watch.before(self, command)
        try:
            value = self._do(port, command)
        except PowerLostError:
            self.crash()
            raise CrashedError from None
        except Exception as error:
            if crash is not None and not isinstance(error, Bug):
                self._note_half(command)
                self.crash()  # nobody hears of it
                raise CrashedError from None
            site.trace(self, "FAILED", command, error)
            site.watch.failed(self, command, error)
            raise
        site.trace(self, "", command, value)
        site.watch.after(self, command, value)
        if crash is not None:
            self.crash()
            raise CrashedError
        return value

    def _lose_power_within(self, command: Command) -> None:
        """What of this has more than one moment: a line of the journal, a stream."""
        if command.port == "JournalPort":
            self.journal.lose_power_after(0)
        elif command.verb == "receive":
            self.streams[command.kwargs["fd"]].lose_rest(self.random)

    def receive_half(self, engine: Engine[Any]) -> None:
        """What a receive that has begun leaves in the pool when power goes."""
        command = next(engine)
        assert command.verb == "receive"
        self.streams[command.kwargs["fd"]].lose_rest(self.random)
        with suppress(ZrError):
            self._do(self.zfs, command)
        self._note_half(command)
        engine.close()

    def _note_half(self, command: Command) -> None:
        if command.verb != "receive":
            return
        found = self.pools.find(command.args[0].partition("@")[0])
        if found is not None and found.partial is not None:
            self.site.watch.seen["half received when power went"] += 1

    def _do(self, port: Any, command: Command) -> Any:
        if command.port == "JournalPort" and self.journal_full:
            raise Passing("no-space", "The journal's file system is full.")
        if command.port == "ZfsPort" and command.verb == "receive":
            arguments = dict(command.kwargs)
            stream = self.streams.pop(arguments.pop("fd"))
            content = stream.content[: stream.cut]
            snapshot: str = command.args[0]
            return self.zfs.receive_stream(snapshot, content, **arguments)
        return getattr(port, command.verb)(*command.args, **command.kwargs)

    def _crash_comes(self, command: Command) -> str | None:
        assert self.crash_in is not None
        if self.crash_verb not in ("", command.verb):
            return None
        self.crash_in -= 1
        if self.crash_in > 0:
            return None
        return self.crash_as or self.random.choice(("before", "after", "within"))

    def open_stream(self, content: bytes) -> tuple[int, Stream]:
        """A stream that a receive can read: its descriptor, and what can still cut it."""
        self._fds += 1
        stream = self.streams[self._fds] = Stream(content)
        return self._fds, stream

    def tell(self, event: Event, **fields: Any) -> None:
        """An event of the daemon."""
        self.site.trace(self, event.value, "", fields)
        self.site.watch.told(self, event, fields)
        if event is Event.RETENTION_ASKS:
            self.site.answers.asked(self, fields)

    def broken(self, error: Exception) -> None:
        """Nobody may raise this."""
        self.site.watch.violation("bug", f"{self.node.name}: {type(error).__name__}: {error}")
