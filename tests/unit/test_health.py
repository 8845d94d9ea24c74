"""What load balancers are told."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from zrepl_py.adapters import health
from zrepl_py.adapters.health import GroupHealth, HealthServer, judge_path
from zrepl_py.errors import Standing
from zrepl_py.model.config import Endpoint

PRIMARY, STANDBY = GroupHealth("primary", "7-aa"), GroupHealth("standby", "7-aa")
SICK = GroupHealth("unknown", "7-aa", healthy=False)


@pytest.mark.parametrize(
    ("path", "roles", "status"),
    [
        ("/primary", {"a": PRIMARY}, 200),
        ("/primary", {"a": PRIMARY, "b": STANDBY}, 503),
        ("/primary/a", {"a": PRIMARY, "b": STANDBY}, 200),
        ("/primary/b", {"a": PRIMARY, "b": STANDBY}, 503),
        ("/standby/b?x=1", {"a": PRIMARY, "b": STANDBY}, 200),
        ("/standby", {"a": PRIMARY, "b": STANDBY}, 503),
        ("/primary/c", {"a": PRIMARY}, 404),
        ("/primary/na%20me", {"na me": PRIMARY}, 200),
        ("/primary", {}, 503),
        ("/standby", {}, 503),
        ("/health", {}, 200),
        ("/health", {"a": PRIMARY, "b": SICK}, 503),
        ("/health/a", {"a": PRIMARY, "b": SICK}, 200),
        ("/primary", {"a": SICK}, 503),
        ("/", {"a": PRIMARY}, 404),
        ("/primary/a/b", {"a": PRIMARY}, 404),
    ],
)
def test_paths(path: str, roles: dict[str, GroupHealth], status: int) -> None:
    assert judge_path(path, roles)[0] == status


@pytest.fixture(params=["127.0.0.1", "::1"])
def place(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    server = HealthServer(Endpoint(request.param, 0), lambda: {"radio": PRIMARY})
    yield Endpoint(request.param, server.port)
    server.close()


def ask(place: Endpoint, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(place.host, place.port, timeout=5)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_it_answers(place: Endpoint) -> None:
    status, body = ask(place, "GET", "/primary")
    assert status == 200
    assert json.loads(body)["groups"] == {
        "radio": {"role": "primary", "epoch": "7-aa", "healthy": True}
    }
    assert ask(place, "HEAD", "/standby") == (503, b"")
    assert ask(place, "OPTIONS", "/primary")[0] == 200
    assert ask(place, "POST", "/primary")[0] == 501


def test_slow_callers_do_not_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CALLER_SECONDS", 0.3)
    monkeypatch.setattr(health, "MAX_CALLERS", 3)
    server = HealthServer(Endpoint("127.0.0.1", 0), lambda: {"radio": PRIMARY})
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    for sock in slow:
        sock.settimeout(5)
        sock.sendall(b"GET /pri")
    for sock in slow:  # each is hung up on, in time
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(10) == b""
    assert ask(Endpoint("127.0.0.1", server.port), "GET", "/primary")[0] == 200
    server.close()


def test_an_address_that_is_not_there_is_told() -> None:
    with pytest.raises(Standing, match="Load balancers cannot be answered") as caught:
        HealthServer(Endpoint("203.0.113.9", 8008), dict)
    assert caught.value.reason == "health-address"
