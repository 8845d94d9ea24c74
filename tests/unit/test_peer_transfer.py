"""Calls and streams that go well, over real TLS."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.peer_support import (
    ALPHA,
    EPOCH,
    QUICK,
    Proxy,
    Site,
    full_of,
    lane_of,
    random_body,
    serving,
)
from zrepl_py.adapters.peer import Limits
from zrepl_py.errors import Passing, Refused, ZrError
from zrepl_py.model.history import Bookmark, Snapshot, history_of
from zrepl_py.model.observation import ReplicaView, ResumePoint
from zrepl_py.model.plan import Resume, SendIncrement
from zrepl_py.model.site import Manifest

HISTORY = history_of([Snapshot(2**64 - 1, 5, "zr_x", 1), Snapshot(3, 4, "autosnap_1", 0)])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    with serving(site):
        yield site


def test_calls_arrive_with_the_proven_source(site: Site) -> None:
    site.vault.view = ReplicaView(True, HISTORY, ResumePoint(9, 0, 1, 2, 3, True), frozenset({2}))
    peer = site.client()
    assert peer.observe_replica(lane_of()) == site.vault.view
    peer.abort_partial(lane_of(), 99)
    peer.hold_base(lane_of(), 2**64 - 1)
    manifest = Manifest("tank", 4, EPOCH, 1795000000, {"tank/a": 2**64 - 1})
    peer.tell_manifest(manifest)
    peer.tell_properties(lane_of(), {"compression": "lz4"})
    assert site.vault.sources == [ALPHA.uuid]
    assert site.vault.aborted == [99]
    assert site.vault.based == [2**64 - 1]
    assert site.vault.manifests == [manifest]
    assert site.vault.properties == {"tank/a": {"compression": "lz4"}}
    assert peer.connections_made == 1
    assert peer.peer_hello is not None
    assert peer.peer_hello.boot == "boot"
    peer.close()


def test_an_error_of_the_target_arrives_as_itself_and_keeps_the_connection(site: Site) -> None:
    peer = site.client()
    with pytest.raises(Refused) as caught:
        peer.tell_properties(lane_of(), {})
    assert (caught.value.reason, caught.value.remedy) == ("bad-name", "Name a property.")
    peer.tell_properties(lane_of(), {"atime": "off"})
    assert peer.connections_made == 1
    peer.close()


@pytest.mark.parametrize("size_bytes", [0, 1, 65536, 5_000_001])
def test_a_stream_is_committed(site: Site, size_bytes: int) -> None:
    seen: list[int] = []
    peer = site.client(progress=lambda lane, size: seen.append(size))
    body = random_body(size_bytes)
    site.put(lane_of(), full_of(7), body)
    committed = peer.transfer(lane_of(), full_of(7))
    assert (committed.guid, committed.createtxg) == (7, 77)
    assert site.vault.bodies == {7: body}
    assert seen == sorted(seen)
    assert seen[-1] == size_bytes + 40
    peer.close()


def test_names_and_flags_of_each_kind_of_step(site: Site) -> None:
    peer = site.client()
    lane = lane_of("tank/a b", raw=True)
    to = full_of(8).to
    site.put(lane, full_of(8), b"x")
    base, mark = Snapshot(5, 5, "s5", 0), Bookmark(6, 6, "m6", 0)
    peer.transfer(lane, SendIncrement(base, to))
    peer.transfer(lane, SendIncrement(mark, to))
    peer.transfer(lane, Resume(None, to, 3, 4))
    peer.transfer(lane, Resume(mark, to, 3, 4))
    name = f"tank/a b@{to.name}"
    assert site.zfs.asked == [
        (name, "tank/a b@s5", True, None),
        (name, "tank/a b#m6", True, None),
        (name, None, True, (3, 4)),
        (name, "tank/a b#m6", True, (3, 4)),
    ]
    peer.close()


def test_connections_are_reused(site: Site) -> None:
    peer = site.client()
    for guid in range(1, 9):
        site.put(lane_of(), full_of(guid), random_body(1000))
        peer.transfer(lane_of(), full_of(guid))
        peer.observe_replica(lane_of())
    assert peer.connections_made == 2
    time.sleep(3 * QUICK.ping_seconds)  # idle for longer than a ping: asked first, then used
    peer.transfer(lane_of(), full_of(8))
    assert peer.connections_made == 2
    peer.close()


def test_a_connection_is_replaced_after_so_many_bytes(tmp_path: Path) -> None:
    site = Site(tmp_path, limits=Limits(replace_after_bytes=150_000))
    with serving(site):
        peer = site.client()
        for guid in range(1, 5):
            site.put(lane_of(), full_of(guid), random_body(100_000))
            peer.transfer(lane_of(), full_of(guid))
        assert peer.connections_made == 2
        peer.close()


def test_connections_that_died_idle_are_replaced_unseen(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.put(lane_of(), full_of(1), b"x")
    with serving(site) as server:
        port = server.port
        peer = site.client()
        peer.observe_replica(lane_of())
        peer.transfer(lane_of(), full_of(1))
    with pytest.raises(Passing) as caught:
        peer.observe_replica(lane_of())
    assert caught.value.reason == "peer-silent"
    with serving(site, port):
        peer.observe_replica(lane_of())
        peer.transfer(lane_of(), full_of(1))
        assert peer.connections_made == 4
        peer.close()


def test_a_stalled_stream_stalls_only_itself(site: Site) -> None:
    peer = site.client()
    gate = site.vault.read_gate[1] = threading.Event()
    failures: list[ZrError] = []

    def move(guid: int) -> None:
        lane = lane_of(f"tank/{guid}")
        try:
            peer.transfer(lane, full_of(guid))
        except ZrError as error:
            failures.append(error)

    for guid in range(1, 6):
        site.put(lane_of(f"tank/{guid}"), full_of(guid), random_body(8_000_000))
    stalled = threading.Thread(target=move, args=(1,))
    stalled.start()
    assert site.vault.began.wait(5)
    others = [threading.Thread(target=move, args=(guid,)) for guid in range(2, 6)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join(20)
    assert sorted(site.vault.bodies) == [2, 3, 4, 5]
    # Longer than the silence deadline: the target's PINGs keep the stalled one alive.
    time.sleep(2 * QUICK.silence_seconds)
    assert stalled.is_alive()
    gate.set()
    stalled.join(20)
    assert sorted(site.vault.bodies) == [1, 2, 3, 4, 5]
    assert failures == []
    peer.close()


def test_a_slow_commit_and_a_slow_source_are_kept_alive(site: Site) -> None:
    peer = site.client()
    commit, feed = threading.Event(), threading.Event()
    site.vault.commit_gate = commit
    name = site.put(lane_of(), full_of(1), random_body(300_000))
    site.zfs.hold_after[name] = (131072, feed)
    threading.Timer(2 * QUICK.silence_seconds, feed.set).start()
    threading.Timer(4 * QUICK.silence_seconds, commit.set).start()
    assert peer.transfer(lane_of(), full_of(1)).guid == 1
    assert peer.connections_made == 1
    peer.close()


@pytest.mark.parametrize(("pause_seconds", "most_of_it"), [(0.005, 0.7), (0.0, 1.1)])
def test_a_slow_link_is_squeezed(site: Site, pause_seconds: float, most_of_it: float) -> None:
    proxy = Proxy(site.server.port)
    proxy.pause_seconds = pause_seconds
    peer = site.client(proxy.port, squeezable=lambda lane: True)
    body = b"".join(random_body(64) * 8 for _ in range(40_000))
    site.put(lane_of(), full_of(1), body)
    peer.transfer(lane_of(), full_of(1))
    assert site.vault.bodies[1] == body
    assert proxy.relayed_bytes < most_of_it * len(body)
    peer.close()
    proxy.close()


def test_a_stream_that_zfs_compressed_is_sent_as_it_is(site: Site) -> None:
    proxy = Proxy(site.server.port)
    proxy.pause_seconds = 0.002
    peer = site.client(proxy.port)
    site.put(lane_of(), full_of(1), bytes(5_000_000))
    peer.transfer(lane_of(), full_of(1))
    assert proxy.relayed_bytes > 5_000_000
    peer.close()
    proxy.close()


@pytest.mark.long
def test_throughput_is_printed(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """A benchmark, not a claim: it fails only when the bytes are wrong."""
    peer = site.client()
    body = random_body(64 << 20)
    site.put(lane_of(), full_of(1), body)
    began = time.monotonic()
    peer.transfer(lane_of(), full_of(1))
    seconds = time.monotonic() - began
    with capsys.disabled():
        print(f"\npeer: 64 MiB over TLS on loopback in {seconds:.2f} s: {64 / seconds:.0f} MiB/s")
    assert site.vault.bodies[1] == body
    peer.close()
