"""A group whose direction changes: the same members, ticks and receipts from the other node.

Real sources, lanes and replicas of both nodes on the model of ZFS; streams go through real pipes.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.simulation.loop import Loop, NodeClock
from zrepl_py.daemon.arrivals import Arrivals
from zrepl_py.daemon.courses import Courses
from zrepl_py.daemon.lanes import Target
from zrepl_py.daemon.replicas import Replicas
from zrepl_py.daemon.source import Source
from zrepl_py.engine.commands import Engine, run
from zrepl_py.errors import Passing
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import Epoch, join_snapshot
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.plan import Resume, SendFull
from zrepl_py.model.policy import Policy, Selection
from zrepl_py.model.receipt import FORMAT, Holding, Receipt
from zrepl_py.model.site import Lane, Manifest, Node
from zrepl_py.model.wire import Begin, Committed, LaneName
from zrepl_py.testing.model_journal import ModelJournal
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

ALPHA = Node("11111111-0000-0000-0000-000000000000", "alpha")
BETA = Node("22222222-0000-0000-0000-000000000000", "beta")
KEY = ("radio", "tank")
POLICY = Policy("radio", "alpha", Selection(("tank/radio/**",)), 60, ("beta",))


@dataclass
class Says:
    """What a node's role says; the tests change it."""

    peer: Node
    pool: str
    prefix: str
    ticks: bool = False
    sends: bool = False
    confirms: bool = False
    accepts: bool = False
    epoch: Epoch | None = None
    newest_seq: int = 0
    inherited: dict[str, dict[str, str]] = field(default_factory=dict)
    told: list[Manifest] = field(default_factory=list)

    def note_manifest(self, manifest: Manifest) -> None:
        self.told.append(manifest)
        self.newest_seq = max(self.newest_seq, manifest.seq)

    def lead(self, epoch: Epoch) -> None:
        self.ticks = self.sends = self.confirms = True
        self.accepts, self.epoch = False, epoch

    def follow(self, epoch: Epoch) -> None:
        self.ticks = self.sends = self.confirms = False
        self.accepts, self.epoch = True, epoch


class _Quiet:
    monitor: Any = None

    def start(self, key: Any, engine: Any, ports: Any, after_seconds: float = 0.0) -> None:
        """Nothing runs but what the test runs."""


class Machine:
    """One node."""

    def __init__(self, here: Node, peer: Node, pool: str, prefix: str) -> None:
        self.here, self.at = here, 1_790_000_000
        self.clock = NodeClock(Loop(), float(self.at))
        self.pools = ModelPools({pool: 1 << 30}, seed=int(here.short), now=lambda: self.at)
        self.zfs = ModelZfs(self.pools)
        self.says = Says(peer, pool, prefix)
        self.ports: dict[str, Any] = {"ZfsPort": self.zfs, "JournalPort": ModelJournal(self.clock)}
        self.events: list[Any] = []

    def meet(self, other: "Machine") -> None:
        table = {KEY: (POLICY, self.says)}
        tell = lambda event, **fields: self.events.append((event, fields))  # noqa: E731
        self.replicas = Replicas(
            name=self.here.name, places=(), policies=(POLICY,), ports=self.ports, tell=tell,
            arrivals=Arrivals(table),
        )  # fmt: skip
        self.peer = Way(self, other)
        self.source = Source(
            node=self.here, epoch=Epoch(1, "9f3a21cc"), policies=(POLICY,),
            targets=[Target(other.here, self.peer)], ports=self.ports, clock=self.clock,
            agenda=_Quiet(), tell=tell, rescan_seconds=0,
            courses=Courses(self.here, Epoch(1, "9f3a21cc"), (POLICY,), table),
        )  # fmt: skip

    def turn_round(self) -> None:
        self.source.turn_round(KEY)
        self.replicas.turn_round(self.says.peer.uuid)

    def tick(self) -> None:
        self.at += 60
        run(self.source.tick(KEY), self.ports)

    def send(self) -> None:
        """Every lane once, parents first, and the ticks told."""
        ports = {**self.ports, "PeerPort": self.peer}
        for uuid in list(self.source.lanes.states):
            run(self.source.lanes.run_lane(uuid), ports)

    def names_of_all(self) -> list[str]:
        return [name for pool in self.pools.pools.values() for name in pool.datasets]

    def names(self, dataset: str) -> list[str]:
        return [s.name for s in self.pools.dataset(dataset).snapshots]


@dataclass
class Way:
    """PeerPort: calls the other node's replicas, as its peer server does."""

    mine: Machine
    other: Machine
    begun: list[Begin] = field(default_factory=list)

    def _do(self, engine: Engine[Any]) -> Any:
        return run(engine, self.other.ports)

    def _find(self, lane: Lane) -> tuple[Any, LaneName]:
        name = LaneName(lane.uuid, lane.called)
        return self.other.replicas.find(self.mine.here.uuid, name), name

    def observe_replica(self, lane: Lane) -> ReplicaView:
        seen: ReplicaView = self._do(self.other.replicas.observe(*self._find(lane)))
        return seen

    def hold_base(self, lane: Lane, guid: int) -> None:
        self._do(self.other.replicas.hold_base(*self._find(lane), guid))

    def abort_partial(self, lane: Lane, to_guid: int) -> None:
        self._do(self.other.replicas.abort_partial(*self._find(lane), to_guid))

    def tell_properties(self, lane: Lane, properties: Mapping[str, str]) -> None:
        self._do(self.other.replicas.store_properties(*self._find(lane), properties))

    def tell_manifest(self, manifest: Manifest) -> None:
        self._do(self.other.replicas.store_manifest(self.mine.here.uuid, manifest))

    def tell_receipt(self, receipt: Receipt) -> None:
        self._do(self.other.replicas.store_receipt(self.mine.here.uuid, receipt))

    def transfer(self, lane: Lane, step: Any) -> Committed:
        assert not isinstance(step, Resume)
        base = None if isinstance(step, SendFull) else step.base
        known, name = self._find(lane)
        begin = Begin(name, step.to.name, step.to.guid, base.guid if base else 0, lane.raw, False,
                      lane.epoch, parent=lane.parent)  # fmt: skip
        self.begun.append(begin)
        replica = self._do(self.other.replicas.prepare(known, begin))
        read, write = os.pipe()
        mark = "@" if isinstance(base, Snapshot) else "#"
        self.mine.zfs.send(
            join_snapshot(lane.dataset, step.to.name),
            f"{lane.dataset}{mark}{base.name}" if base else None, raw=lane.raw, fd=write,
            resume=None,
        )  # fmt: skip
        committed: Committed = self._do(self.other.replicas.receive(known, replica, begin, read))
        return committed


@pytest.fixture
def pair() -> tuple[Machine, Machine]:
    """Alpha serves two datasets, one below the other; beta has copies of both."""
    alpha = Machine(ALPHA, BETA, "tank", "")
    beta = Machine(BETA, ALPHA, "back", "back/zr/alpha/")
    for name in ("tank/radio", "tank/radio/news", "tank/other"):
        alpha.pools.make_dataset(name)
    beta.pools.make_dataset("back/zr", mounted=False)
    alpha.meet(beta)
    beta.meet(alpha)
    epoch = Epoch(2, "aaaaaaaa")
    alpha.says.lead(epoch)
    beta.says.follow(epoch)
    alpha.pools.write("tank/radio", "a", b"1")
    alpha.tick()
    alpha.send()
    return alpha, beta


def change(alpha: Machine, beta: Machine, n: int = 3) -> None:
    """Beta takes over from where both are."""
    epoch = Epoch(n, "bbbbbbbb")
    beta.says.newest_seq = alpha.says.newest_seq
    alpha.says.follow(epoch)
    beta.says.lead(epoch)
    alpha.turn_round()
    beta.turn_round()
    for name in ("back/zr/alpha/tank/radio", "back/zr/alpha/tank/radio/news"):
        beta.pools.dataset(name).local["readonly"] = "off"


def test_members_stand_where_they_stood_and_streams_are_of_the_groups_epoch(
    pair: tuple[Machine, Machine],
) -> None:
    alpha, beta = pair
    assert sorted(n for n in beta.names_of_all() if n.startswith("back/zr/alpha/")) == [
        "back/zr/alpha/tank", "back/zr/alpha/tank/radio", "back/zr/alpha/tank/radio/news",
    ]  # fmt: skip
    assert {b.epoch for b in alpha.peer.begun} == {"2-aaaaaaaa"}
    assert alpha.names("tank/radio")[0].split("_")[1] == "2-aaaaaaaa"


def test_the_other_way_an_increment_fits_into_the_founders_own_dataset(
    pair: tuple[Machine, Machine],
) -> None:
    alpha, beta = pair
    change(alpha, beta)
    beta.pools.write("back/zr/alpha/tank/radio", "b", b"2")
    beta.tick()
    (manifest,) = beta.says.told
    assert (manifest.group, sorted(manifest.members)) == (
        "radio/tank", ["tank/radio", "tank/radio/news"],
    )  # fmt: skip
    assert manifest.seq > alpha.says.told[-1].seq
    beta.send()
    assert [(b.lane.dataset, b.from_guid != 0, b.epoch) for b in beta.peer.begun] == [
        ("tank/radio", True, "3-bbbbbbbb")
    ]
    assert alpha.names("tank/radio") == beta.names("back/zr/alpha/tank/radio")
    assert sorted(alpha.names_of_all()) == ["tank", "tank/other", "tank/radio", "tank/radio/news"]


def test_an_inherited_mount_point_is_carried(pair: tuple[Machine, Machine]) -> None:
    alpha, beta = pair
    alpha.says.inherited["tank/radio"] = {"mountpoint": "/tank/radio", "exec": "on"}
    alpha.source.look_again([KEY])
    alpha.tick()
    alpha.send()
    told = beta.pools.dataset("back/zr/alpha/tank/radio").local
    assert (told["zr:orig:mountpoint"], told["zr:orig:exec"]) == ("/tank/radio", "on")
    assert "zr:orig:mountpoint" not in beta.pools.dataset("back/zr/alpha/tank/radio/news").local


def test_a_new_dataset_of_the_new_primary_gets_the_members_name(
    pair: tuple[Machine, Machine],
) -> None:
    alpha, beta = pair
    change(alpha, beta)
    beta.pools.make_dataset("back/zr/alpha/tank/radio/new")
    beta.tick()
    beta.send()
    assert "tank/radio/new" in alpha.names_of_all()


def test_who_does_not_serve_neither_ticks_nor_sends_nor_lets_others_in(
    pair: tuple[Machine, Machine],
) -> None:
    alpha, beta = pair
    change(alpha, beta)
    before = alpha.names("tank/radio")
    alpha.pools.write("tank/radio", "late", b"3")
    alpha.tick()
    alpha.send()
    assert alpha.names("tank/radio") == before
    with pytest.raises(Passing, match="does not follow"):
        alpha.peer.observe_replica(Lane("x", "tank/radio", BETA, False, label="tank/radio"))


def test_a_receipt_is_given_by_a_follower_alone(pair: tuple[Machine, Machine]) -> None:
    alpha, beta = pair
    newest = beta.pools.dataset("back/zr/alpha/tank/radio").snapshots[-1]
    held = Holding("x", "tank/radio", newest.guid, newest.name)
    receipt = Receipt(
        FORMAT, ALPHA.uuid, "alpha", BETA.uuid, "beta", "2-aaaaaaaa", 1, 1, {}, (held,)
    )
    alpha.peer.tell_receipt(receipt)
    change(alpha, beta)
    with pytest.raises(Passing, match="does not follow"):
        alpha.peer.tell_receipt(receipt)


def test_there_and_back_again_nothing_is_sent_whole(pair: tuple[Machine, Machine]) -> None:
    alpha, beta = pair
    change(alpha, beta)
    beta.pools.write("back/zr/alpha/tank/radio", "b", b"2")
    beta.tick()
    beta.send()
    alpha.says.newest_seq = beta.says.newest_seq
    alpha.peer.begun.clear()
    alpha.says.lead(Epoch(4, "cccccccc"))
    beta.says.follow(Epoch(4, "cccccccc"))
    alpha.turn_round()
    beta.turn_round()
    alpha.pools.dataset("tank/radio").local["readonly"] = "off"
    alpha.pools.write("tank/radio", "c", b"3")
    alpha.tick()
    alpha.send()
    assert [(b.lane.dataset, b.from_guid != 0) for b in alpha.peer.begun] == [("tank/radio", True)]
    assert beta.names("back/zr/alpha/tank/radio") == alpha.names("tank/radio")
