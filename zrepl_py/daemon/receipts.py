"""Receipts that were issued: shown again, and checked against this node's own pool and journal.

Works on either node, also when the other one is gone. Reads only.
"""

from collections.abc import Mapping
from typing import Any

from zrepl_py.core.codec import decode, encode
from zrepl_py.core.receipts import Evidence, Found, judge_receipt, receipt_id
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.replicas import Replicas
from zrepl_py.daemon.source import Source
from zrepl_py.errors import Refused
from zrepl_py.model.history import EMPTY, History
from zrepl_py.model.receipt import FORMAT, Receipt
from zrepl_py.ports.journal import JournalPort


class Receipts:
    """This node's side of them."""

    def __init__(
        self, source: Source, replicas: Replicas, agenda: Agenda, journal: JournalPort
    ) -> None:
        self._source, self._replicas = source, replicas
        self._agenda, self._journal = agenda, journal

    def show(self, known_as: str = "") -> list[dict[str, Any]]:
        """The journalled receipts whose id begins so, oldest first. Refused(no-receipt)."""
        found = [
            {"id": record["id"], "at": record["at"], "receipt": record["receipt"]}
            for record in self._journal.records("receipt")
            if str(record["id"]).startswith(known_as)
        ]
        if not found:
            which = f"No receipt that begins with {known_as!r}" if known_as else "No receipt"
            raise Refused(
                "no-receipt", f"{which} is in this node's journal.", "Is it one of the other node?"
            )
        return found

    def verify(self, receipt: dict[str, Any]) -> dict[str, Any]:
        """What this node can say about a receipt: `{"id", "journalled", "holds", "evidence"}`.

        Errors: Corrupt(malformed); Refused(not-a-party, newer-format).
        """
        if receipt.get("format", FORMAT) != FORMAT:
            raise Refused(
                "newer-format", "This receipt is of another version of zr.", "Update zr here."
            )
        asked: Receipt = decode(Receipt, receipt)
        known_as = receipt_id(asked)
        histories = self._look(asked)
        lanes = frozenset(held.lane for held in asked.holdings)
        evidence = judge_receipt(asked, histories, self._recorded(lanes))
        journalled = any(r["id"] == known_as for r in self._journal.records("receipt"))
        return {
            "id": known_as,
            "journalled": journalled,
            "holds": journalled and all(e.found is not Found.MISSING for e in evidence),
            "evidence": [_describe(e) for e in evidence],
        }

    def _look(self, asked: Receipt) -> Mapping[str, History]:
        if asked.source == self._source.node.uuid:
            datasets = {held.lane: held.dataset for held in asked.holdings}
            for state in self._source.lanes.states.values():
                datasets[state.lane.uuid] = state.lane.dataset  # it may have been renamed
            with self._agenda.monitor:
                return {
                    held.lane: self._source.history_of(datasets[held.lane]) or EMPTY
                    for held in asked.holdings
                }
        if asked.target != self._source.node.uuid:
            raise Refused(
                "not-a-party",
                f"This receipt is of {asked.source_name} and {asked.target_name}; this node is "
                "neither.",
                "Check it on one of them.",
            )
        return self._agenda.run(self._replicas.histories_of(asked), self._replicas.ports)

    def _recorded(self, lanes: frozenset[str]) -> dict[str, set[int]]:
        recorded: dict[str, set[int]] = {}
        for kind in ("received", "committed"):
            for record in self._journal.records(kind):
                if record["lane"] in lanes:
                    recorded.setdefault(str(record["lane"]), set()).add(int(str(record["guid"])))
        for record in self._journal.records("receipt"):
            known: Receipt = decode(Receipt, record["receipt"])
            for held in known.holdings:
                recorded.setdefault(held.lane, set()).add(held.guid)
        return recorded


def _describe(evidence: Evidence) -> dict[str, Any]:
    described: dict[str, Any] = {**encode(evidence)}
    del described["type"]
    return described
