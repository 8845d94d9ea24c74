"""A tick's manifest tells the truth: at its instant, each member contained what it names."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.simulation.truth import Content
from zrepl_py.core.codec import decode
from zrepl_py.daemon.source import TOLD_AGAIN
from zrepl_py.engine.commands import Command
from zrepl_py.model.site import Manifest

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site


class ManifestsTrue:
    """Compares with what the files contained when the snapshots were taken."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self._instant: Mapping[str, Content] = {}
        self._seqs: set[int] = set()
        self._stored: dict[str, list[int]] = {t.node.name: [0] for t in site.targets}
        self._excused: set[int] = set()

    def before_snapshot_changed(self, node: "SimNode", command: Command) -> None:
        """The instant."""
        live = self.site.truth.live
        self._instant = {
            name: live.get(found.guid, {})
            for name in command.args[0]
            if (found := node.pools.find(name)) is not None
        }

    def after_append(self, node: "SimNode", command: Command, value: object) -> None:
        """A manifest was journalled, by the source or by a target."""
        kind, fields = command.args
        if kind == "tick":
            self._check(decode(Manifest, fields["manifest"]))
        elif kind == "manifest":
            manifest: Manifest = decode(Manifest, fields["manifest"])
            stored = self._stored[node.node.name]
            if manifest.seq <= stored[-1]:
                self._say(f"tick {manifest.seq} came to {node.node.name} after {stored[-1]}.")
            stored.append(manifest.seq)

    def on_booted(self, node: "SimNode") -> None:
        """After a start only the newest ticks are told again. What was not yet acknowledged may be
        in the journal all the same."""
        if node is self.site.alpha:
            self._excused |= set(sorted(self._seqs)[:-TOLD_AGAIN])
            return
        before = self._stored[node.node.name]
        records = node.journal.records("manifest")
        after = [0, *(decode(Manifest, r["manifest"]).seq for r in records)]
        if not set(before) <= set(after):
            self._say(f"{node.node.name} forgot ticks {set(before) - set(after)} in a crash.")
        self._stored[node.node.name] = after

    def _check(self, manifest: Manifest) -> None:
        if manifest.seq in self._seqs:
            self._say(f"tick {manifest.seq} was given twice.")
        self._seqs.add(manifest.seq)
        if manifest.members.keys() != self._instant.keys():
            self._say(f"tick {manifest.seq} names other datasets than it snapshotted.")
        for dataset, guid in manifest.members.items():
            if self.site.truth.content.get(guid) != self._instant.get(dataset):
                self._say(f"tick {manifest.seq} says that guid {guid} is {dataset} at its instant.")

    def at_end(self) -> None:
        """Targets know of every tick."""
        for name, stored in self._stored.items():
            lacking = sorted(self._seqs - self._excused - set(stored))
            if lacking:
                self._say(f"{name} was never told of the ticks {lacking}.")

    def _say(self, sentence: Any) -> None:
        self.site.watch.violation("manifests", sentence)
