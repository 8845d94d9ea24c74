"""Are datasets with too long names refused early, by themselves, and with a sentence?"""

import pytest

from zrepl_py.engine.commands import run
from zrepl_py.engine.group import Course, observe_group
from zrepl_py.engine.receive import Place
from zrepl_py.errors import Refused
from zrepl_py.model.names import (
    MAX_NAME_BYTES,
    ROOM_BYTES,
    Epoch,
    TickName,
    check_room,
    join_snapshot,
    render_tick,
)
from zrepl_py.model.policy import Policy, Selection
from zrepl_py.model.site import Node
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools

LONGEST = "tank/" + "x" * (MAX_NAME_BYTES - ROOM_BYTES - 5)


def test_what_fits_today_fits_after_many_ticks() -> None:
    late = TickName(Epoch(99, "9f3a21cc"), 99_999_999, 4_102_444_800)
    join_snapshot(check_room(LONGEST), render_tick(late))
    with pytest.raises(Refused, match="255 bytes") as refused:
        check_room(LONGEST + "x")
    assert "214 bytes" in refused.value.remedy


def test_a_group_leaves_out_what_cannot_be_named_and_says_so() -> None:
    pools = ModelPools({"tank": 1 << 30})
    for name in ("tank/a", LONGEST, LONGEST + "y"):
        pools.make_dataset(name)
    policy = Policy("p", "alpha", Selection(("tank/*",)), 60)
    group = run(
        observe_group(policy, Course("p/tank", "tank", (), Epoch(1, "00000000"))),
        {"ZfsPort": ModelZfs(pools)},
    )
    assert sorted(group.members) == ["tank/a", LONGEST]
    assert list(group.refused) == [LONGEST + "y"]


def test_a_replica_needs_room_too() -> None:
    place = Place("back/zr/alpha", Node("11111111-0000-0000-0000-000000000000", "alpha"))
    assert place.replica("tank/a") == "back/zr/alpha/tank/a"
    with pytest.raises(Refused, match="back/zr/alpha"):
        place.replica(LONGEST)
