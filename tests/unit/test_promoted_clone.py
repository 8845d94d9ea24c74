"""`zfs promote` of a clone takes a dataset's snapshots and cursor away: its lane goes on from its
origin."""

import pytest

from tests.unit.histories import TARGET, parse_history
from zrepl_py.core.diff import find_in_origin
from zrepl_py.engine.commands import run
from zrepl_py.engine.lane import replicate_lane
from zrepl_py.model.history import Bookmark, History, Snapshot, history_of
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.plan import SendIncrement, Unrelated
from zrepl_py.model.site import Lane, Node
from zrepl_py.testing.model_clock import ModelClock
from zrepl_py.testing.model_journal import ModelJournal
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

BETA = Node(f"{TARGET}-0000-4000-8000-000000000000", "beta")
LANE = Lane("lane-1", "tank/a", BETA, raw=False)


def tick_name(seq: int) -> str:
    return f"zr_1-00000000_{seq}_20261121T08150{seq}Z"


class Replica:
    """What beta has, by what it was sent."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.steps: list[SendIncrement] = []

    def observe_replica(self, lane: Lane) -> ReplicaView:
        return ReplicaView(True, self.history)

    def transfer(self, lane: Lane, step: SendIncrement) -> Snapshot:
        self.steps.append(step)
        self.history = history_of([*self.history.snapshots, step.to])
        return step.to

    def hold_base(self, lane: Lane, guid: int) -> None:
        pass


@pytest.mark.parametrize("sent", [1, 2])
def test_it_goes_on_from_the_newest_version_that_both_still_have(sent: int) -> None:
    pools = ModelPools({"tank": 1 << 30})
    zfs = ModelZfs(pools)
    pools.make_dataset("tank/a")
    for seq in (1, 2, 3):
        pools.write("tank/a", "f", f"{seq}".encode())
        pools.foreign_snapshot(f"tank/a@{tick_name(seq)}")
    had = zfs.observe_history("tank/a").snapshots
    replica = Replica(history_of(list(had[:sent])))
    pools.clone(f"tank/a@{tick_name(2)}", "tank/heir")
    pools.promote("tank/heir")
    ports = {"ZfsPort": zfs, "PeerPort": replica, "JournalPort": ModelJournal(ModelClock())}
    result = run(replicate_lane(LANE, None), ports)
    assert result.conflict is None
    (step,) = replica.steps
    assert (step.base.guid, step.to) == (had[sent - 1].guid, had[2])
    assert isinstance(step.base, Bookmark)
    assert [m.guid for m in zfs.observe_history("tank/a").bookmarks] == [had[2].guid]


def test_a_clone_whose_origin_the_replica_never_had_stays_unrelated() -> None:
    pools = ModelPools({"tank": 1 << 30})
    zfs = ModelZfs(pools)
    pools.make_dataset("tank/b")
    pools.foreign_snapshot(f"tank/b@{tick_name(1)}")
    pools.clone(f"tank/b@{tick_name(1)}", "tank/a")
    replica = Replica(parse_history("7 8"))
    result = run(replicate_lane(LANE, None), {"ZfsPort": zfs, "PeerPort": replica})
    assert isinstance(result.conflict, Unrelated)
    assert replica.steps == []
    assert zfs.observe_history("tank/a").bookmarks == ()


def test_what_came_after_the_origin_is_not_shared() -> None:
    above = parse_history("1 2 3")
    one, two, three = above.snapshots
    assert find_in_origin(parse_history("1 2 3"), above, two.name) == two
    assert find_in_origin(parse_history("1"), above, two.name) == one
    assert find_in_origin(parse_history("3"), above, two.name) is None
    assert find_in_origin(parse_history("3"), above, three.name) == three
    assert find_in_origin(parse_history("1"), above, "gone") is None
