"""No snapshot goes that is held, pinned, the last common base, the newest, or wanted by retention.

Verdicts are judged again here, in another way than core/retention.py: by counting in the truth.
"""

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.simulation.people import is_replica
from tests.simulation.truth import own_versions
from zrepl_py.engine.commands import Command
from zrepl_py.events import Event
from zrepl_py.model.names import parse_tick, render_hold
from zrepl_py.model.observation import DestroyOutcome
from zrepl_py.model.policy import Keep

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

KNOWN_SECONDS = 60.0


class Destroys:
    """Checked before and after every destroy."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self._base: dict[tuple[str, str], tuple[str, float]] = {}
        """(dataset's name, target) → the base that the source knows, and since when."""
        self._gone: Counter[tuple[str, str]] = Counter()

    def on_booted(self, node: "SimNode") -> None:
        """What was remembered is forgotten."""
        self._gone.clear()

    def on_told(self, node: "SimNode", event: Event, fields: dict[str, Any]) -> None:
        """Remember what a source knows to be committed."""
        if event is Event.LANE_COMMITTED:
            key = (fields["dataset"], fields["target"])
            self._base[key] = (fields["snapshot"], self.site.loop.now)
        elif event is Event.LANE_FAILED:
            self._base.pop((fields["dataset"], fields["target"]), None)

    def before_destroy_snapshots(self, node: "SimNode", command: Command) -> None:
        """What is asked for."""
        for name, guid in command.args[0].items():
            dataset_name, _, short = name.partition("@")
            found = node.pools.find(dataset_name)
            version = found.snapshot(short) if found else None
            if found is None or version is None or version.guid != guid:
                continue  # ZFS will refuse
            if parse_tick(short) is None:
                self._say(node, name, "is not ours")
            if version is own_versions(found)[-1]:
                self._say(node, name, "is the newest")
            if not is_replica(node, found):
                self._check_base(node, dataset_name, short, guid)
            if not version.holds:
                self._check_verdict(node, name, guid)

    def before_release(self, node: "SimNode", command: Command) -> None:
        """The source lets go of a hold: not while the target has nothing newer."""
        for name in command.args[0]:
            version = node.pools.version(name)
            found = node.pools.find(name.partition("@")[0])
            if found is None or is_replica(node, found):
                continue
            for target, _ in self.site.links_from(node):
                if version is None or command.args[1] != render_hold(target.node.short):
                    continue
                dataset = self.site.truth.dataset_of[version.guid]
                arrived = self.site.truth.arrived.get((target.node.name, dataset), [0])
                if arrived[-1] == version.guid:
                    sentence = (
                        f"{node.node.name} releases {name}, the newest that {target.node.name} has."
                    )
                    self.site.watch.violation("destroys", sentence)

    def _check_base(self, node: "SimNode", dataset: str, short: str, guid: int) -> None:
        for target, _ in self.site.links_from(node):
            base, since = self._base.get((dataset, target.node.name), ("", 0.0))
            arrived = self.site.truth.arrived.get(
                (target.node.name, self.site.truth.dataset_of[guid]), [0]
            )
            known = self.site.loop.now - since > KNOWN_SECONDS
            if base == short and known and arrived[-1] == guid:
                self._say(node, f"{dataset}@{short}", f"is the base of {target.node.name}")

    def _check_verdict(self, node: "SimNode", name: str, guid: int) -> None:
        truth = self.site.truth
        dataset = truth.dataset_of[guid]
        policy = truth.order_of[dataset].policy
        keep, limits = policy.keep.get(node.node.name, Keep()), policy.limits
        lineage = truth.lineages[dataset]
        if node.node.name == policy.source:
            newer = lineage.guids[lineage.place[guid] + 1 :]
        else:
            arrived = truth.arrived[node.node.name, dataset]
            newer = arrived[arrived.index(guid) + 1 :]
        if len(newer) >= limits.max_snapshots:
            return
        label = lineage.labels[lineage.place[guid]]
        old = keep.within_seconds is None or any(
            lineage.labels[lineage.place[g]] - label > keep.within_seconds for g in newer
        )
        if keep == Keep() or (keep.last is not None and len(newer) < keep.last) or not old:
            self._say(node, name, f"is wanted by {keep}")

    def after_destroy_snapshots(
        self, node: "SimNode", command: Command, value: list[DestroyOutcome]
    ) -> None:
        """What went."""
        for outcome in value:
            if outcome.destroyed:
                guid = command.args[0][outcome.name]
                self.site.truth.destroyed[node.node.name, guid] = "retention"
            elif outcome.cause == "gone":
                self._gone[node.node.name, outcome.name] += 1
                if self._gone[node.node.name, outcome.name] > 1:
                    self._say(node, outcome.name, "was told twice that it is gone")

    def _say(self, node: "SimNode", name: str, why: str) -> None:
        sentence = f"{node.node.name} destroys {name}, but it {why}."
        self.site.watch.violation("destroys", sentence)
