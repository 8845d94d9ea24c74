"""Streams and calls that go wrong: the cause is raised, nothing hangs, nothing half is kept."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.unit.peer_support import (
    ALPHA,
    QUICK,
    Proxy,
    Site,
    full_of,
    lane_of,
    random_body,
    serving,
    wait_for,
)
from zrepl_py.adapters.peer import PeerClient
from zrepl_py.adapters.peer.greeting import ROLES
from zrepl_py.errors import Corrupt, Passing, Refused, Standing, ZrError
from zrepl_py.model.wire import Begin

pytestmark = pytest.mark.long

BODY = random_body(3_000_000)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    with serving(site):
        yield site


@pytest.fixture
def peer(site: Site) -> Iterator[PeerClient]:
    peer = site.client()
    yield peer
    peer.close()


@pytest.fixture
def proxy(site: Site) -> Iterator[Proxy]:
    proxy = Proxy(site.server.port)
    yield proxy
    proxy.close()


def told(site: Site, reason: str) -> bool:
    return reason in site.reasons()


def failure_of(peer: PeerClient, guid: int = 1) -> ZrError:
    with pytest.raises(ZrError) as caught:
        peer.transfer(lane_of(), full_of(guid))
    return caught.value


def test_a_failing_local_send_is_the_cause(site: Site, peer: PeerClient) -> None:
    name = site.put(lane_of(), full_of(1), BODY)
    site.zfs.fail_after[name] = (1_000_000, Corrupt("io-error", "A block cannot be read."))
    error = failure_of(peer)
    assert isinstance(error, Corrupt)
    assert error.reason == "io-error"
    # The target has let go of the replica before the error is raised here.
    assert site.vault.cut == [1]
    assert site.vault.bodies == {}
    del site.zfs.fail_after[name]
    peer.transfer(lane_of(), full_of(1))
    assert site.vault.bodies == {1: BODY}


def test_a_local_send_that_fails_at_once(site: Site, peer: PeerClient) -> None:
    name = site.put(lane_of(), full_of(1), BODY)
    site.zfs.fail_after[name] = (0, Standing("snapshot-missing", "It is gone."))
    assert failure_of(peer).reason == "snapshot-missing"
    assert site.vault.bodies == {}


def test_an_error_that_is_not_ours_comes_out_as_it_is(site: Site, peer: PeerClient) -> None:
    name = site.put(lane_of(), full_of(1), BODY)
    site.zfs.fail_after[name] = (100_000, KeyError("a bug"))
    with pytest.raises(KeyError):
        peer.transfer(lane_of(), full_of(1))
    wait_for(lambda: site.vault.cut == [1])


def test_a_refusing_target_ends_the_local_send(site: Site, peer: PeerClient) -> None:
    site.put(lane_of(), full_of(1), random_body(30_000_000))
    site.vault.refuse = Refused("target-modified", "The replica was changed.", "Look at it.")
    error = failure_of(peer)
    assert isinstance(error, Refused)
    assert (error.reason, error.remedy) == ("target-modified", "Look at it.")
    assert site.zfs.ended.is_set()


@pytest.mark.parametrize("at", [3_000, 200_000, 2_900_000])
def test_a_connection_cut_midway(site: Site, proxy: Proxy, at: int) -> None:
    site.put(lane_of(), full_of(1), BODY)
    proxy.cut_at = at
    peer = site.client(proxy.port)
    error = failure_of(peer)
    assert isinstance(error, Passing)
    assert error.reason == "peer-silent"
    assert site.zfs.ended.wait(2)
    peer.close()
    wait_for(lambda: site.vault.ended.is_set() or not site.vault.began.is_set())
    assert site.vault.bodies == {}


@pytest.mark.parametrize("at", [100, 1_000, 2_500, 200_000, 2_900_000])
def test_a_flipped_bit_on_the_wire(site: Site, proxy: Proxy, at: int) -> None:
    site.put(lane_of(), full_of(1), BODY)
    proxy.flip_at = at
    peer = site.client(proxy.port)
    error = failure_of(peer)
    assert isinstance(error, Passing), error
    peer.close()
    proxy.flip_at = None
    wait_for(lambda: site.vault.ended.is_set() or not site.vault.began.is_set())
    assert site.vault.bodies == {}
    direct = site.client()
    direct.transfer(lane_of(), full_of(1))
    assert site.vault.bodies == {1: BODY}
    direct.close()


@pytest.mark.parametrize("at", [0, 1_000_000])
def test_a_link_that_goes_quiet(site: Site, proxy: Proxy, at: int) -> None:
    site.put(lane_of(), full_of(1), random_body(30_000_000))
    proxy.hold_at = at
    peer = site.client(proxy.port)
    began = time.monotonic()
    error = failure_of(peer)
    assert isinstance(error, Passing)
    assert error.reason == "peer-silent"
    assert time.monotonic() - began < QUICK.connect_seconds + 2
    peer.close()
    wait_for(lambda: not site.vault.began.is_set() or site.vault.cut == [1])


def test_a_target_that_never_moves_is_given_up(tmp_path: Path) -> None:
    """PINGs come, but ZFS takes nothing: the stall deadline, not the silence one."""
    site = Site(tmp_path, limits=replace(QUICK, stall_seconds=1.5, silence_seconds=0.5))
    gate = site.vault.read_gate[1] = threading.Event()
    site.put(lane_of(), full_of(1), random_body(30_000_000))
    with serving(site):
        peer = site.client()
        began = time.monotonic()
        assert failure_of(peer).reason in ("receive-stalled", "peer-silent")
        assert 1.0 < time.monotonic() - began < 6.0
        gate.set()
        peer.close()


def test_a_source_whose_zfs_never_moves_is_given_up(tmp_path: Path) -> None:
    site = Site(tmp_path, limits=replace(QUICK, stall_seconds=1.5, silence_seconds=0.5))
    name = site.put(lane_of(), full_of(1), BODY)
    gate = threading.Event()
    site.zfs.hold_after[name] = (65536, gate)
    with serving(site):
        peer = site.client()
        assert failure_of(peer).reason == "send-stalled"
        assert site.vault.cut == [1]
        gate.set()
        peer.close()


def test_stopping_the_server_cuts_and_is_bounded(tmp_path: Path) -> None:
    site = Site(tmp_path)
    name = site.put(lane_of(), full_of(1), BODY)
    site.zfs.hold_after[name] = (1_000_000, threading.Event())
    server = site.serve()
    peer = site.client()
    failures: list[ZrError] = []
    thread = threading.Thread(target=lambda: failures.append(failure_of(peer)))
    thread.start()
    assert site.vault.began.wait(5)
    began = time.monotonic()
    assert server.stop()
    assert time.monotonic() - began < 3
    assert site.vault.cut == [1]
    peer.close()
    thread.join(25)
    assert [f.reason for f in failures] == ["peer-silent"]


def test_closing_the_client_ends_its_transfers(site: Site, peer: PeerClient) -> None:
    name = site.put(lane_of(), full_of(1), BODY)
    gate = threading.Event()
    site.zfs.hold_after[name] = (1_000_000, gate)
    threading.Timer(0.5, peer.close).start()
    threading.Timer(0.7, gate.set).start()
    assert failure_of(peer).reason == "peer-silent"
    wait_for(lambda: site.vault.cut == [1])
    with pytest.raises(Passing):
        peer.observe_replica(lane_of())


def test_a_new_stream_takes_over_from_a_lost_one(
    site: Site, peer: PeerClient, proxy: Proxy
) -> None:
    """The target still waits for the lost one's bytes when the source comes again."""
    site.put(lane_of(), full_of(1), BODY)
    proxy.hold_at = 1_000_000
    lost = site.client(proxy.port)
    thread = threading.Thread(target=lambda: failure_of(lost))
    thread.start()
    assert site.vault.began.wait(5)
    peer.transfer(lane_of(), full_of(1))
    assert site.vault.cut == [1]
    assert site.vault.bodies == {1: BODY}
    thread.join(10)
    lost.close()


def test_a_look_ends_a_lost_stream_first(site: Site, peer: PeerClient, proxy: Proxy) -> None:
    """A source looks before it sends: the look must not wait until the target finds out."""
    site.put(lane_of(), full_of(1), BODY)
    proxy.hold_at = 1_000_000
    lost = site.client(proxy.port)
    thread = threading.Thread(target=lambda: failure_of(lost))
    thread.start()
    assert site.vault.began.wait(5)
    peer.observe_replica(lane_of("tank/other"))
    assert site.vault.cut == []
    peer.observe_replica(lane_of())
    assert site.vault.cut == [1]
    thread.join(10)
    lost.close()


def test_a_commit_of_another_guid_is_not_believed(site: Site, peer: PeerClient) -> None:
    site.put(lane_of(), full_of(1), BODY)
    site.vault.commit_as = 2
    error = failure_of(peer)
    assert isinstance(error, Corrupt)
    assert error.reason == "protocol"


def test_a_call_that_hangs_has_a_deadline(site: Site, peer: PeerClient) -> None:
    gate = threading.Event()
    site.vault.call_gate = gate
    began = time.monotonic()
    with pytest.raises(Passing):
        peer.observe_replica(lane_of())
    assert time.monotonic() - began < QUICK.call_seconds + 1
    gate.set()


def test_versions_and_epochs_that_do_not_fit(tmp_path: Path) -> None:
    site = Site(tmp_path)
    mine = site.client_hello
    cases: list[tuple[dict[str, object], type[ZrError], str]] = [
        ({"protocol": 2}, Standing, "peer-version"),
        ({"zfs": "2.1.15-1"}, Standing, "peer-version"),
        ({"zfs": "unknown"}, Standing, "peer-version"),
        ({"stream_flags": ("compress",)}, Standing, "peer-version"),
        ({"epoch": "2-00000000"}, Refused, "peer-epoch"),
        ({"node": lane_of().uuid}, Standing, "peer-certificate"),
    ]
    with serving(site):
        for changes, kind, reason in cases:
            site.client_hello = replace(mine, **changes)  # type: ignore[arg-type]
            site.events.clear()
            peer = site.client()
            with pytest.raises(kind) as caught:
                peer.observe_replica(lane_of())
            assert caught.value.reason == reason
            wait_for(partial(told, site, reason))
            peer.close()
        site.client_hello, theirs = mine, site.server_hello
        for changes, kind, reason in cases[1:]:
            site.server_hello = replace(theirs, **changes)  # type: ignore[arg-type]
            peer = site.client()
            with pytest.raises(kind) as caught:
                peer.observe_replica(lane_of())
            assert caught.value.reason == reason
            peer.close()


def test_an_epoch_that_changed_since_the_hello_is_refused(site: Site, peer: PeerClient) -> None:
    site.put(lane_of(), full_of(1), BODY)
    peer.transfer(lane_of(), full_of(1))
    site.server_hello = replace(site.server_hello, epoch="2-00000000")
    error = failure_of(peer)
    assert isinstance(error, Refused)
    assert error.reason == "peer-epoch"


class Guard:
    """Lets one epoch in; has nothing to say of others' groups."""

    def __init__(self, roles: bool, epoch: str) -> None:
        self.roles, self.epoch = roles, epoch
        self.asked: list[str] = []

    def check_stream(self, source: str, begin: Begin) -> bool:
        self.asked.append(source)
        if self.roles and begin.epoch != self.epoch:
            raise Refused("peer-epoch", "Another epoch.")
        return self.roles


@pytest.mark.parametrize(
    ("roles", "epoch", "fits"), [(True, "", True), (True, "3-00000000", False), (False, "", False)]
)
def test_where_a_group_has_roles_its_epoch_counts_and_not_the_nodes(
    tmp_path: Path, roles: bool, epoch: str, fits: bool
) -> None:
    site = Site(tmp_path)
    guard = site.guard = Guard(roles, epoch or site.client_hello.epoch)
    features = (*site.client_hello.features, ROLES)
    site.client_hello = replace(site.client_hello, features=features)
    site.server_hello = replace(site.server_hello, features=features, epoch="2-00000000")
    site.put(lane_of(), full_of(1), BODY)
    with serving(site):
        peer = site.client()
        if fits:
            assert peer.transfer(lane_of(), full_of(1)).guid == full_of(1).to.guid
        else:
            assert failure_of(peer).reason == "peer-epoch"
        peer.close()
    assert guard.asked == [ALPHA.uuid]
