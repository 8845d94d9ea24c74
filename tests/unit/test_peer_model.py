"""Model ZFS at both ends, real TLS between: a stream is cut, resumed, followed by an increment."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.unit.peer_support import Proxy, Site, Vault, lane_of, random_body, serving, wait_for
from zrepl_py.errors import Passing
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import join_snapshot
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.plan import Resume, SendFull, SendIncrement
from zrepl_py.model.wire import Begin, Committed, LaneName
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

REPLICA = "back/a"
NAME = "zr_1-9f3a21cc_{}_20261121T081500Z"


@dataclass
class ModelVault(Vault):
    """A target whose replica of the one lane is back/a."""

    zfs: ModelZfs = field(default_factory=lambda: machine("back"))

    def observe_replica(self, source: str, lane: LaneName) -> ReplicaView:
        held = {d.name for d in self.zfs.observe_datasets("back")}
        if REPLICA not in held:
            return ReplicaView(False)
        history = self.zfs.observe_history(REPLICA)
        return ReplicaView(True, history, self.zfs.observe_resume(REPLICA))

    def receive(self, source: str, begin: Begin, fd: int) -> Committed:
        name = join_snapshot(REPLICA, begin.to_name)
        self.began.set()
        try:
            self.zfs.receive(
                name, fd=fd, to_guid=begin.to_guid, from_guid=begin.from_guid, raw=begin.raw
            )
        finally:
            self.ended.set()
        newest = self.zfs.observe_history(REPLICA).newest
        assert newest is not None
        return Committed(newest.guid, newest.createtxg)


def machine(pool: str) -> ModelZfs:
    return ModelZfs(ModelPools({pool: 1 << 30}, seed=len(pool) + ord(pool[0])))


def contents(zfs: ModelZfs, dataset: str) -> dict[str, bytes]:
    return {name: file.content for name, file in zfs.pools.dataset(dataset).files.items()}


def take(zfs: ModelZfs, seq: int) -> Snapshot:
    zfs.snapshot_changed({"tank/a": None}, NAME.format(seq))
    newest = zfs.observe_history("tank/a").newest
    assert newest is not None
    return newest


def test_a_cut_stream_is_resumed_and_followed_by_an_increment(tmp_path: Path) -> None:
    alpha = machine("tank")
    alpha.create_placeholder("tank/a")
    alpha.pools.write("tank/a", "big", random_body(3_000_000))
    first = take(alpha, 1)
    vault = ModelVault()
    site = Site(tmp_path, vault=vault, zfs=alpha)  # type: ignore[arg-type]
    with serving(site):
        proxy = Proxy(site.server.port)
        proxy.cut_at = 1_500_000
        lossy, peer = site.client(proxy.port), site.client()
        assert not peer.observe_replica(lane_of()).exists
        with pytest.raises(Passing):
            lossy.transfer(lane_of(), SendFull(first))
        wait_for(vault.ended.is_set)
        resume = peer.observe_replica(lane_of()).resume
        assert resume is not None
        assert resume.to_guid == first.guid
        assert 0 < resume.bytes_received < 1_500_000
        step = Resume(None, first, resume.object, resume.offset)
        assert peer.transfer(lane_of(), step).guid == first.guid
        alpha.pools.write("tank/a", "small", b"more")
        second = take(alpha, 2)
        peer.transfer(lane_of(), SendIncrement(first, second))
        held = peer.observe_replica(lane_of())
        assert [s.guid for s in held.history.snapshots] == [first.guid, second.guid]
        assert contents(vault.zfs, REPLICA) == contents(alpha, "tank/a")
        lossy.close()
        peer.close()
        proxy.close()
