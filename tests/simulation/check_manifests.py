"""A tick's manifest tells the truth: at its instant, each member contained what it names."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.simulation.truth import Content
from zrepl_py.daemon.manifests import KEPT
from zrepl_py.daemon.source import TOLD_AGAIN
from zrepl_py.engine.commands import Command

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

Told = tuple[str, str, str]
"""(target, source, group): within one, ticks come in order."""


class ManifestsTrue:
    """Compares with what the files contained when the snapshots were taken."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self._instant: dict[tuple[str, str], Mapping[str, Content]] = {}
        """(source, snapshot's name) → what the members contained."""
        self._seqs: dict[str, dict[int, str]] = {s.node.name: {} for s in site.sources}
        """Source → tick → its group."""
        self._stored: dict[Told, list[int]] = {}
        self._excused: dict[str, set[int]] = {s.node.name: set() for s in site.sources}
        self._names = {s.node.uuid: s.node.name for s in site.sources}

    def before_snapshot_changed(self, node: "SimNode", command: Command) -> None:
        """The instant."""
        live = self.site.truth.live
        self._instant[node.node.name, command.args[1].split("_")[2]] = {
            name: live.get(found.guid, {})
            for name in command.args[0]
            if (found := node.pools.find(name)) is not None
        }

    def after_append(self, node: "SimNode", command: Command, value: object) -> None:
        """A manifest was journalled, by the source or by a target."""
        kind, fields = command.args
        if kind == "tick":
            self._check(node, fields["manifest"])
        elif kind == "manifest":
            group, seq = fields["manifest"]["group"], fields["manifest"]["seq"]
            source = self._names[fields["source"]]
            stored = self._stored.setdefault((node.node.name, source, group), [0])
            if seq <= stored[-1]:
                self._say(f"tick {seq} came to {node.node.name} after {stored[-1]}.")
            # The very first may have been journalled in the moment of a cut, and known to nobody.
            if next(reversed(self._seqs[source]), seq) - seq >= KEPT - 1:  # away for over a week
                self._excused[source].update(range(stored[-1] + 1, seq))
            stored.append(seq)

    def on_booted(self, node: "SimNode") -> None:
        """After a start only the newest ticks are told again. What was not yet acknowledged may be
        in a journal all the same, here or on a target."""
        name = node.node.name
        if name in self._seqs:
            ticks: list[Any] = [record["manifest"] for record in node.journal.records("tick")]
            told_again = {manifest["seq"] for manifest in ticks[-TOLD_AGAIN:]}
            self._excused[name] |= self._seqs[name].keys() - told_again
        after: dict[Told, list[int]] = {}
        for record in node.journal.records("manifest"):
            told: Any = record["manifest"]
            key = (name, self._names[str(record["source"])], told["group"])
            after.setdefault(key, [0]).append(told["seq"])
        for key, before in self._stored.items():
            if key[0] != name:
                continue
            there = after.setdefault(key, [0])
            if node.journal.dropped:  # the oldest lines, as it should
                there[:1] = before[: bisect_left(before, there[1])]
            if not set(before) <= set(there):
                self._say(f"{name} forgot ticks {set(before) - set(there)} in a crash.")
        self._stored.update(after)

    def _check(self, node: "SimNode", manifest: dict[str, Any]) -> None:
        known, seq, members = self._seqs[node.node.name], manifest["seq"], manifest["members"]
        if seq in known:
            self._say(f"tick {seq} was given twice.")
        known[seq] = manifest["group"]
        instant = self._instant.pop((node.node.name, str(seq)), {})
        if members.keys() != instant.keys():
            self._say(f"tick {seq} names other datasets than it snapshotted.")
        for dataset, guid in members.items():
            if self.site.truth.content.get(guid) != instant.get(dataset):
                self._say(f"tick {seq} says that guid {guid} is {dataset} at its instant.")

    def at_end(self) -> None:
        """Targets know of every tick."""
        for link in self.site.links:
            source, target = link.source.node.name, link.target.node.name
            for order in self.site.orders:
                policy, group = order.policy, f"{order.policy.name}/{order.pool}"
                if policy.source != source or target not in policy.targets:
                    continue
                wanted = {seq for seq, known in self._seqs[source].items() if known == group}
                stored = self._stored.get((target, source, group), [])
                lacking = sorted(wanted - self._excused[source] - set(stored))
                if lacking:
                    self._say(f"{target} was never told of the ticks {lacking} of {group}.")

    def _say(self, sentence: Any) -> None:
        self.site.watch.violation("manifests", sentence)
