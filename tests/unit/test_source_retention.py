"""The source's retention: what it asks about, and whose bases it keeps, on the model of ZFS."""

from types import SimpleNamespace
from typing import Any

from tests.simulation.loop import Loop, NodeClock
from zrepl_py.daemon.courses import Courses
from zrepl_py.daemon.lanes import Target
from zrepl_py.daemon.source import Source
from zrepl_py.engine.commands import Engine, run
from zrepl_py.events import Event
from zrepl_py.model.names import Epoch, TickName, render_cursor, render_tick
from zrepl_py.model.policy import Keep, Limits, Policy, Selection
from zrepl_py.model.site import Node
from zrepl_py.testing.model_journal import ModelJournal
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

ALPHA = Node("11111111-0000-0000-0000-000000000000", "alpha")
BETA = Node("22222222-0000-0000-0000-000000000000", "beta")
KEY = ("p", "tank")
HOUR = 3600
EPOCH = Epoch(1, "9f3a21cc")
OLD = Limits(max_remove_percent=50, keep_waiting=0)


class _Asked:
    def start(self, key: Any, engine: Any, ports: Any, after_seconds: float = 0.0) -> None:
        """Nothing runs but what the test runs."""


class Alpha:
    """A source with a week of hours of tank/a, and no peer that answers. `turned`: since a
    switchover it serves what is beta's by the policy."""

    def __init__(
        self, keep: Keep, hours: int = 168, limits: Limits = OLD, *, turned: bool = False
    ) -> None:
        self.told: list[tuple[Event, dict[str, Any]]] = []
        self.at = 1_790_000_000
        self.pools = ModelPools({"tank": 1 << 30}, now=lambda: self.at)
        self.pools.make_dataset("tank/a")
        for seq in range(1, hours + 1):
            self.at += HOUR
            name = render_tick(TickName(EPOCH, seq, self.at))
            self.pools.take(self.pools.dataset("tank/a"), name, self.pools.pools["tank"])
        self.zfs = ModelZfs(self.pools)
        clock = NodeClock(Loop(), float(self.at))
        self.ports = {"ZfsPort": self.zfs, "JournalPort": ModelJournal(clock)}
        founder, other = ("beta", "alpha") if turned else ("alpha", "beta")
        policy = Policy("p", founder, Selection(("tank/**",)), 60, (other,), {"alpha": keep},
                        limits=limits)  # fmt: skip
        role = SimpleNamespace(
            ticks=True, sends=True, confirms=True, accepts=False, epoch=EPOCH, pool="tank",
            prefix="", inherited={}, peer=BETA, newest_seq=hours, note_manifest=lambda _: None,
        )  # fmt: skip
        roles: Any = {KEY: (policy, role)} if turned else None
        self.source = Source(
            node=ALPHA,
            epoch=EPOCH,
            policies=[policy],
            targets=[Target(BETA, None)],  # type: ignore[arg-type]
            ports=self.ports,
            clock=clock,
            agenda=_Asked(),
            tell=lambda event, **fields: self.told.append((event, fields)),
            rescan_seconds=0,
            courses=Courses(ALPHA, EPOCH, [policy], roles),
        )

    def prune(self) -> list[str]:
        """Look, prune, and say what is left: the numbers of ticks."""
        run(self.source.tick(KEY), self.ports)
        run(self.source.prune(KEY), self.ports)
        return [v.name.split("_")[2] for v in self.pools.dataset("tank/a").snapshots]


def test_a_policy_made_much_shorter_is_asked_about_once() -> None:
    alpha = Alpha(Keep(last=5))
    for _ in range(3):
        assert len(alpha.prune()) >= 168
    ((_, fields),) = [told for told in alpha.told if told[0] is Event.RETENTION_ASKS]
    assert (fields["dataset"], fields["reason"]) == ("tank/a", "removes-much")
    assert fields["allow"] == f"zr retention apply tank/a --plan {fields['plan']}"
    assert not [event for event, _ in alpha.told if event is Event.PRUNED]


def test_the_base_of_a_peer_that_was_never_seen_is_known_by_its_cursor() -> None:
    alpha = Alpha(Keep(last=5), hours=12)
    base = alpha.pools.dataset("tank/a").snapshots[1]
    cursor = render_cursor(BETA.short, base.guid)
    alpha.zfs.bookmark(f"tank/a@{base.name}", f"tank/a#{cursor}")
    left = alpha.prune()
    assert left[0] == "2"
    assert len(left) in (6, 7)


def test_a_look_that_began_before_a_destroy_brings_nothing_back() -> None:
    alpha = Alpha(Keep(last=5), hours=12, limits=Limits(keep_waiting=0))
    run(alpha.source.tick(KEY), alpha.ports)
    tick = alpha.source.tick(KEY)
    command = next(tick)
    while True:
        seen = getattr(alpha.ports[command.port], command.verb)(*command.args, **command.kwargs)
        if command.verb == "observe_history" and command.args == ("tank/a",):
            run(alpha.source.prune(KEY), alpha.ports)
            break
        command = tick.send(seen)
    run(_rest(tick, seen), alpha.ports)
    left = [v.guid for v in alpha.pools.dataset("tank/a").snapshots]
    assert len(left) < 12
    known = alpha.source.history_of("tank/a")
    assert known is not None
    assert [s.guid for s in known.snapshots] == left
    run(alpha.source.prune(KEY), alpha.ports)
    assert Event.SNAPSHOTS_GONE not in [event for event, _ in alpha.told]


def _rest(engine: Engine[None], answer: Any) -> Engine[None]:
    """An engine that was begun, to its end."""
    try:
        while True:
            answer = yield engine.send(answer)
    except StopIteration:
        return
