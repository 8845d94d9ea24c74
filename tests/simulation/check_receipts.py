"""Receipts never lie: what one names was on the target when the target said so, and contains all
that was written before `zr sync` was called.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from zrepl_py.core.codec import decode
from zrepl_py.core.receipts import receipt_id
from zrepl_py.engine.commands import Command
from zrepl_py.model.policy import Policy
from zrepl_py.model.receipt import Receipt

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site


class ReceiptsTrue:
    """Looks at every receipt that is journalled on either side, and at every one that is shown."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self._confirmed: set[str] = set()

    def after_append(self, node: "SimNode", command: Command, value: object) -> None:
        """The target confirms first, then the source journals it too."""
        kind, fields = command.args
        if kind != "receipt":
            return
        receipt: Receipt = decode(Receipt, fields["receipt"])
        if receipt.target == node.node.uuid:
            self._confirmed.add(fields["id"])
            there = {
                v.guid for d in node.pools.pools[node.pool].datasets.values() for v in d.snapshots
            }
            for held in receipt.holdings:
                if held.guid not in there and not self._by_hand(node, held.guid):
                    self._say(f"{node.node.name} confirms {held.name} and has it not")
        elif fields["id"] not in self._confirmed:
            self._say(f"{node.node.name} journals a receipt that was never confirmed")

    def on_synced(self, node: "SimNode", begun: float, known_as: str) -> None:
        """It is shown to the person who called `zr sync` at `begun`."""
        shown = [r for r in node.journal.records("receipt") if r["id"] == known_as]
        if not shown:
            self._say(f"receipt {known_as} is shown, but not journalled")
            return
        receipt: Receipt = decode(Receipt, shown[-1]["receipt"])
        if receipt_id(receipt) != known_as:
            self._say(f"receipt {known_as} has another content")
        for held in receipt.holdings:
            self._check_holding(held.guid, held.dataset, begun)
        self._check_ticks(node, receipt)

    def on_sync_done(self, node: "SimNode", receipts: Collection[Mapping[str, Any]]) -> None:
        """The last word to that person: every target of every group has confirmed."""
        groups = {group for shown in receipts for group in shown["receipt"]["ticks"]}
        confirmed = {shown["receipt"]["target_name"] for shown in receipts}
        for group in groups:
            lacking = set(self._policy(group).targets) - confirmed
            if lacking:
                self._say(f"zr sync is done, and {lacking} confirmed nothing of {group}")

    def _check_ticks(self, node: "SimNode", receipt: Receipt) -> None:
        """All members of the ticks that it names are in it; the target knows of these ticks; and
        what it says of before is said of before all of them."""
        target = next(n for n in self.site.nodes if n.node.uuid == receipt.target)
        held = {holding.lane for holding in receipt.holdings}
        ticks: list[Any] = [record["manifest"] for record in node.journal.records("tick")]
        known: list[Any] = [record["manifest"] for record in target.journal.records("manifest")]
        states = node.source.lanes.states.values()
        there = [s.lane for s in states if s.lane.target.name == receipt.target_name]
        lanes = {lane.dataset: lane.uuid for lane in there}
        for group, seq in receipt.ticks.items():
            tick = next(t for t in reversed(ticks) if (t["group"], t["seq"]) == (group, seq))
            if receipt.at > tick["at"]:
                self._say(f"a receipt speaks of {receipt.at}, its tick {seq} was at {tick['at']}")
            if not any((t["group"], t["seq"]) == (group, seq) for t in reversed(known)):
                self._say(f"a receipt names tick {seq} of {group}, which {target.node.name} lacks")
            lacking = [d for d in tick["members"] if d in lanes and lanes[d] not in held]
            if lacking:
                self._say(f"a receipt of tick {seq} of {group} lacks {lacking}")

    def _policy(self, group: str) -> Policy:
        return next(o.policy for o in self.site.orders if f"{o.policy.name}/{o.pool}" == group)

    def _check_holding(self, guid: int, dataset: str, begun: float) -> None:
        truth = self.site.truth
        content = truth.content.get(guid, {})
        for when, path, written in truth.writes.get(truth.dataset_of.get(guid, 0), ()):
            if when > begun:
                break
            if _number(content.get(path, b"write 0")) < _number(written):
                self._say(f"a receipt's {dataset} (guid {guid}) lacks {written[:30]!r}")
                return

    def _by_hand(self, node: "SimNode", guid: int) -> bool:
        return (node.node.name, guid) in self.site.truth.destroyed

    def _say(self, sentence: Any) -> None:
        self.site.watch.violation("receipts", f"{sentence}.")


def _number(content: bytes) -> int:
    """`write 17 of tank/a` → 17: later writes have higher numbers."""
    return int(content.split(b" ", 2)[1])
