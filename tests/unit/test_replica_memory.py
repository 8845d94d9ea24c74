"""A target goes on showing what it last knew of a replica while streams are refused, and why."""

from typing import Any

import pytest

from tests.unit.test_found_by_simulation import ALPHA, LANE, REPLICA, Pair, tick_name
from zrepl_py.daemon.status import describe_replica
from zrepl_py.engine.commands import run
from zrepl_py.errors import Refused
from zrepl_py.events import Event
from zrepl_py.model.proof import LastProofs, Proof, Subject, Verdict, Way
from zrepl_py.model.site import Manifest
from zrepl_py.model.wire import Begin


def refuse(pair: Pair, times: int = 1) -> None:
    """Streams that do not bring what zr took."""
    for _ in range(times):
        begin = Begin(LANE, "by-hand", 99, 98, False, False, "1-9f3a21cc")
        run(pair.replicas.observe(pair.known, LANE), pair.ports)
        with pytest.raises(Refused):
            run(pair.replicas.prepare(pair.known, begin), pair.ports)


def test_what_was_last_known_is_shown_with_the_refusal() -> None:
    pair, events = Pair(), list[tuple[Event, dict[str, Any]]]()
    pair.replicas._tell = lambda event, **fields: events.append((event, fields))
    pair.take(1)
    pair.send(1, None)
    refuse(pair, times=5)
    assert pair.known.replica is None, "it is not believed"
    seen = describe_replica(pair.known)
    assert (seen["replica"], seen["newest"]) == (REPLICA, tick_name(1))
    assert seen["refused"]["kind"] == "Refused"
    assert seen["proof"] is None
    subject = Subject(LANE.lane, "tank/a", "beta", tick_name(1), 7)
    told = LastProofs(Proof(1, Way.VERIFY, Verdict.EQUAL, subject, 10, 20, 1, 1))
    assert describe_replica(pair.known, told, 65)["proof"]["compared_seconds"] == 45
    assert [event for event, _ in events] == [Event.RECEIVED, Event.RECEIVE_REFUSED]
    pair.take(2)
    pair.send(2, 1)
    seen = describe_replica(pair.known)
    assert (seen["newest"], seen["refused"]) == (tick_name(2), None)


def test_a_tick_that_says_that_all_is_here_ends_a_refusal() -> None:
    pair = Pair()
    pair.take(1)
    committed = pair.send(1, None)
    refuse(pair)
    for guid, over in ((7, False), (committed.guid, True)):
        manifest = Manifest("all/tank", guid, "1-9f3a21cc", 1_700_000_120, {"tank/a": guid})
        run(pair.replicas.store_manifest(ALPHA.uuid, manifest), pair.ports)
        assert (describe_replica(pair.known)["refused"] is None) == over
