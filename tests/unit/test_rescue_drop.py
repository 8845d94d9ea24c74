"""A rescue that is dropped goes whole, or not at all: what zr's own streams held is no hindrance,
what somebody else put on it is, and is found before anything is destroyed."""

import pytest

from tests.unit.role_daemon_support import Pair
from tests.unit.test_role_rescues import return_with_a_tail
from zrepl_py.errors import Passing
from zrepl_py.events import Event
from zrepl_py.model.names import render_hold
from zrepl_py.model.roles import State

pytestmark = pytest.mark.long


def test_a_hold_of_what_was_on_its_way_keeps_nothing_and_a_foreign_one_all() -> None:
    with Pair() as pair:
        return_with_a_tail(pair)
        pair.until(lambda: pair.states == (State.STANDBY, State.PRIMARY), 40.0)
        pair.until(lambda: len(pair.alpha.words(Event.RESCUE_SHIPPED)) == 3)
        (kept,) = pair.alpha.verbs["rescue_list"]()
        places = pair.alpha.verbs["rescue_place"](label=kept["label"])
        stored = [place["dataset"] for place in places]
        pools = pair.site.alpha.pools
        tails = [pools.dataset(name).snapshots[-1] for name in stored]
        with pair.lock:
            for tail in tails:
                tail.holds.add(render_hold("0b51e2aa"))
            tails[0].holds.add("somebody's")
        with pytest.raises(Passing) as refused:
            pair.alpha.verbs["rescue_drop"](label=kept["label"], who="anna")
        assert "somebody's" in refused.value.message
        assert pair.alpha.verbs["rescue_list"]() == [kept]
        assert all("zr_rescue" in tail.holds for tail in tails)
        with pair.lock:
            tails[0].holds.remove("somebody's")
        pair.alpha.verbs["rescue_drop"](label=kept["label"], who="anna")
        assert pair.alpha.verbs["rescue_list"]() == []
        assert not any(pools.find(name) for name in stored)
        (sent,) = pair.beta.verbs["rescue_place"](label=kept["label"])[-1:]
        with pair.lock:
            pair.site.beta.pools.dataset(sent["dataset"]).mounted = True
        before = pair.beta.verbs["rescue_list"]()
        with pytest.raises(Passing) as refused:
            pair.beta.verbs["rescue_drop"](label=kept["label"], who="anna")
        assert "mounted" in refused.value.message
        assert pair.beta.verbs["rescue_list"]() == before
