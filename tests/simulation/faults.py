"""What goes wrong, and for how long. Every kind draws its own moments and durations from the seed.

Faults that last are begun and ended here, so that all of them can be ended at once; what a person
does is noted in the truth, since it excuses what follows from it.
"""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.operator import Operator
from tests.simulation.people import People
from zrepl_py.testing.model_zfs_state import ModelPool

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

End = Callable[[], None]
PLANNED_SECONDS = 600.0
"""A plan may be so old when it is performed."""


class Faults:
    """The faults of one site."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self.happened: list[str] = []
        self.clock_changed_at = float("-inf")
        """When a clock last jumped."""
        self._short_until: dict[str, float] = {}
        self._ills: dict[str, list[str]] = {}
        """Node → what is wrong with its pool now, of several faults."""
        self._ends: dict[int, End] = {}
        self._count = 0
        self._active = False
        self._people = People(site)
        self._kinds: dict[str, Callable[[Random], None]] = {
            "crash-source": lambda r: self._crash(r.choice(site.sources), r),
            "crash-target": lambda r: self._crash(r.choice(site.targets), r),
            "partition": self._partition,
            "lost-answers": self._lost_answers,
            "cut-streams": self._cut_streams,
            "target-full": lambda r: self._full(r.choice(site.targets), r, 1.0),
            "source-full": lambda r: self._full(r.choice(site.sources), r, 1.0),
            "low-space": lambda r: self._full(r.choice(site.nodes), r, 0.97),
            "little-room": self._little_room,
            "suspended": self._suspended,
            "degraded": self._degraded,
            "clock-source": lambda r: self._clock(r.choice(site.sources), r),
            "clock-target": lambda r: self._clock(r.choice(site.targets), r),
            "drift": self._drift,
            "slow": self._slow,
            "slow-link": self._slow_link,
            "frozen": self._frozen,
            "late-calls": self._late_calls,
            "journal-full": self._journal_full,
            **self._people.deeds,
            **Operator(site).deeds,
        }

    def start(self) -> None:
        """Begin to draw."""
        self._active = True
        for kind in sorted(self.site.scenario.faults):
            self._next(kind, Random(f"{self.site.seed}/{kind}"))
        for number, (begins, seconds) in enumerate(self.site.scenario.absences):
            away = partial(self._absent, seconds, off=number % 2 == 1)
            self.site.loop.after(begins, away)

    def end(self) -> None:
        """Everything is whole again, from now on."""
        self._active = False
        for node in self.site.nodes:
            node.crash_in = None
        for link in self.site.links:
            link.lose_answers = link.cut_streams = link.late_calls = 0
        for end in list(self._ends.values()):
            end()
        for node in self.site.nodes:
            if not node.up:
                node.boot()

    def set_all(self, value: str) -> None:
        """A person sets a property of every dataset when all is well."""
        for source in self.site.sources:
            for dataset in self.site.members_of(source):
                dataset.local["recordsize"] = value

    def _next(self, kind: str, random: Random) -> None:
        def happen() -> None:
            if not self._active:
                return
            self.happened.append(kind)
            self.site.trace(self.site.alpha, f"FAULT {kind}", "", "")
            self._kinds[kind](random)
            self._next(kind, random)

        pause = random.expovariate(1 / self.site.scenario.fault_seconds)
        self.site.loop.after(pause, happen)

    def _lasting(self, random: Random, end: End) -> None:
        """Call `end` after a while: seconds, or half of the time there is; or when all must end."""
        longest = self.site.scenario.lasting_seconds
        self._ending(longest ** (1 - 0.9 * random.random() ** 0.7), end)

    def _ending(self, seconds: float, end: End) -> None:
        self._count += 1
        number = self._count

        def once() -> None:
            if self._ends.pop(number, None) is not None:
                end()

        self._ends[number] = once
        self.site.loop.after(seconds, once)

    def _crash(self, node: "SimNode", random: Random) -> None:
        # Mostly nothing runs, so a crash is put at a command: before, within or after it.
        node.crash_in = random.choice((1, 2, 3, 5, 8, 13, 21, 34, 55))
        node.crash_as = node.crash_verb = ""
        if node in self.site.targets and random.random() < 0.3:
            node.crash_in, node.crash_as, node.crash_verb = 1, "within", "receive"

    def _absent(self, seconds: float, *, off: bool) -> None:
        """The first target is not there: its link is cut, or it is `off` too."""
        link = self.site.links[0]
        self.happened.append("absent")
        self.site.trace(link.target, "FAULT absent", seconds, "")
        link.cut_off += 1
        link.tear()
        if off:
            link.target.crash(down_seconds=seconds)

        def end() -> None:
            link.cut_off -= 1

        self._ending(seconds, end)

    def _partition(self, random: Random) -> None:
        some = random.choice(self.site.links)
        ends = {some.source, some.target}
        links = [n for n in self.site.links if {n.source, n.target} == ends]
        for link in links:
            link.cut_off += 1
            link.tear()

        def end() -> None:
            for link in links:
                link.cut_off -= 1

        self._lasting(random, end)

    def _lost_answers(self, random: Random) -> None:
        random.choice(self.site.links).lose_answers += random.choice((1, 1, 2, 5))

    def _cut_streams(self, random: Random) -> None:
        random.choice(self.site.links).cut_streams += random.choice((1, 2, 3))

    def _late_calls(self, random: Random) -> None:
        random.choice(self.site.links).late_calls += random.choice((1, 2, 5))

    def _journal_full(self, random: Random) -> None:
        node = random.choice(self.site.nodes)
        node.journal_full += 1

        def end() -> None:
            node.journal_full -= 1

        self._lasting(random, end)

    def _full(self, node: "SimNode", random: Random, share: float) -> None:
        pool = node.pools.pools[node.pool]
        pool.size_bytes = max(int(pool.used_bytes() / share), 1)
        self._short_until[node.node.name] = float("inf")

        def end() -> None:
            _restore_size(pool)
            self._short_until[node.node.name] = self.site.loop.now

        self._lasting(random, end)

    def _little_room(self, random: Random) -> None:
        """Just so much that snapshots give way and ticks go on."""
        self._full(random.choice(self.site.sources), random, random.choice((0.86, 0.87, 0.895)))

    def is_short(self, node: "SimNode") -> bool:
        """Its pool has little room, or had when plans were made that are performed now."""
        until = self._short_until.get(node.node.name, float("-inf"))
        return self.site.loop.now - until < PLANNED_SECONDS

    def _suspended(self, random: Random) -> None:
        self._ill(random, "SUSPENDED")

    def _degraded(self, random: Random) -> None:
        self._ill(random, "DEGRADED")  # a disk less: everything goes on

    def _ill(self, random: Random, health: str) -> None:
        node = random.choice(self.site.nodes)
        pool = node.pools.pools[node.pool]
        ills = self._ills.setdefault(node.node.name, [])
        ills.append(health)
        pool.health = max(ills)  # SUSPENDED is worse than DEGRADED

        def end() -> None:
            ills.remove(health)
            pool.health = max(ills, default="ONLINE")

        self._lasting(random, end)

    def _clock(self, node: "SimNode", random: Random) -> None:
        step = random.choice((-3600.0, 3600.0, -60.0, 90.0, 10 * 365 * 86_400.0, -86_400.0))
        self._step(node, step)
        self._lasting(random, lambda: self._step(node, -step))

    def _step(self, node: "SimNode", seconds: float) -> None:
        node.clock.wrong_by_seconds += seconds
        self.clock_changed_at = self.site.loop.now

    def _drift(self, random: Random) -> None:
        clock = random.choice(self.site.nodes).clock
        clock.drift(random.choice((-0.01, 0.0001, 0.001, 0.02)))

        def end() -> None:
            clock.drift(0.0)
            self.clock_changed_at = self.site.loop.now

        self._lasting(random, end)

    def _frozen(self, random: Random) -> None:
        node = random.choice(self.site.nodes)
        node.frozen += 1
        self._lasting(random, node.thaw)

    def _slow_link(self, random: Random) -> None:
        link = random.choice(self.site.links)
        link.slowness = random.choice((10.0, 100.0, 1000.0))

        def end() -> None:
            link.slowness = 1.0

        self._lasting(random, end)

    def _slow(self, random: Random) -> None:
        node = random.choice(self.site.nodes)
        node.slowness = random.choice((10.0, 100.0))

        def end() -> None:
            node.slowness = 1.0

        self._lasting(random, end)


def _restore_size(pool: ModelPool) -> None:
    pool.size_bytes = 1 << 30
