"""Which groups have roles, and what does not fit; and a node that has none."""

import secrets
import threading
from dataclasses import replace

import pytest

from tests.unit.role_daemon_support import CLOCK, HOSTING, POLICY
from tests.unit.role_engine_support import ALPHA, BETA
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.role_groups import RolePlan, check_kept, plan_roles
from zrepl_py.daemon.role_told import RoleTold
from zrepl_py.daemon.roles import Roles
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.policy import Policy, Selection
from zrepl_py.model.site import Node, group_uuid


def plan(policy: Policy = POLICY, here: Node = ALPHA, parent: str | None = "back/zr") -> RolePlan:
    peers = {n.name: n for n in (ALPHA, BETA) if n != here}
    return plan_roles({"radio": HOSTING}, [policy], here, peers, parent)[0]


def test_both_nodes_mean_the_same_group_and_each_its_own_places() -> None:
    members = ["tank/db", "tank/audio", "tank/audio/raw"]
    here, there = plan(), plan(here=BETA)
    assert here.uuid == there.uuid == group_uuid(ALPHA.uuid, "radio/tank")
    assert (here.pool, there.pool) == ("tank", "back")
    assert here.group(members).receive_below == ("tank/audio", "tank/db")
    group = there.group(members)
    assert group.members["tank/db"] == "back/zr/alpha/tank/db"
    assert group.receive_below == ("back/zr/alpha/tank/audio", "back/zr/alpha/tank/db")
    assert (group.hosting, group.services, group.address) == ("radio", ("studio",), True)
    assert group.max_lag_seconds == 180.0


@pytest.mark.parametrize(
    ("policy", "here", "parent", "said"),
    [
        (replace(POLICY, name="video"), ALPHA, None, "there is no policy of that name"),
        (replace(POLICY, targets=()), ALPHA, None, "0 targets"),
        (replace(POLICY, targets=("beta", "gamma")), ALPHA, None, "2 targets"),
        (replace(POLICY, targets=("gamma",)), ALPHA, None, "zr.toml names no peer gamma"),
        (replace(POLICY, source="gamma"), ALPHA, None, "this node is alpha"),
        (replace(POLICY, selection=Selection(("a/x", "b/y"))), ALPHA, None, "2 pools"),
        (POLICY, BETA, None, "this node keeps no replicas"),
    ],
)
def test_what_does_not_fit_is_said(
    policy: Policy, here: Node, parent: str | None, said: str
) -> None:
    with pytest.raises(Standing, match=said) as wrong:
        plan(policy, here, parent)
    assert wrong.value.reason == "config"
    assert wrong.value.remedy


def test_a_group_waits_until_its_other_node_is_paired() -> None:
    assert plan_roles({"radio": HOSTING}, [POLICY], ALPHA, {}, None, ["beta"]) == []


def test_a_node_without_roles_has_no_thread_and_answers_so() -> None:
    before = threading.active_count()
    roles = Roles([], secrets.token_hex(4), "1")
    agenda = Agenda(CLOCK, len(roles.all), lambda _: None)
    verbs = RoleTold(roles, agenda, {}, CLOCK, lambda *_, **__: None).verbs
    assert threading.active_count() == before
    assert verbs["role_show"]() == []
    assert verbs["rescue_list"]() == []
    for verb, args in (("role_order", {"order": "promote"}), ("role_report", {})):
        with pytest.raises(Refused) as refused:
            verbs[verb](**args)
        assert refused.value.reason == "no-roles"


def test_roles_that_a_journal_knows_are_not_dropped_with_their_table() -> None:
    """Both nodes would go by the policy then, whoever serves."""
    kept = plan()
    check_kept({kept.uuid}, [kept], [POLICY], ALPHA, {"beta": BETA})
    check_kept(set(), [], [POLICY], ALPHA, {"beta": BETA})
    for here, peers in ((ALPHA, {"beta": BETA}), (BETA, {"alpha": ALPHA})):
        with pytest.raises(Standing, match="has roles by this node's journal") as refused:
            check_kept({kept.uuid}, [], [POLICY], here, peers)
        assert refused.value.reason == "config"
        assert "[roles.radio] back" in refused.value.remedy
