"""How far the other node is behind, and what of it would be in a switchover's way."""

from dataclasses import replace

from tests.unit.role_engine_support import founded
from zrepl_py.core.handshake import MemberWord
from zrepl_py.daemon.role_groups import plan_roles
from zrepl_py.daemon.role_prospects import list_behind
from zrepl_py.daemon.roles import GroupRole
from zrepl_py.engine.role_observe import observe_site
from zrepl_py.model.history import History
from zrepl_py.model.host import Hosting
from zrepl_py.model.policy import Policy, Selection

POLICY = Policy("radio", "alpha", Selection(("tank/audio/**", "tank/db")), 60, ("beta",))


def test_snapshots_that_were_passed_over_are_no_lag() -> None:
    """Streams go from newest to newest: what came between is not on the other node, and need not
    be."""
    site = founded()
    node = site.alpha.node
    assert node is not None
    (plan,) = plan_roles(
        {"radio": Hosting("radio")}, [POLICY], site.alpha.here, {"beta": site.beta.here}, None
    )
    role = GroupRole(plan, node)
    look = site.alpha.run(observe_site(node))
    assert look.theirs is not None
    assert list_behind(role, look) == {}

    def with_only(kept: slice) -> dict[str, int]:
        assert look.theirs is not None
        words = {
            member: MemberWord(History(word.history.snapshots[kept]), None, False)
            for member, word in look.theirs.group.members.items()
        }
        group = replace(look.theirs.group, members=words)
        return list_behind(role, replace(look, theirs=replace(look.theirs, group=group)))

    assert with_only(slice(-1, None)) == {}, "the newest alone is enough"
    assert with_only(slice(0, 1)).keys() == set(node.group.members)
