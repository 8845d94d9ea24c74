"""The roles' block of `zr status`: one line for each group, and what helps."""

from typing import Any

import pytest

from zrepl_py.cli.role_say import STEPS, render_role, render_roles, render_step
from zrepl_py.cli.served import render_served, see_there
from zrepl_py.cli.status import render_lane, render_status
from zrepl_py.core.opening import GateStep
from zrepl_py.core.role_refusals import REFUSALS
from zrepl_py.core.switchover import SwitchStep
from zrepl_py.model.roles import Refuse, State

from .cli_support import lane, status
from .role_told import role


def test_a_primary_that_is_followed_is_one_line_below_the_sentence() -> None:
    one = role(here="alpha", peer="beta", state="primary", peer_state="standby", lag_seconds=0)
    shown = render_status(status([lane()], roles=[one]))
    assert shown.split("\n\n")[1] == "radio: primary, beta follows (0 s)"
    assert "radio" not in render_status(status([lane()]))


SAID: list[tuple[dict[str, Any], str, str]] = [
    ({"state": "standby", "lag_seconds": 4}, "standby, 4 s behind; alpha does not answer",
     "zr promote radio` here says what would be lost"),
    ({"state": "standby", "lag_seconds": 4, "peer_state": "primary"},
     "standby (4 s behind), alpha is primary", ""),
    ({"state": "catching-up", "lag_seconds": 128}, "standby, 2 min 8 s behind; alpha does not",
     "zr promote radio` here says what would be lost"),
    ({"state": "catching-up", "lag_seconds": 220, "peer_state": "primary-alone",
      "coming": ["tank/db"], "members": ["tank/audio", "tank/db"]},
     "standby, catching up, 3 min 40 s behind, 1 of 2 datasets still to come; alpha is primary, "
     "alone", ""),
    ({"state": "standby", "apart": True}, "standby; alpha says nothing of radio",
     "do not promote here"),
    ({"state": "primary", "peer_state": "catching-up", "lag_seconds": 180},
     "primary, alpha catches up (3 min behind)", ""),
    ({"state": "primary-alone", "peer_state": "catching-up", "lag_seconds": 180},
     "primary, ALONE: alpha catches up (3 min behind), so nothing is confirmed", ""),
    ({"state": "primary-alone"}, "primary, ALONE: alpha does not answer", ""),
    ({"state": "primary-alone", "peer_state": "diverged"}, "alpha keeps what only it has", ""),
    ({"state": "unknown", "primary": "beta"}, "not proven", "zr promote radio --peer-is-down"),
    ({"state": "unknown", "primary": "alpha"}, "the last primary was alpha", "zr promote radio`"),
    ({"state": "init"}, "no roles yet", "zr promote radio --first"),
    ({"state": "split", "peer_state": "split"}, "SPLIT", "zr resolve radio --keep beta"),
    ({"state": "draining", "step": "stop-services"}, "hands over to alpha: services are stopped",
     "zr switchover radio --abort"),
    ({"state": "promoting", "step": "align: MoveAside tank/audio"},
     "takes over: all datasets are brought to the same moment: set aside: tank/audio", ""),
    ({"state": "diverged"}, "keeps all of it", "If alpha serves, type nothing"),
    ({"state": "diverged", "peer_state": "unknown"}, "keeps all of it; alpha does not know its",
     "It waits for alpha: `zr status` there"),
    ({"state": "faulted"}, "faulted", "zr doctor"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "line", "help"), SAID, ids=lambda v: str(v)[:30])
def test_each_state_says_what_it_waits_for(changed: dict[str, Any], line: str, help: str) -> None:
    (block,) = render_roles([role(**changed)])
    first, *rest = block.splitlines()
    assert first.startswith("radio: ")
    assert line in first
    assert help in "\n".join(rest)


def test_who_came_back_while_the_other_one_serves_is_offered_no_promotion() -> None:
    for peer_state in ("primary", "primary-alone"):
        (block,) = render_roles([role(state="diverged", peer_state=peer_state)])
        assert "alpha serves, so it is set aside now, and this node follows: by itself." in block
        assert "promote" not in block
        assert "waits" not in block
        (block,) = render_roles(
            [
                role(
                    state="diverged",
                    peer_state=peer_state,
                    blocked={"sentence": "A", "way_out": "B"},
                )
            ]
        )
        assert "by itself when that is mended" in block
    for state, primary in (("diverged", "alpha"), ("unknown", "beta")):
        (block,) = render_roles([role(state=state, primary=primary)])
        assert block.index("If alpha serves") < block.index("Only if alpha is")


def test_what_is_in_the_way_is_below_the_line() -> None:
    one = role(
        state="primary-alone",
        peer_state="standby",
        error={"kind": "Standing", "reason": "x", "message": "A key is missing."},
        services={"player": "failed", "db": "running"},
        address="absent",
        order="switchover",
        rescues=[{"label": "x", "members": [], "bytes": 2048, "shipped": True, "of": "alpha"}],
    )
    (block,) = render_roles([one])
    for words in (
        "A key is missing.",
        "Does not run: player (failed).",
        "address is not on beta",
        "An order is being carried out: switchover.",
        "1 rescue kept (2.0 KiB) until you drop it: zr rescue list radio",
    ):
        assert words in block


def test_what_the_other_node_says_is_in_its_way_is_shown_here_too() -> None:
    one = role(here="alpha", peer="beta", peer_state="promoting", peer_trouble="No key of x.")
    (block,) = render_roles([one])
    assert "  beta says: No key of x." in block.splitlines()


def test_who_types_promote_while_it_runs_is_sent_to_what_is_in_its_way() -> None:
    for refusal in (row.outcome.refusal for row in REFUSALS if isinstance(row.outcome, Refuse)):
        if refusal.reason in ("promotion-running", "handover-running"):
            assert "`zr status`" in refusal.way_out
            assert "what is in its way" in refusal.way_out


def test_every_state_and_every_step_has_words() -> None:
    for state in State:
        assert "None" not in render_role(role(state=str(state)))
    assert {str(step) for step in GateStep} <= STEPS.keys()
    waits = {SwitchStep.DONE, SwitchStep.WAIT}
    assert {str(step) for step in SwitchStep if step not in waits} <= STEPS.keys()
    assert render_step("something-new") == "something-new"


def test_who_took_over_is_told_of_with_its_address_and_its_files() -> None:
    there = see_there(
        role(here="alpha", peer="beta", peer_state="primary", peer_address="here",
             ip="10.0.0.50", mountpoints=["/tank/audio"])
    )  # fmt: skip
    assert list(render_served(there)) == [
        "The address 10.0.0.50 is on beta.",
        "The files are in /tank/audio.",
    ]


def test_a_target_that_is_silent_is_not_one_that_was_not_asked() -> None:
    facts = status([lane(state="unknown", sent_bytes=0)], targets=[
        {"target": "beta", "state": "silent", "heard_at": None, "silent_seconds": 60, "error": None}
    ])  # fmt: skip
    assert "beta    not known" in render_status(facts)
    assert "not asked yet" not in render_status(facts)
    assert render_lane(lane(state="unknown", sent_bytes=2048)) == "not known yet, 2.0 KiB sent"
    assert render_lane(lane(state="no-copy", sent_bytes=2048)) == "no copy yet, 2.0 KiB sent"
    known = {"source": "alpha", "state": "silent", "heard_at": None, "silent_seconds": 60}
    known |= {"arrived_at": None, "arrived_seconds": None}
    for served in (False, True):
        sources = [known | {"served": served}]
        assert ("SOURCE" in render_status(facts | {"sources": sources})) is not served
