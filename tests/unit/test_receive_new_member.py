"""A stream into a member that is new here comes before the role has given the right: soon again."""

import pytest

from tests.unit.role_engine_support import BETA
from zrepl_py.engine.receive import Place, Replica, receive_stream
from zrepl_py.errors import Passing, Standing, ZrError
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.wire import Begin, LaneName


@pytest.mark.parametrize(("fixed", "kind"), [("tank", Passing), ("", Standing)])
def test_where_roles_give_the_right_it_is_waited_for(fixed: str, kind: type[ZrError]) -> None:
    place = Place("", BETA, fixed)
    begin = Begin(LaneName("1", "tank/new"), "zr_x", 1, 0, False, False, "1-00000000")
    engine = receive_stream(place, Replica("tank/new", ReplicaView(False)), begin, 0)
    next(engine)
    with pytest.raises(kind) as caught:
        engine.throw(Standing("no-rights", "This user may not do that."))
    said = "not given yet" if kind is Passing else "This user may not do that."
    assert said in caught.value.message
