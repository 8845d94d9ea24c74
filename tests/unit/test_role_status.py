"""What `zr status` says of a group that has roles, by two daemons' keepers: all copies are named
after a change of roles, what is served is no copy, and what has come counts at once."""

from typing import Any

import pytest

from tests.unit.role_daemon_support import CLOCK, POLICY, Pair
from zrepl_py.daemon.replicas import Replicas
from zrepl_py.daemon.role_view import describe_role, find_whole, list_coming
from zrepl_py.daemon.roles import GroupRole
from zrepl_py.daemon.status import describe_followed, find_served
from zrepl_py.errors import Passing, Standing
from zrepl_py.model.policy import Policy
from zrepl_py.model.roles import State

pytestmark = pytest.mark.long

MEMBERS = ["tank/audio", "tank/audio/raw", "tank/db"]


def shown(role: GroupRole, **landed: int) -> dict[str, Any]:
    return describe_role(role, CLOCK.now(), CLOCK.monotonic(), landed)


def test_the_copies_of_a_group_are_named_also_where_no_stream_came_since_its_role_changed() -> None:
    with Pair() as pair:
        pair.found()
        beta = pair.beta.role
        named = list(describe_followed(beta, []))
        assert [one["dataset"] for one in named] == MEMBERS
        assert [one["replica"] for one in named] == [f"tank/zr/alpha/{m}" for m in MEMBERS]
        assert all(one["source"] == "alpha" and one["newest"] for one in named)
        assert list(describe_followed(beta, named)) == [], "each once"
        assert [one["dataset"] for one in describe_followed(beta, named[:1])] == MEMBERS[1:]
        assert list(describe_followed(pair.alpha.role, [])) == [], "it serves its own"


def test_what_a_node_serves_is_no_copy_of_the_other_ones() -> None:
    with Pair() as pair:
        pair.found()
        alpha, beta = pair.alpha.role, pair.beta.role

        def keeping(*policies: Policy) -> Replicas:
            return Replicas(
                name="alpha", places=(), policies=policies, ports=pair.alpha.ports,
                tell=lambda *_, **__: None,
            )  # fmt: skip

        assert find_served([alpha], keeping(POLICY), ()) == {"beta"}
        assert find_served([alpha], keeping(POLICY), {"beta"}) == set(), "there are others"
        other = Policy("other", "beta", POLICY.selection, 60, ("alpha",))
        assert find_served([alpha], keeping(POLICY, other), ()) == set(), "others may come"
        assert find_served([beta], keeping(POLICY), ()) == set(), "it follows"


def test_what_has_come_counts_before_the_next_look() -> None:
    with Pair() as pair:
        pair.found()
        pair.beta.stop()
        beta = pair.beta.role
        assert beta.look is not None
        before = beta.look.whole
        assert before is not None
        with pair.lock:
            pair.site.alpha.write()
        pair.alpha.tick()
        newest = pair.alpha.role.node.manifests[-1]
        changed = {m: g for m, g in newest.members.items() if before.members[m] != g}
        assert changed
        beta.note_manifest(newest)
        told = shown(beta)
        assert told["coming"] == sorted(changed)
        assert find_whole(beta) == before
        assert find_whole(beta, changed) == newest
        assert list_coming(beta, newest, changed) == []
        assert shown(beta, **changed)["coming"] == []
        assert shown(pair.alpha.role)["coming"] is None


def test_a_node_that_refuses_is_not_silent_and_one_that_is_silent_then_refuses_no_more() -> None:
    with Pair() as pair:
        pair.found()
        wire = pair.beta.keeper._ports["RolePeerPort"]
        said: list[Exception] = [Standing("peer-certificate", "Another one answers.")]

        class Refusing:
            def exchange(self, mine: object) -> None:
                raise said[0]

        wire._peer = Refusing()
        pair.until(lambda: bool(shown(pair.beta.role)["apart"]))
        said[0] = Passing("peer-silent", "Nothing is heard.")
        pair.until(lambda: not shown(pair.beta.role)["apart"])
        assert pair.beta.role.state in (State.STANDBY, State.CATCHING_UP)
