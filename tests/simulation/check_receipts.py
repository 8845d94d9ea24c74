"""Receipts never lie: what one names was on the target when the target said so, and contains all
that was written before `zr sync` was called.
"""

from typing import TYPE_CHECKING, Any

from zrepl_py.core.codec import decode
from zrepl_py.core.receipts import receipt_id
from zrepl_py.engine.commands import Command
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
