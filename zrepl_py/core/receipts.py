"""Is a receipt what it was, and is what it says still there? Pure.

A receipt is known by a digest of its content, so a changed one is another one. Whether it was ever
issued is what the journals of both nodes say; whether it still holds is what their pools show.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from zrepl_py.core.codec import encode
from zrepl_py.core.diff import newest_own
from zrepl_py.model.history import History
from zrepl_py.model.receipt import Holding, Receipt

ID_DIGITS = 32


class Found(StrEnum):
    """What became of a holding."""

    PRESENT = "present"
    """The snapshot is in this node's pool."""
    DROPPED = "dropped"
    """It was, as this node's journal says, and went since; newer ones are there."""
    MISSING = "missing"
    """Neither the pool nor the journal knows of it, or nothing newer is there."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one node can say about one holding."""

    dataset: str
    snapshot: str
    found: Found
    newest: str
    """The newest snapshot of zr's that is there instead; empty where there is none."""


def receipt_id(receipt: Receipt) -> str:
    """32 hex digits of the SHA-256 of the receipt's canonical JSON."""
    text = json.dumps(encode(receipt), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


def judge_receipt(
    receipt: Receipt, histories: Mapping[str, History], recorded: Mapping[str, Collection[int]]
) -> tuple[Evidence, ...]:
    """`histories`: lane → what this node's pool has of it now; `recorded`: lane → guids that this
    node's journal says were committed here (or, on the source, there)."""
    return tuple(
        _judge_holding(held, histories.get(held.lane), recorded.get(held.lane, ()))
        for held in receipt.holdings
    )


def _judge_holding(held: Holding, history: History | None, recorded: Collection[int]) -> Evidence:
    newest = newest_own(history) if history else None
    name = newest.name if newest else ""
    if history is not None and history.snapshot(held.guid) is not None:
        return Evidence(held.dataset, held.name, Found.PRESENT, name)
    known = held.guid in recorded and newest is not None
    return Evidence(held.dataset, held.name, Found.DROPPED if known else Found.MISSING, name)
