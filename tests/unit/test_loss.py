"""The sentence of `zr status` says the worst first, and never calls safe what is not known."""

from typing import Any

import pytest

from tests.unit.role_told import role
from zrepl_py.daemon.loss import render_loss


def lane(dataset: str, state: str, lag: int | None = None) -> dict[str, Any]:
    return {"dataset": dataset, "target": "beta", "state": state, "lag_seconds": lag}


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
        ([lane("a", "in-sync")], [group(3.2)], [], ["in the last 4 seconds would be lost."]),
        ([lane("a", "in-sync")], [group(0)], [], ["in the last second would be lost."]),
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


def target(state: str, seconds: int | None) -> dict[str, Any]:
    return {"target": "beta", "state": state, "silent_seconds": seconds}


def test_a_silent_target_is_in_the_sentence() -> None:
    lanes = [lane("a", "in-sync"), lane("b", "unknown")]
    said = render_loss(lanes, [group(3)], [], [target("silent", 14)])
    assert said.startswith("If this node died now")
    assert "all of b may be lost: beta does not answer, and what it has is not known" in said
    assert said.endswith("beta has not answered for 14 seconds: nothing goes there.")
    assert "beta" not in render_loss(lanes, [group(3)], [], [target("answers", None)])


@pytest.mark.parametrize(
    ("state", "heard", "silent", "arrived", "said"),
    [
        ("answers", "x", None, 7, "alpha is heard; something last arrived from it 7 seconds ago."),
        ("answers", "x", None, None, "alpha is heard, but nothing of it ever arrived."),
        ("unknown", None, None, 900, "alpha was not heard yet since this daemon started."),
        (
            "silent",
            "x",
            300,
            303,
            "alpha has not been heard for 5 minutes: its copies here grow old; what arrived last "
            "came 5 minutes ago.",
        ),
        (
            "silent",
            None,
            40,
            None,
            "alpha was not heard since this daemon started 40 seconds ago: its copies here grow "
            "old; nothing of it ever arrived.",
        ),
    ],
)
def test_a_target_begins_with_its_source(
    state: str, heard: str | None, silent: int | None, arrived: int | None, said: str
) -> None:
    source = {
        "source": "alpha",
        "state": state,
        "heard_at": heard,
        "silent_seconds": silent,
        "arrived_seconds": arrived,
    }
    alone = "This node sends nothing to another: what is only here would be lost with it."
    assert render_loss([], [], [], [], [source]) == f"{said} {alone}"
    assert render_loss([], [], [], [], [source], roles=[role(state="standby")]) == said


def test_of_a_node_that_serves_alone_no_seconds_are_said() -> None:
    """Everything since it took over is on it alone, and a snapshot's age is no loss."""
    lanes = [lane("back/audio", "unknown"), lane("back/db", "unknown")]
    source = {"source": "beta", "state": "silent", "heard_at": "x", "silent_seconds": 111}
    source |= {"arrived_seconds": 119, "served": True}
    said = render_loss(lanes, [group(2)], [], [target("silent", 111)], [source])
    assert said == (
        "If this node died now, all of back/audio, back/db may be lost: beta does not answer, and "
        "what it has is not known. beta has not answered for 111 seconds: nothing goes there."
    )
    assert "grow old" in render_loss(
        lanes, [group(2)], [], [target("silent", 111)], [source | {"served": False}]
    ), "of what it keeps besides, it is said"


def test_seconds_are_said_only_of_what_is_there_but_for_them() -> None:
    behind = [lane("a", "behind", 90)]
    assert "3 seconds" not in render_loss(behind, [group(3)], [])
    both = render_loss([*behind, lane("b", "in-sync")], [group(3)], [])
    assert "what was written to the others in the last 3 seconds would be lost" in both
    unknown = render_loss([lane("a", "behind")], [group(3)], [])
    assert "what was written to a of late would be lost; since when is not known" in unknown


FOLLOWED: list[tuple[dict[str, Any], str]] = [
    ({"state": "catching-up", "peer_state": "primary"},
     "This node keeps a copy of radio, and follows alpha."),
    ({"state": "standby"}, "alpha does not answer: the copy of radio here grows old."),
    ({"state": "diverged"},
     "This node sends nothing to another: what is only here of radio would be lost with it."),
    ({"state": "standby", "peer_state": "primary",
      "rescues": [{"own": True, "shipped": True}, {"own": True, "shipped": False}]},
     "This node keeps a copy of radio, and follows alpha. A rescue of radio was not sent to alpha "
     "yet: it would be lost with this node."),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "said"), FOLLOWED, ids=lambda v: str(v)[:40])
def test_a_node_that_came_back_says_what_it_is_good_for(changed: dict[str, Any], said: str) -> None:
    assert render_loss([], [], [], roles=[role(**changed)]) == said


def test_what_cannot_be_protected_is_named() -> None:
    refused = group(3) | {"refused": {"tank/long": "its name is too long"}}
    said = render_loss([lane("a", "in-sync")], [refused], [])
    assert said.endswith(" Not protected at all: tank/long.")
