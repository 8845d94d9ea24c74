"""A node's own copies, back from its peer: over real TLS, with the model of ZFS at the far end."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.peer import PeerServer
from zrepl_py.adapters.peer.fetch import Fetcher
from zrepl_py.adapters.peer.messages import parse_copies, parse_fetch, parse_page
from zrepl_py.core.codec import encode
from zrepl_py.daemon.copies import KeptCopies
from zrepl_py.daemon.proof_told import ToldProofs
from zrepl_py.daemon.readers import Readers
from zrepl_py.engine.receive import Place
from zrepl_py.errors import Corrupt, Passing, Refused, Standing, ZrError
from zrepl_py.model.fetch import Copies, CopyName, FetchPage, FetchStream, TellProof
from zrepl_py.model.history import Snapshot
from zrepl_py.model.observation import Kind
from zrepl_py.model.proof import (
    START,
    Difference,
    Form,
    LastProofs,
    Page,
    Position,
    Proof,
    Subject,
    Verdict,
    Way,
    Wrong,
)
from zrepl_py.model.wire import Committed
from zrepl_py.testing.model_journal import ModelJournal
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

from .peer_support import ALPHA, BETA, EPOCH, Bodies, Site, hello_of, random_body, stream_of

LANE = "33333333-3333-4333-8333-333333333333"
NAME = f"zr_{EPOCH}_1_20261121T081500Z"
BODY = random_body(3 << 20)


class Shelf:
    """A CopyPort with one copy of alpha's tank/a."""

    def __init__(self) -> None:
        self.zfs = Bodies({f"back/zr/alpha/tank/a@{NAME}": BODY})
        self.sources: list[str] = []
        self.proofs: list[tuple[str, Proof]] = []
        self.snapshot = Snapshot(7, 70, NAME, 1_795_000_000)
        self.copy = CopyName(LANE, "tank/a", Kind.FILESYSTEM, False, {"mountpoint": "/srv"})

    def observe_copies(self, source: str) -> tuple[CopyName, ...]:
        self.sources.append(source)
        return (self.copy,)

    def observe_versions(self, source: str, lane: str) -> tuple[Snapshot, ...]:
        if lane != LANE:
            raise Refused("no-such-copy", "There is none.")
        return (self.snapshot,)

    def read_page(
        self,
        source: str,
        lane: str,
        guid: int,
        after: Position,
        form: Form,
        *,
        acls: bool,
        listed: bool,
    ) -> Page:
        self.find_version(source, lane, guid)
        records = ("e . directory", "e a%20b file") if listed else ()
        return Page(Position("a%20b", after.done + 1, "f" * 64), True, 2, 7, 0, acls, records)

    def find_version(self, source: str, lane: str, guid: int) -> tuple[CopyName, Snapshot]:
        self.observe_versions(source, lane)
        if guid not in (7, 666):
            raise Standing("snapshot-missing", "It is gone.")
        return self.copy, self.snapshot

    def store_proof(self, source: str, proof: Proof) -> None:
        self.proofs.append((source, proof))

    def send_version(self, source: str, lane: str, guid: int, fd: int) -> None:
        name = f"back/zr/alpha/tank/a@{NAME}"
        self.zfs.send(name, None, raw=False, fd=fd, resume=None)


@contextmanager
def serving(site: Site, shelf: Shelf | None) -> Iterator[Fetcher]:
    server = PeerServer(
        site.vault, site.beta, site.server_pins, ("127.0.0.1", 0), lambda: site.server_hello,
        site.clock, site.limits, copies=shelf,
    )  # fmt: skip
    server.start()
    site.server = server
    fetcher = Fetcher(site.target(), lambda: site.client_hello, site.clock, site.limits)
    try:
        yield fetcher
    finally:
        fetcher.close()
        server.stop()


class Sink:
    """The local receive."""

    def __init__(self, failure: ZrError | None = None) -> None:
        self.came = b""
        self.failure = failure
        self.whole = False

    def receive(self, fd: int) -> Committed:
        with open(fd, "rb", buffering=0) as pipe:
            while octets := pipe.read(1 << 20):
                self.came += octets
                if self.failure is not None:
                    raise self.failure
        if self.came != stream_of(BODY):
            raise Passing("stream-cut", "It was cut.")
        self.whole = True
        return Committed(7, 1)


def reason(work: object) -> str:
    with pytest.raises(ZrError) as caught:
        work()  # type: ignore[operator]
    return caught.value.reason


def test_lists_and_a_stream_on_one_connection(tmp_path: Path) -> None:
    shelf, sink = Shelf(), Sink()
    counted: list[int] = []
    with serving(Site(tmp_path), shelf) as fetcher:
        assert fetcher.observe_copies() == (shelf.copy,)
        assert fetcher.observe_versions(LANE) == (shelf.snapshot,)
        assert fetcher.fetch(LANE, 7, sink.receive, counted.append).guid == 7
        again = Sink()
        fetcher.fetch(LANE, 7, again.receive, counted.append)
        assert fetcher.observe_copies() == (shelf.copy,)
    assert sink.whole
    assert again.whole
    assert sum(counted) == 2 * len(stream_of(BODY))
    assert shelf.sources[0] == ALPHA.uuid, "who asks is proven, not said"


def test_what_the_peer_refuses(tmp_path: Path) -> None:
    other = LANE.replace("3", "4")
    with serving(Site(tmp_path), Shelf()) as fetcher:
        assert reason(lambda: fetcher.observe_versions(other)) == "no-such-copy"
        for guid in (8, 9):
            with pytest.raises(Standing) as caught:
                fetcher.fetch(LANE, guid, Sink().receive, lambda _: None)
            assert caught.value.reason == "snapshot-missing"
    with serving(Site(tmp_path), None) as fetcher:
        assert reason(fetcher.observe_copies) == "not-a-target"


def test_another_stream_than_was_asked_for_is_not_taken(tmp_path: Path) -> None:
    sink = Sink()
    with serving(Site(tmp_path), Shelf()) as fetcher, pytest.raises(Corrupt) as caught:
        fetcher.fetch(LANE, 666, sink.receive, lambda _: None)
    assert caught.value.reason == "protocol"
    assert sink.came == b""


def test_a_receive_that_fails_is_its_own_cause(tmp_path: Path) -> None:
    shelf = Shelf()
    sink = Sink(Passing("no-space", "Full."))
    with serving(Site(tmp_path), shelf) as fetcher:
        assert reason(lambda: fetcher.fetch(LANE, 7, sink.receive, lambda _: None)) == "no-space"
        assert shelf.zfs.ended.wait(5), "the far end lets go"
        assert fetcher.observe_copies() == (shelf.copy,), "on a new connection"


def test_the_asking_end_can_stop_it(tmp_path: Path) -> None:
    shelf, sink = Shelf(), Sink()

    def enough(_: int) -> None:
        raise Passing("no-space", "Enough.")

    with serving(Site(tmp_path), shelf) as fetcher:
        assert reason(lambda: fetcher.fetch(LANE, 7, sink.receive, enough)) == "no-space"
        assert shelf.zfs.ended.wait(5)
    assert not sink.whole


def test_a_send_that_fails_commits_nothing(tmp_path: Path) -> None:
    shelf, sink = Shelf(), Sink()
    shelf.zfs.fail_after[f"back/zr/alpha/tank/a@{NAME}"] = (
        1 << 20,
        Corrupt("io-error", "The disk."),
    )
    with serving(Site(tmp_path), shelf) as fetcher, pytest.raises(ZrError):
        fetcher.fetch(LANE, 7, sink.receive, lambda _: None)
    assert not sink.whole


def test_a_slow_receiver_does_not_look_dead(tmp_path: Path) -> None:
    gate = threading.Event()
    sink = Sink()

    def slow(fd: int) -> Committed:
        gate.wait(1.6)  # longer than the silence that the limits allow
        return sink.receive(fd)

    with serving(Site(tmp_path), Shelf()) as fetcher:
        fetcher.fetch(LANE, 7, slow, lambda _: None)
    assert sink.whole


def test_an_older_peer_is_not_asked(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.server_hello = replace(hello_of(BETA), features=("zstd",))
    with serving(site, Shelf()) as fetcher:
        assert reason(fetcher.observe_copies) == "peer-version"


@pytest.mark.parametrize("lane", ["", "../x", "tank/a", LANE.upper().replace("3", "A")])
def test_impossible_questions_are_damage(lane: str) -> None:
    import json

    with pytest.raises(Corrupt):
        parse_fetch(json.dumps(encode(FetchStream(lane, 7))).encode())
    with pytest.raises(Corrupt):
        parse_fetch(json.dumps(encode(FetchStream(LANE, 0))).encode())
    copy = CopyName(LANE, "tank/a", Kind.FILESYSTEM, False)
    for wrong in (
        Copies((replace(copy, dataset="tank/../x"),)),
        Copies((replace(copy, properties={"mountpoint": "/x\0"}),)),
        Copies(snapshots=(Snapshot(1, 1, "a/b", 1),)),
        Copies(snapshots=(Snapshot(1, 1, "-x@y", 1),)),
    ):
        with pytest.raises(Corrupt):
            parse_copies(json.dumps(encode(wrong)).encode())


@pytest.fixture
def pools() -> ModelPools:
    """beta's pool: replicas of alpha and of gamma, and a dataset of its own."""
    pools = ModelPools({"back": 1 << 30})
    for name in ("zr", "zr/alpha", "zr/alpha/tank", "zr/gamma", "zr/gamma/tank", "own"):
        pools.make_dataset(f"back/{name}")
    for node, lane in (("alpha", LANE), ("gamma", LANE.replace("3", "5"))):
        dataset = pools.make_dataset(f"back/zr/{node}/tank/a")
        dataset.local |= {"zr:lane": lane, "zr:orig:mountpoint": "/srv"}
        pools.take(dataset, NAME, pools.pools["back"])
    return pools


def test_a_node_sees_and_gets_only_what_is_its_own(pools: ModelPools) -> None:
    kept = KeptCopies([Place("back/zr/alpha", ALPHA)], ModelZfs(pools), Readers(MachineClock()))
    (copy,) = kept.observe_copies(ALPHA.uuid)
    assert (copy.lane, copy.dataset, copy.properties) == (LANE, "tank/a", {"mountpoint": "/srv"})
    (snapshot,) = kept.observe_versions(ALPHA.uuid, LANE)
    assert snapshot.name == NAME
    assert kept.find_version(ALPHA.uuid, LANE, snapshot.guid) == (copy, snapshot)
    gammas = LANE.replace("3", "5")
    theirs = pools.dataset("back/zr/gamma/tank/a").snapshots[0].guid
    assert reason(lambda: kept.observe_versions(ALPHA.uuid, gammas)) == "no-such-copy"
    assert reason(lambda: kept.find_version(ALPHA.uuid, LANE, theirs)) == "snapshot-missing"
    assert reason(lambda: kept.observe_copies(BETA.uuid)) == "not-a-target"
    read_end, write_end = os.pipe()
    assert reason(lambda: kept.send_version(ALPHA.uuid, gammas, theirs, write_end)) == (
        "no-such-copy"
    )
    assert os.read(read_end, 1) == b"", "the pipe was closed"
    os.close(read_end)


def test_a_copy_comes_as_zfs_sends_it(pools: ModelPools) -> None:
    kept = KeptCopies([Place("back/zr/alpha", ALPHA)], ModelZfs(pools), Readers(MachineClock()))
    (snapshot,) = kept.observe_versions(ALPHA.uuid, LANE)
    read_end, write_end = os.pipe()
    kept.send_version(ALPHA.uuid, LANE, snapshot.guid, write_end)
    assert len(os.read(read_end, 1 << 16)) > 312
    os.close(read_end)


def test_pages_are_asked_for_and_looked_at(tmp_path: Path) -> None:
    shelf = Shelf()
    with serving(Site(tmp_path), shelf) as fetcher:
        page = fetcher.read_far_page(LANE, 7, START, Form.TREE, True, True)
        assert (page.next.path, page.records) == ("a%20b", ("e . directory", "e a%20b file"))
        assert fetcher.observe_copies() == (shelf.copy,), "on the same connection"
        with pytest.raises(Standing) as caught:
            fetcher.read_far_page(LANE, 8, START, Form.TREE, True, False)
        assert caught.value.reason == "snapshot-missing"
    assert shelf.sources[0] == ALPHA.uuid


def test_a_peer_that_cannot_read_its_copies_is_said_to_be_old(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.server_hello = replace(site.server_hello, features=("zstd", "fetch"))
    with serving(site, Shelf()) as fetcher:
        assert (
            reason(lambda: fetcher.read_far_page(LANE, 7, START, Form.TREE, True, True))
            == "peer-version"
        )
        assert fetcher.observe_copies()


SUBJECT = Subject(LANE, "tank/a", "beta", NAME, 7)
PROOF = Proof(
    1, Way.DRILL, Verdict.DAMAGED, SUBJECT, 5, 9, 3, 4096, restore_seconds=1.5, wrong=1,
    differences=(Difference("a", Wrong.DIFFERS),), why="a \x1b[31mis\x1b[0m red",
)  # fmt: skip


def test_the_target_is_told_what_came_of_a_proof(tmp_path: Path) -> None:
    shelf = Shelf()
    with serving(Site(tmp_path), shelf) as fetcher:
        fetcher.tell_proof(PROOF)
        assert fetcher.observe_copies() == (shelf.copy,), "on the same connection"
    ((source, told),) = shelf.proofs
    assert source == ALPHA.uuid
    assert told == replace(PROOF, differences=(), why="a  [31mis [0m red"), "fit for a terminal"


@pytest.mark.parametrize(
    "change",
    [
        {"subject": replace(SUBJECT, lane="x")},
        {"subject": replace(SUBJECT, guid=0)},
        {"subject": replace(SUBJECT, dataset="../x")},
        {"differences": PROOF.differences},
        {"restore_seconds": -1.0},
    ],
)
def test_proofs_that_no_honest_peer_tells(change: dict[str, object]) -> None:
    told = TellProof(replace(PROOF, differences=()))
    assert parse_fetch(json.dumps(encode(told)).encode())
    bad = TellProof(replace(told.proof, **change))  # type: ignore[arg-type]
    with pytest.raises(Corrupt):
        parse_fetch(json.dumps(encode(bad)).encode())


def test_what_was_told_outlives_the_daemon_and_is_of_its_source_only(pools: ModelPools) -> None:
    journal = ModelJournal(MachineClock())
    places, zfs = [Place("back/zr/alpha", ALPHA)], ModelZfs(pools)
    kept = KeptCopies(places, zfs, Readers(MachineClock()), told=ToldProofs(journal))
    kept.store_proof(ALPHA.uuid, PROOF)
    assert reason(lambda: kept.store_proof(BETA.uuid, PROOF)) == "not-a-target"
    again = ToldProofs(journal)
    assert again.last(ALPHA.uuid, LANE) == LastProofs(drilled=PROOF)
    assert again.last(BETA.uuid, LANE) == LastProofs()


@pytest.mark.parametrize(
    "change",
    [
        {"path": "a/../b"},
        {"path": "a b"},
        {"done": -1},
        {"chain": "0" * 63},
        {"chain": "G" * 64},
        {"path": "%61"},
    ],
)
def test_positions_that_no_honest_peer_sends(change: dict[str, object]) -> None:
    fetch = encode(FetchPage(LANE, 7, START, Form.TREE, True, False))
    fetch["after"].update(change)
    with pytest.raises(Corrupt) as caught:
        parse_fetch(json.dumps(fetch).encode())
    assert caught.value.reason == "protocol"


@pytest.mark.parametrize("records", [["q a 0"], ["e"], ["c a x 1 2"], [7]])
def test_records_that_no_honest_peer_sends(records: list[object]) -> None:
    page = encode(Page(START, True, 0, 0, 0, True)) | {"records": records}
    with pytest.raises(Corrupt):
        parse_page(json.dumps(page).encode())
