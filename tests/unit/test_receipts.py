"""Receipts: known by their content, judged by what pool and journal show."""

from dataclasses import replace

import pytest

from tests.unit.histories import own_name, parse_history
from zrepl_py.core.codec import decode, encode
from zrepl_py.core.receipts import Found, judge_receipt, receipt_id
from zrepl_py.model.receipt import FORMAT, Holding, Receipt

HELD = Holding("lane-1", "tank/a", 2, own_name(2))
RECEIPT = Receipt(
    FORMAT, "u-alpha", "alpha", "u-beta", "beta", "1-00000000", 100, 101, {"g/tank": 7}, (HELD,)
)


def test_the_id_is_of_the_content() -> None:
    assert receipt_id(RECEIPT) == receipt_id(decode(Receipt, encode(RECEIPT)))
    assert len(receipt_id(RECEIPT)) == 32
    others = [
        replace(RECEIPT, at=99),
        replace(RECEIPT, holdings=()),
        replace(RECEIPT, holdings=(replace(HELD, guid=3),)),
        replace(RECEIPT, ticks={"g/tank": 8}),
    ]
    assert len({receipt_id(other) for other in (RECEIPT, *others)}) == 5


@pytest.mark.parametrize(
    ("history", "recorded", "found", "newest"),
    [
        ("1 2 3", set(), Found.PRESENT, 3),
        ("3 4", {2}, Found.DROPPED, 4),
        ("3 4", set(), Found.MISSING, 4),  # nobody here ever had it
        ("", {2}, Found.MISSING, 0),  # it was here, and nothing is left
        ("f9", {2}, Found.MISSING, 0),
        (None, {2}, Found.MISSING, 0),
    ],
)
def test_what_became_of_a_holding(
    history: str | None, recorded: set[int], found: Found, newest: int
) -> None:
    histories = {} if history is None else {"lane-1": parse_history(history)}
    (evidence,) = judge_receipt(RECEIPT, histories, {"lane-1": recorded})
    assert evidence.found is found
    assert evidence.newest == (own_name(newest) if newest else "")
