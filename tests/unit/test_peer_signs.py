"""A sign of life comes soon, also while calls wait; and the target knows when it heard of whom."""

import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.peer_support import (
    ALPHA,
    QUICK,
    Proxy,
    Site,
    full_of,
    lane_of,
    serving,
    wait_for,
)
from zrepl_py.errors import Passing
from zrepl_py.events import Event


def test_a_sign_comes_while_a_call_hangs(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.vault.call_gate = threading.Event()
    with serving(site) as server:
        client = site.client()
        asking = threading.Thread(target=client.observe_replica, args=(lane_of(),))
        asking.start()
        wait_for(lambda: site.vault.sources)
        began = time.monotonic()
        client.seek_sign()
        client.seek_sign()
        assert time.monotonic() - began < QUICK.call_seconds / 2
        assert began <= server.heard()[ALPHA.uuid] <= time.monotonic()
        site.vault.call_gate.set()
        asking.join()
        connected = [event for event, _ in site.events].count(Event.PEER_CONNECTED)
        assert connected == 2, "signs have one connection of their own"
        client.close()
        wait_for(lambda: not server._sessions)
        assert server.heard()[ALPHA.uuid] >= began, "also when the connections have ended"


def test_without_a_target_there_is_none_and_it_says_why(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with serving(site) as server:
        client = site.client()
        client.seek_sign()
        port = server.port
    with pytest.raises(Passing, match="refused") as raised:
        client.seek_sign()
    assert raised.value.reason == "peer-silent"
    with serving(site, port):
        client.seek_sign()  # a new connection is made by itself
    client.close()


def test_a_target_that_is_cut_off_is_noticed_soon(tmp_path: Path) -> None:
    site = Site(tmp_path, limits=replace(QUICK, sign_seconds=0.3))
    with serving(site), socket.create_server(("127.0.0.1", 0)) as deaf:
        client = site.client(deaf.getsockname()[1])
        began = time.monotonic()
        with pytest.raises(Passing):
            client.seek_sign()
        assert time.monotonic() - began < 2
        client.close()


def test_signs_alone_keep_a_connection(tmp_path: Path) -> None:
    site = Site(tmp_path, limits=replace(QUICK, idle_seconds=0.4))
    with serving(site):
        client = site.client()
        for _ in range(6):
            client.seek_sign()
            time.sleep(0.2)
        assert [event for event, _ in site.events] == [Event.PEER_CONNECTED]
        client.close()


def test_after_a_silence_nothing_waits_for_a_dead_connection(tmp_path: Path) -> None:
    """What was sent while the link was cut is tried again by TCP after as long a time again."""
    site = Site(tmp_path, limits=replace(QUICK, silence_seconds=30.0, call_seconds=30.0))
    with serving(site) as server:
        proxy = Proxy(server.port)
        client = site.client(proxy.port)
        client.observe_replica(lane_of())
        proxy.hold_at = 0  # from now on nothing comes through on this connection
        failed: list[Passing] = []

        def ask() -> None:
            with pytest.raises(Passing) as raised:
                client.observe_replica(lane_of())
            failed.append(raised.value)

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(3 * QUICK.ping_seconds)
        client.let_go_of_quiet()
        asking.join(5)
        assert failed[0].reason == "peer-silent"
        proxy.hold_at = None
        client.observe_replica(lane_of())
        client.let_go_of_quiet()  # it is not quiet
        client.observe_replica(lane_of())
        assert client.connections_made == 2
        client.close()
        proxy.close()


def test_a_stream_that_moves_is_a_sign_too(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.vault.commit_gate = threading.Event()
    with serving(site):
        client, step = site.client(), full_of(7)
        site.put(lane_of(), step, b"body")
        assert client.quiet_seconds() == float("inf"), "nothing is under way"
        sending = threading.Thread(target=client.transfer, args=(lane_of(), step))
        sending.start()
        wait_for(site.vault.ended.is_set)
        assert client.quiet_seconds() < 1
        site.vault.commit_gate.set()
        sending.join()
        assert client.quiet_seconds() == float("inf")
        client.close()
