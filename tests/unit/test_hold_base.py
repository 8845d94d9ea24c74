"""The target's holds: which snapshots of a replica can nobody destroy by accident?"""

from collections.abc import Iterator

import pytest

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.receiver import Receiver
from zrepl_py.daemon.replicas import Replicas
from zrepl_py.engine.receive import Place
from zrepl_py.errors import Standing
from zrepl_py.model.policy import Keep, Policy, Selection
from zrepl_py.model.site import Node
from zrepl_py.model.wire import LaneName
from zrepl_py.testing.model_journal import ModelJournal
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelDataset, ModelPools

SOURCE = Node("11111111-0000-0000-0000-000000000000", "alpha")
LANE = LaneName("lane-1", "tank/a")
REPLICA = "back/zr/alpha/tank/a"
HOLD = "zr_base_11111111"


class Beta:
    """A receiver whose replica has three snapshots, and whose retention keeps one."""

    def __init__(self) -> None:
        pools = ModelPools({"back": 1 << 30})
        names = REPLICA.split("/")
        for depth in range(2, len(names) + 1):
            pools.make_dataset("/".join(names[:depth]))
        self.replica: ModelDataset = pools.dataset(REPLICA)
        self.replica.local["zr:lane"] = LANE.lane
        for seq in range(1, 4):
            name = f"zr_1-00000000_{seq}_20261121T08150{seq}Z"
            pools.take(self.replica, name, pools.pools["back"])
        self.guids = [version.guid for version in self.replica.snapshots]
        clock = MachineClock()
        policy = Policy("p", "alpha", Selection(("tank/**",)), 60, ("beta",), {"beta": Keep(1)})
        self.agenda = Agenda(clock, 0, lambda _: None)
        self.receiver = Receiver(
            Replicas(
                name="beta",
                places=[Place("back/zr/alpha", SOURCE)],
                policies=[policy],
                ports={"ZfsPort": ModelZfs(pools), "JournalPort": ModelJournal(clock)},
                tell=lambda *_, **__: None,
            ),
            self.agenda,
        )

    def held(self) -> list[int]:
        """Which of the three carry our hold: 1, 2, 3."""
        return [n for n, v in enumerate(self.replica.snapshots, 1) if HOLD in v.holds]


@pytest.fixture
def beta() -> Iterator[Beta]:
    beta = Beta()
    yield beta
    beta.agenda.stop(5)


def test_looking_changes_nothing(beta: Beta) -> None:
    beta.replica.snapshots[0].holds.add(HOLD)
    view = beta.receiver.observe_replica(SOURCE.uuid, LANE)
    assert view.held == {beta.guids[0]}
    assert beta.held() == [1]


def test_the_base_and_the_newest_are_held_and_retention_leaves_them(beta: Beta) -> None:
    """As in a divergence: the newest is the target's own, the base is older."""
    beta.replica.snapshots[1].holds.add(HOLD)
    beta.receiver.hold_base(SOURCE.uuid, LANE, beta.guids[0])
    assert beta.held() == [1, 3]
    assert beta.receiver.observe_replica(SOURCE.uuid, LANE).held == {beta.guids[0], beta.guids[2]}
    beta.receiver.prune()
    assert [v.guid for v in beta.replica.snapshots] == [beta.guids[0], beta.guids[2]]
    beta.receiver.hold_base(SOURCE.uuid, LANE, beta.guids[2])
    assert [v.guid for v in beta.replica.snapshots if HOLD in v.holds] == [beta.guids[2]]


def test_a_base_that_is_gone_is_said_and_nothing_is_let_go(beta: Beta) -> None:
    beta.replica.snapshots[1].holds.add(HOLD)
    with pytest.raises(Standing) as caught:
        beta.receiver.hold_base(SOURCE.uuid, LANE, 4711)
    assert caught.value.reason == "snapshot-missing"
    assert beta.held() == [2]
