"""The sentence of `zr status` says the worst first, and never calls safe what is not known."""

from typing import Any

import pytest

from zrepl_py.daemon.loss import render_loss


def lane(dataset: str, state: str, lag: int | None = None) -> dict[str, Any]:
    return {"dataset": dataset, "state": state, "lag_seconds": lag}


def group(age: float | None, every: int = 60) -> dict[str, Any]:
    return {
        "policy": "p",
        "pool": "tank",
        "tick_age_seconds": age,
        "every_seconds": every,
        "refused": {},
    }


@pytest.mark.parametrize(
    ("lanes", "groups", "unsent", "words"),
    [
        ([], [], [], ["sends nothing to another"]),
        ([], [group(3)], ["tank/a"], ["tank/a would be lost whole"]),
        ([lane("a", "in-sync")], [group(3)], [], ["in the last 3 seconds would be lost."]),
        ([lane("a", "in-sync")], [group(300)], [], ["last 300 seconds", "no snapshot succeeded"]),
        ([lane("a", "in-sync")], [group(None)], [], ["no snapshot was taken of p/tank"]),
        ([lane("a", "unknown")], [group(3)], [], ["not known what of a is safe"]),
        ([lane("a", "no-copy")], [group(3)], ["b"], ["a, b would be lost whole"]),
        ([lane("a", "conflict")], [group(3)], [], ["a would fall back to an old state"]),
        (
            [lane("a", "behind", 7), lane("b", "behind", 90)],
            [group(3)],
            [],
            ["a, b in the last 90 seconds", "b is the furthest behind"],
        ),
        ([lane(n, "no-copy") for n in "abcde"], [group(3)], [], ["a, b, c and 2 more"]),
    ],
)
def test_what_it_says(
    lanes: list[dict[str, Any]], groups: list[dict[str, Any]], unsent: list[str], words: list[str]
) -> None:
    said = render_loss(lanes, groups, unsent)
    assert all(word in said for word in words), said
    assert said.endswith(".")


def test_what_cannot_be_protected_is_named() -> None:
    refused = group(3) | {"refused": {"tank/long": "its name is too long"}}
    said = render_loss([lane("a", "in-sync")], [refused], [])
    assert said.endswith(" Not protected at all: tank/long.")
