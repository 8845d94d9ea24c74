"""What goes wrong in a story with roles, when, and for how long; all of it ends."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from zrepl_py.model.roles import Order

if TYPE_CHECKING:
    from tests.simulation.role_node import SimRoleNode
    from tests.simulation.role_site import RoleSite

ORDER_OF = {
    "switchover": Order.SWITCHOVER,
    "abort": Order.ABORT,
    "promote": Order.PROMOTE,
    "rejoin": Order.REJOIN,
    "resolve": Order.RESOLVE,
    "begin": Order.BEGIN,
}


class RoleFaults:
    """The faults of one story."""

    def __init__(self, site: "RoleSite") -> None:
        self.site = site
        self.happened: list[str] = []
        self._over = False
        self._ends: dict[int, Callable[[], None]] = {}
        self._count = 0

    def start(self) -> None:
        """Draw when each kind happens for the first time."""
        for kind in sorted(self.site.scenario.faults):
            dice = Random(f"{self.site.seed}/roles/fault/{kind}")
            if kind in ("dead", "lost"):
                when = self.site.scenario.window_seconds * dice.uniform(0.3, 0.7)
                self.site.loop.after(when, partial(self._happen, kind, dice))
            else:
                self._again(kind, dice)

    def end(self) -> None:
        """Everything that lasts ends now."""
        self._over = True
        for end in list(self._ends.values()):
            end()
        self._ends.clear()
        for node in (self.site.alpha, self.site.beta):
            node.machine.stubborn = 0.0
            node.crash_in = None
            if node.name != self.site.lost:
                node.dead = False
                node.start_again()
            if node.machine.on and node.tasks is None:
                node.boot()

    def _again(self, kind: str, dice: Random) -> None:
        rate = self.site.scenario.fault_seconds
        self.site.loop.after(dice.expovariate(1 / rate), partial(self._happen, kind, dice))

    def _happen(self, kind: str, dice: Random) -> None:
        if self._over:
            return
        if self._do(kind, dice):
            self.happened.append(kind)
        if kind not in ("dead", "lost"):
            self._again(kind, dice)

    def _lasting(self, seconds: float, end: Callable[[], None]) -> None:
        self._count += 1
        number = self._count
        self._ends[number] = end

        def over() -> None:
            if self._ends.pop(number, None) is not None:
                end()

        self.site.loop.after(seconds, over)

    def _seconds(self, dice: Random) -> float:
        beat, window = self.site.scenario.beat_seconds, self.site.scenario.window_seconds
        return min(beat * 10 ** dice.uniform(-0.5, 2.3), window / 2)

    def _do(self, kind: str, dice: Random) -> bool:
        site = self.site
        node = dice.choice((site.alpha, site.beta))
        if kind in ORDER_OF:
            # Mostly where it makes sense; sometimes on the wrong node, twice, or on both.
            for _ in range(dice.choice((1, 1, 2))):
                for each in dice.choice(((node,), (node,), (node, node.peer))):
                    site.people.order(each, ORDER_OF[kind])
            return True
        if kind == "force":
            site.people.force(node, dice, honest=site.scenario.honest)
            return True
        if kind == "stale-bound":
            site.people.order(node, Order.FORCE, "2020-01-01T00:00:00Z")
            return True
        if kind == "continue":
            if node.up:
                site.people.go_on(node)
            return True
        if kind == "receipts":
            site.people.ask_receipt()
            return True
        if kind in ("partition", "one-way", "flapping"):
            return self._cut(kind, dice)
        if kind in ("crash-alpha", "crash-beta", "crash-both", "effect-crash", "restart", "dead",
                    "lost"):  # fmt: skip
            return self._stop(kind, node, dice)
        return self._disturb(kind, node, dice)

    def _cut(self, kind: str, dice: Random) -> bool:
        cut = self.site.wire.cut
        names = ["alpha", "beta"] if kind != "one-way" else [dice.choice(("alpha", "beta"))]

        def change(by: int) -> None:
            for name in names:
                cut[name] += by

        times = 1 if kind != "flapping" else 30
        seconds = self._seconds(dice) if kind != "flapping" else self.site.scenario.beat_seconds

        def begin(left: int) -> None:
            if left and not self._over:
                change(1)
                self._lasting(seconds, lambda: self._gap(partial(change, -1), begin, left, seconds))

        begin(times)
        return True

    def _gap(
        self,
        mend: Callable[[], None],
        begin: Callable[[int], None],
        left: int,
        seconds: float,
    ) -> None:
        mend()
        self.site.loop.after(seconds, partial(begin, left - 1))

    def _stop(self, kind: str, node: "SimRoleNode", dice: Random) -> bool:
        site = self.site
        if kind in ("crash-alpha", "crash-beta"):
            node = site.alpha if kind == "crash-alpha" else site.beta
            node.crash()
        elif kind == "crash-both":
            for each in (site.alpha, site.beta):
                each.crash()
        elif kind == "effect-crash":
            node.crash_in = dice.choice((1, 3, 10, 30, 100, 300))
        elif kind == "restart":
            if not node.up or not node.machine.on:
                return False
            node.stop()
            site.loop.after(dice.uniform(0.1, 20.0), partial(_boot, node))
        elif kind == "dead":
            node.dead = True
            node.crash(1.0)
        elif kind == "lost":
            if site.lost or not node.peer.up or node.peer.dead:
                return False
            if node.peer.whole() is None or node.memory.head is None:
                return False
            site.watch.tails.lose(node.peer)
            site.lost = node.name
            node.dead = True
            node.crash(1.0)
        return True

    def _disturb(self, kind: str, node: "SimRoleNode", dice: Random) -> bool:
        machine, seconds = node.machine, self._seconds(dice)
        if kind in ("frozen", "paused"):
            tasks = node.tasks
            if tasks is None:
                return False
            node.frozen += 1
            machine.paused += kind == "paused"

            def wake() -> None:
                machine.paused -= kind == "paused"
                node.thaw()

            self._lasting(seconds, wake)
        elif kind == "cut-streams":
            wire = self.site.wire
            wire.cuts_streams += 1
            self._lasting(seconds, lambda: setattr(wire, "cuts_streams", wire.cuts_streams - 1))
        elif kind == "slow-lane":
            self.site.wire.loses = dice.choice(self.site.scenario.members)
            self._lasting(seconds, lambda: setattr(self.site.wire, "loses", ""))
        elif kind == "clock":
            machine.clock.wrong_by_seconds = dice.choice((-86400.0, -3600.0, -60.0, 0.0, 60.0,
                                                          3600.0, 86400.0))  # fmt: skip
        elif kind == "suspended":
            pool = machine.pools.pools[machine.pool]
            pool.health = "SUSPENDED"
            self._lasting(seconds, lambda: setattr(pool, "health", "ONLINE"))
        elif kind == "stubborn":
            machine.stubborn = dice.choice((0.3, 1.0))
            self._lasting(seconds, lambda: setattr(machine, "stubborn", 0.0))
        elif kind == "service-hangs":
            service = machine.host.services["radio", "studio"]
            service.stops, service.stop_hangs = dice.random() < 0.5, dice.random() < 0.5
            service.start_hangs = dice.random() < 0.5
            self._lasting(seconds, lambda: _mend(node))
        elif kind == "journal-full":
            node.journal_full += 1
            self._lasting(seconds, lambda: setattr(node, "journal_full", node.journal_full - 1))
        elif kind == "standby-written":
            return self._write_on_standby(node, dice)
        elif kind == "foreign-snapshot":
            name = node.members[dice.choice(self.site.scenario.members)]
            if machine.pools.find(name) is None:
                return False
            self._count += 1
            machine.pools.foreign_snapshot(f"{name}@by-hand-{self._count}")
        return True

    def _write_on_standby(self, node: "SimRoleNode", dice: Random) -> bool:
        """Somebody makes a replica writable for a moment, and writes."""
        member = dice.choice(self.site.scenario.members)
        found = node.machine.pools.find(node.members[member])
        if found is None or not node.up or node.state.value not in ("standby", "catching-up"):
            return False
        if found.receiving:
            return False
        node.machine.write(member, found.name, self.site.truth)
        return True


def _boot(node: "SimRoleNode") -> None:
    if node.machine.on and node.tasks is None:
        node.boot()


def _mend(node: "SimRoleNode") -> None:
    service = node.machine.host.services["radio", "studio"]
    service.stops, service.stop_hangs, service.start_hangs = True, False, False
