"""What a target has confirmed: the proof that `zr sync` prints. See docs/formats/receipt.md."""

from dataclasses import dataclass

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Holding:
    """One dataset, and the snapshot of it that the target had when it was asked."""

    lane: str
    dataset: str
    guid: int
    name: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """`target` has said, after a look at its own pool, that it has all `holdings`."""

    format: int
    source: str
    """The node's uuid; so is `target`."""
    source_name: str
    target: str
    target_name: str
    epoch: str
    at: int
    """Everything that was written to the datasets before this moment (seconds since 1970, by the
    source's clock) is in the holdings."""
    issued_at: int
    ticks: dict[str, int]
    """Group → the tick that took, or confirmed, the snapshots."""
    holdings: tuple[Holding, ...]
