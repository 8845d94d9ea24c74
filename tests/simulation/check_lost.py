"""Nothing that was acknowledged is lost, but by a verdict of retention or by a person."""

from typing import TYPE_CHECKING, Any

from zrepl_py.engine.commands import Command
from zrepl_py.events import Event
from zrepl_py.model.wire import Committed

if TYPE_CHECKING:
    from tests.simulation.link import Link
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site


class NothingLost:
    """An acknowledgement means: in the pool, and in the target's journal; and before the source
    says so, in its own: that is what it can show later."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self._journalled: set[tuple[str, int]] = set()
        self._proven: set[tuple[str, ...]] = set()
        """(source, dataset, target's uuid, snapshot)"""
        self._told: set[tuple[str, ...]] = set()
        """The same, of what the source said."""
        self._acknowledged: dict[tuple[str, int], str] = {}

    def after_append(self, node: "SimNode", command: Command, value: object) -> None:
        """A record is durable."""
        kind, fields = command.args
        if kind == "received":
            self._journalled.add((node.node.name, fields["guid"]))
        elif kind == "committed":
            sent = fields["dataset"], fields["target"], fields["name"]
            self._proven.add((node.node.name, *sent))

    def on_told(self, node: "SimNode", event: Event, fields: dict[str, Any]) -> None:
        """The source says that something is committed."""
        if event is not Event.LANE_COMMITTED:
            return
        target = next(n for n in self.site.nodes if n.node.name == fields["target"])
        sent = fields["dataset"], target.node.uuid, fields["snapshot"]
        if (node.node.name, *sent) not in self._proven:
            sentence = f"{node.node.name} calls {sent} committed, and its journal does not."
            self.site.watch.violation("lost", sentence)
        self._told.add((node.node.name, *sent))

    def on_booted(self, node: "SimNode") -> None:
        """What power left on the disk: all that was said before rests on it."""
        self._read_again(node)

    def _read_again(self, node: "SimNode") -> None:
        if node.journal.dropped:
            return  # in the year the oldest segments go
        name, records = node.node.name, node.journal.records
        received = {(name, r["guid"]) for r in records("received")}
        for key in self._acknowledged:
            if key[0] == name and key not in received:
                self._say(key, "was acknowledged and is not in the journal any more")
        committed = {(name, r["dataset"], r["target"], r["name"]) for r in records("committed")}
        for sent in self._told:
            if sent[0] == name and sent not in committed:
                sentence = f"{name} said that {sent[1:]} is committed; its journal has lost that."
                self.site.watch.violation("lost", sentence)

    def on_acknowledged(self, link: "Link", command: Command, committed: Committed) -> None:
        """The target said so."""
        target, guid = link.target, committed.guid
        key = (target.node.name, guid)
        self._acknowledged[key] = command.args[1].to.name
        by_hand = self.site.truth.destroyed.get(key) == "person"
        if not self._newest_is(target, guid) and guid not in self._present(target) and not by_hand:
            self._say(key, "is acknowledged, but not in the pool")
        if key not in self._journalled:
            self._say(key, "is acknowledged, but not in the journal")

    def at_end(self) -> None:
        """Every acknowledged one is there, or someone had the right to destroy it."""
        for node in self.site.nodes:
            self._read_again(node)
        for node in self.site.targets:
            present = self._present(node)
            for key in self._acknowledged:
                here = key[0] == node.node.name
                if here and key[1] not in present and key not in self.site.truth.destroyed:
                    self._say(key, "was acknowledged and is gone")

    def _newest_is(self, node: "SimNode", guid: int) -> bool:
        """Mostly so: it came just now."""
        datasets = (d for p in node.pools.pools.values() for d in p.datasets.values())
        return any(d.snapshots[-1].guid == guid for d in datasets if d.snapshots)

    def _present(self, node: "SimNode") -> set[int]:
        pools = node.pools.pools.values()
        return {v.guid for p in pools for d in p.datasets.values() for v in d.snapshots}

    def _say(self, key: tuple[str, int], what: str) -> None:
        name = self._acknowledged[key]
        self.site.watch.violation("lost", f"{name} (guid {key[1]}) {what} of {key[0]}.")
