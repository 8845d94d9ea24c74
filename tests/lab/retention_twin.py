"""The same history in the model of ZFS, and what zr's pure core says of it there.

What a real node's `zr retention plan` must say is computed here, on the host, from a model that
was given the same snapshots, holds, clones and bookmarks; nothing of the real pools goes in but
the seconds that their clocks said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from zrepl_py.cli.retention_find import Around, Looked, Meant, judge_look
from zrepl_py.cli.retention_say import describe_look
from zrepl_py.core.pins import pin_bases, pin_dependents
from zrepl_py.core.retention import join_pins, own_of
from zrepl_py.engine.commands import run
from zrepl_py.engine.prune import Doom, Pruned, prune
from zrepl_py.model.names import join_snapshot, parse_tick, render_cursor, render_hold
from zrepl_py.model.policy import Policy
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools, Version

from .past import Moment

REPLICAS = "back/zr"


class Twin:
    """Both nodes' pools, as the model has them."""

    def __init__(self) -> None:
        self._now = 0.0
        self.pools = ModelPools({"tank": 1 << 30, "back": 1 << 30}, now=lambda: self._now)
        self.zfs = ModelZfs(self.pools)
        self.pools.make_dataset(REPLICAS)

    def take(self, dataset: str, moments: Iterable[Moment]) -> None:
        """The same snapshots."""
        for moment in moments:
            self._now = moment.at
            self.pools.foreign_snapshot(f"{dataset}@{moment.name}")

    def replicate(self, dataset: str, nodes: Mapping[str, str]) -> str:
        """What zr's lanes leave when all was sent; returns the replica. `nodes`: name → the first
        8 hex digits of its uuid."""
        replica = f"{REPLICAS}/alpha/{dataset}"
        self.zfs.create_placeholder(replica.rpartition("/")[0])
        base: Version | None = None
        for version in self._own(dataset):
            whole = join_snapshot(dataset, version.name)
            since = join_snapshot(dataset, base.name) if base else None
            stream = self.zfs.stream_of(whole, since, raw=False, resume=None)
            guids = {"to_guid": version.guid, "from_guid": base.guid if base else 0}
            self.zfs.receive_stream(
                join_snapshot(replica, version.name), stream, raw=False, **guids
            )
            base = version
        assert base is not None
        for where, other in ((dataset, "beta"), (replica, "alpha")):
            self.zfs.hold([join_snapshot(where, base.name)], render_hold(nodes[other]))
        cursor = f"{dataset}#{render_cursor(nodes['beta'], base.guid)}"
        self.zfs.bookmark(join_snapshot(dataset, base.name), cursor)
        return replica

    def look(
        self, name: str, policy: Policy, node: str, peers: Mapping[str, str], now: float
    ) -> Looked:
        """What is seen of a dataset or replica, and what follows."""
        own = not name.startswith(f"{REPLICAS}/")
        dataset = name if own else name.removeprefix(f"{REPLICAS}/alpha/")
        meant = Meant(name, "alpha", dataset, policy, policy.keep[node])
        history = self.zfs.observe_history(name)
        names = {join_snapshot(name, s.name): s.guid for s in own_of(history)}
        stands = self.zfs.observe_dependents(tuple(names))
        found = {names[snapshot]: dependents for snapshot, dependents in stands.items()}
        pins = join_pins(pin_dependents(found, peers, {}), pin_bases(history, peers))
        around = Around(peers, self.zfs.observe_pool(name.partition("/")[0]))
        return judge_look(meant, history, pins, now, around)

    def apply(self, looked: Looked) -> Pruned:
        """Destroy what goes, and what goes when it is allowed."""
        removal = looked.removal
        going = tuple(v.snapshot for v in (*removal.doomed, *removal.withheld))
        doom = Doom(going, looked.history, frozenset(looked.pins))
        return run(prune({looked.meant.name: doom}), {"ZfsPort": self.zfs})

    def names(self, dataset: str) -> list[str]:
        """What is there, oldest first."""
        return [version.name for version in self.pools.dataset(dataset).snapshots]

    def _own(self, dataset: str) -> list[Version]:
        return [v for v in self.pools.dataset(dataset).snapshots if parse_tick(v.name)]


def fates(facts: Mapping[str, Any]) -> dict[str, tuple[int, str, tuple[str, ...]]]:
    """Of one dataset of `zr retention plan --json`: name → creation, fate, all reasons."""
    return {
        s["name"]: (s["created_at"], s["fate"], tuple(s["reasons"])) for s in facts["snapshots"]
    }


def expected_fates(looked: Looked) -> dict[str, tuple[int, str, tuple[str, ...]]]:
    """The same of the model."""
    return fates(describe_look(looked))
