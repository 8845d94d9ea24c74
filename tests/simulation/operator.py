"""What the operator types while things go wrong: `zr snapshot`, `zr replicate`, `zr status`,
`zr sync`, and a restart of the daemon. What the commands do is what the daemon does (service.py,
status.py, syncs.py there)."""

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from zrepl_py.daemon.progress import Progress
from zrepl_py.daemon.status import describe
from zrepl_py.daemon.syncs import Syncs
from zrepl_py.engine.commands import Engine
from zrepl_py.errors import Passing, ZrError

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

POLL_SECONDS = 10.0
POLLS = 360


class Operator:
    """Commands, by the names of their kinds."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self.deeds: dict[str, Callable[[Random], None]] = {
            "operator": self._types,
            "restart": self._restarts,
            "sync": self._syncs,
        }

    def _types(self, random: Random) -> None:
        node = random.choice(self.site.nodes)
        if not node.up or node.frozen:
            return
        self._status(node)
        if random.random() < 0.5:
            for key in node.source.policies:
                node.source.start_tick(key)
        else:
            node.source.lanes.wake_all()

    def _status(self, node: "SimNode") -> None:
        shown = describe(node.node, node.source, node.replicas, node.clock, Progress())
        json.dumps(shown)
        for lane in shown["lanes"]:
            self._check_lane(node, lane)

    def _check_lane(self, node: "SimNode", lane: Mapping[str, Any]) -> None:
        """What is shown as being on the target did arrive there."""
        truth, shown = self.site.truth, lane["committed"]
        dataset = node.pools.find(str(lane["dataset"]))
        if shown is None or dataset is None:
            return
        if lane["in_sync"] and lane["newest"] != shown:
            self.site.watch.violation("status", f"{node.node.name} calls {lane} in sync.")
        if "replica-destroyed" in self.site.scenario.faults:
            return  # the truth forgets what went with it
        came = truth.arrived.get((str(lane["target"]), dataset.guid), [])
        if all(truth.label[guid].name != shown for guid in reversed(came)):
            sentence = f"{node.node.name}: zr status says {lane}, and it never came there."
            self.site.watch.violation("status", sentence)

    def _restarts(self, random: Random) -> None:
        """`systemctl restart zr`: what was called written is written, and it is back at once."""
        node = random.choice(self.site.nodes)
        if node.up:
            node.crash(down_seconds=2.0)

    def _syncs(self, random: Random) -> None:
        node = random.choice(self.site.sources)
        if node.up and not node.frozen:
            _OneSync(node).begin()


class _OneSync:
    """One call of `zr sync`, until it is done, or until something tells that it never will be.

    Stands in for the daemon's agenda (`run`, `monitor`): an engine that is run from a call of the
    control socket blocks that call; here it ends later, and the call is told to look again.
    """

    def __init__(self, node: "SimNode") -> None:
        self._node, self._tasks = node, node.tasks
        self._begun = node.loop.now
        self._left = POLLS
        self._confirmed: dict[int, str | None] = {}
        """The port to a target → its receipt; None while it is asked for."""
        self.monitor = nullcontext()
        ports = {"ZfsPort": node.zfs, "JournalPort": node.journal}
        self._syncs = Syncs(node.source, self, node.clock, ports)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Tick now, and look from time to time."""
        token = self._syncs.begin()["sync"]
        self._node.loop.after(POLL_SECONDS, lambda: self._look(token))

    def _look(self, token: str) -> None:
        self._left -= 1
        if self._node.tasks is not self._tasks or self._left < 0:
            return
        try:
            shown = self._syncs.look(token)
        except ZrError:
            return  # the person is told why there is no receipt
        if shown["done"]:
            self._node.site.watch.sync_done(self._node, shown["receipts"])
        else:
            self._node.loop.after(POLL_SECONDS, lambda: self._look(token))

    def run(self, engine: Engine[str], ports: Mapping[str, Any]) -> str:
        """See Agenda.run."""
        assert self._tasks is not None
        target = id(ports["PeerPort"])
        known_as = self._confirmed.get(target)
        if known_as is not None:
            return known_as
        if target not in self._confirmed:
            self._confirmed[target] = None
            self._tasks.run(engine, ports, partial(self._issued, target))
        raise Passing("busy", "It is under way.")

    def _issued(self, target: int, known_as: str, error: Exception | None) -> None:
        if error is not None:
            del self._confirmed[target]
            return
        self._confirmed[target] = known_as
        self._node.site.watch.synced(self._node, self._begun, known_as)
