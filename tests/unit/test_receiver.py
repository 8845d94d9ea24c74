"""Does the receiver give a lane's pruning its turn, though streams come all the time?"""

import threading

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.receiver import Receiver
from zrepl_py.daemon.replicas import Replicas
from zrepl_py.engine.receive import Place
from zrepl_py.events import Event
from zrepl_py.model.policy import Keep, Policy, Selection
from zrepl_py.model.site import Node
from zrepl_py.model.wire import LaneName
from zrepl_py.testing.model_journal import ModelJournal
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

SOURCE = Node("11111111-0000-0000-0000-000000000000", "alpha")
LANE = LaneName("lane-1", "tank/a")
REPLICA = "back/zr/alpha/tank/a"


def test_a_replica_that_is_receiving_just_now_is_pruned_after_it() -> None:
    pools = ModelPools({"back": 1 << 30})
    place = REPLICA.split("/")
    for depth in range(2, len(place) + 1):
        pools.make_dataset("/".join(place[:depth]))
    pools.dataset(REPLICA).local["zr:lane"] = LANE.lane
    for seq in range(1, 6):
        name = f"zr_1-00000000_{seq}_20261121T08150{seq}Z"
        pools.take(pools.dataset(REPLICA), name, pools.pools["back"])
    clock, told = MachineClock(), list[Event]()
    policy = Policy("p", "alpha", Selection(("tank/**",)), 60, ("beta",), {"beta": Keep(last=1)})
    replicas = Replicas(
        name="beta",
        places=[Place("back/zr/alpha", SOURCE)],
        policies=[policy],
        ports={"ZfsPort": ModelZfs(pools), "JournalPort": ModelJournal(clock)},
        tell=lambda event, **_: told.append(event),
    )
    receiver = Receiver(replicas, Agenda(clock, 0, lambda _: None))
    receiver.observe_replica(SOURCE.uuid, LANE)
    turn = receiver._turns[LANE.lane]
    turn.acquire()
    threading.Timer(0.1, turn.release).start()
    receiver.prune()
    assert told == [Event.PRUNED]
    assert len(pools.dataset(REPLICA).snapshots) == 1
