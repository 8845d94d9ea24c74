"""Who answers when retention asks (core/caution.py)? A person, after hours, by what `zr retention
plan` shows them: they allow the plan as `zr retention apply` performs it, or find the clock wrong
and wait. Nobody is asked for ever: they look again until nothing is asked any more.
"""

from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.people import is_replica
from tests.simulation.truth import own_versions
from zrepl_py.cli.retention_find import Around, Looked, Meant, look_through
from zrepl_py.engine.prune import Doom, prune
from zrepl_py.errors import Bug, ZrError
from zrepl_py.model.policy import Keep

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

HOURS = (1.0, 12.0)
HURRY_SECONDS = (30.0, 120.0)
"""Once everything else is well, they sit at the desk."""

Question = tuple[str, str]
"""(node's name, dataset as that node calls it)"""


class Answers:
    """The questions that are open."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self.open: set[Question] = set()
        self.answered_at: dict[Question, float] = {}
        """When a plan was last allowed: what a daemon remembers may be older for an hour."""
        self._random = Random(f"{site.seed}/answers")
        self._hurried = False

    def asked(self, node: "SimNode", fields: dict[str, Any]) -> None:
        """The event `retention-asks`."""
        key = (node.node.name, fields["dataset"])
        if key not in self.open:
            self.open.add(key)
            self._later(node, key)

    def hurry(self) -> None:
        """All that is open is answered within minutes, and what comes too."""
        self._hurried = True
        for node in self.site.nodes:
            for key in sorted(k for k in self.open if k[0] == node.node.name):
                self._later(node, key)

    def _later(self, node: "SimNode", key: Question) -> None:
        first, last = (s * 3600 for s in HOURS) if not self._hurried else HURRY_SECONDS
        self.site.loop.after(self._random.uniform(first, last), lambda: self._answer(node, key))

    def _answer(self, node: "SimNode", key: Question) -> None:
        if key not in self.open:
            return
        try:
            seen = self._look(node, key[1])
        except ZrError:
            self._later(node, key)  # the pool is suspended: first that
            return
        if seen is None or seen.removal.doubt is None:
            self.open.discard(key)
            return
        if node.up and not node.frozen and not self._waits(seen):
            self._allow(node, key, seen)
        self._later(node, key)

    def _waits(self, seen: Looked) -> bool:
        """A clock that was wrong is believed again after 18 hours anyway."""
        doubt = seen.removal.doubt
        return doubt is not None and doubt.reason == "clock" and self._random.random() < 0.5

    def _allow(self, node: "SimNode", key: Question, seen: Looked) -> None:
        doomed = tuple(v.snapshot for v in (*seen.removal.doomed, *seen.removal.withheld))
        self.answered_at[key] = self.site.loop.now
        self.site.truth.allowed |= {s.guid for s in doomed}
        self.site.watch.seen["retention apply"] += 1
        self.site.trace(node, "PERSON allows", key[1], f"{len(doomed)} snapshots")
        doom = Doom(doomed, seen.history, frozenset(seen.pins))
        assert node.tasks is not None
        node.tasks.run(prune({key[1]: doom}), {"ZfsPort": node.zfs}, self._done(node))

    def _done(self, node: "SimNode") -> Any:
        def done(_: Any, error: Exception | None) -> None:
            if isinstance(error, Bug):
                node.broken(error)

        return done

    def _look(self, node: "SimNode", name: str) -> Looked | None:
        """What `zr retention plan` shows of one dataset; None: it is gone. Errors: those of ZFS."""
        found = node.pools.find(name)
        own = own_versions(found) if found is not None else []
        if found is None or not own:
            return None
        truth = self.site.truth
        policy = truth.order_of[truth.dataset_of[own[-1].guid]].policy
        keep = policy.keep.get(node.node.name, Keep())
        there = f"its source's {name}" if is_replica(node, found) else name
        meant = Meant(name, policy.source, there, policy, keep)
        peers = {target.node.short: target.node.name for target, _ in self.site.links_from(node)}
        around = Around(peers, node.zfs.observe_pool(name.split("/")[0]))
        return look_through(node.zfs, meant, around, {}, node.clock.now())
