"""What load balancers hear of two daemons' roles, by real HTTP requests."""

import http.client
import json
from typing import Any

import pytest

from tests.unit.role_daemon_support import CLOCK, Daemon, Pair
from zrepl_py.daemon.role_health import STALE_SECONDS, HealthDoor, describe_health
from zrepl_py.errors import Standing
from zrepl_py.model.config import Endpoint
from zrepl_py.model.roles import State

pytestmark = pytest.mark.long

ANYWHERE = Endpoint("127.0.0.1", 0)


def opened(daemon: Daemon, endpoint: Endpoint | None = ANYWHERE) -> HealthDoor:
    door = HealthDoor(endpoint, daemon.roles, CLOCK)
    door.start()
    return door


def is_open(door: HealthDoor) -> bool:
    return door.port is not None


def ask(door: HealthDoor, path: str) -> tuple[int, dict[str, Any]]:
    assert door.port is not None
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_who_serves_and_who_follows_is_told_also_while_a_pool_hangs() -> None:
    with Pair() as pair:
        alpha, beta = opened(pair.alpha), opened(pair.beta)
        assert ask(alpha, "/primary")[0] == 503
        pair.found()
        pair.until(lambda: ask(alpha, "/health")[0] == 200)
        with pair.lock:  # every command of either machine hangs
            pair.alpha.role.wake()
            CLOCK.sleep(0.2)
            status, told = ask(alpha, "/primary/radio")
        assert status == 200
        epoch = str(pair.alpha.role.epoch)
        assert told["groups"] == {"radio": {"role": "primary", "epoch": epoch, "healthy": True}}
        assert ask(alpha, "/standby/radio")[0] == 503
        assert [ask(beta, f"/{word}")[0] for word in ("primary", "standby", "health")] == [
            503, 200, 200
        ]  # fmt: skip
        assert ask(beta, "/primary/video")[0] == 404
        for door in (alpha, beta):
            door.stop()


def test_a_primary_whose_service_does_not_run_is_primary_and_not_healthy() -> None:
    with Pair() as pair:
        pair.found()
        pair.alpha.stop()
        role, now = pair.alpha.role, pair.alpha.role.looked_at
        assert describe_health(role, now).healthy
        assert not describe_health(role, now + STALE_SECONDS + 1).healthy
        role.services["studio"] = "failed"
        assert describe_health(role, now).role == "primary"
        assert not describe_health(role, now).healthy


def test_it_ends_with_the_service_and_the_next_one_listens_at_the_same_place() -> None:
    with Pair() as pair:
        pair.found()
        door = opened(pair.alpha)
        assert door.port is not None
        place = Endpoint("127.0.0.1", door.port)
        with pytest.raises(Standing) as taken:
            opened(pair.alpha, place)
        assert taken.value.reason == "health-address"
        door.stop()
        assert not is_open(door)
        with pytest.raises(ConnectionRefusedError):
            http.client.HTTPConnection(place.host, place.port, timeout=5).connect()
        pair.alpha.reload()
        after = opened(pair.alpha, place)
        assert ask(after, "/primary/radio")[0] == 200
        after.stop()
        assert not is_open(opened(pair.alpha, None))
        assert pair.alpha.role.state is State.PRIMARY
