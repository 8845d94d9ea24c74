"""While a group is handed over nobody can write: only what is not over there yet is waited for."""

from contextlib import nullcontext
from typing import Any

import pytest

from tests.unit.test_direction import KEY, Machine, change, pair
from zrepl_py.engine.commands import run
from zrepl_py.model.history import Snapshot
from zrepl_py.model.observation import Taken

__all__ = ["pair"]  # a fixture


class _Asked:
    """An agenda that runs nothing, and notes what it was asked for."""

    def __init__(self) -> None:
        self.keys: list[Any] = []

    def start(self, key: Any, engine: Any, ports: Any, after_seconds: float = 0.0) -> None:
        self.keys.append(key)


def drain(machine: Machine) -> None:
    """Its role hands over: it sends, and does not tick."""
    machine.says.ticks = machine.says.confirms = False
    machine.turn_round()


def test_only_lanes_that_have_something_to_send_are_run(pair: tuple[Machine, Machine]) -> None:
    alpha, _ = pair
    alpha.pools.write("tank/radio", "b", b"2")
    alpha.tick()
    known = dict(alpha.source.lanes.states)
    drain(alpha)
    asked = alpha.source.lanes.agenda = _Asked()
    alpha.source.send_group(KEY, nullcontext(), 0.0)
    (key,) = asked.keys
    assert known[key[1]].lane.dataset == "tank/radio"
    assert len(known) == 2
    run(alpha.source.lanes.run_lane(key[1]), {**alpha.ports, "PeerPort": alpha.peer})
    asked.keys.clear()
    alpha.source.send_group(KEY, nullcontext(), 0.0)
    assert asked.keys == []


def test_what_the_role_itself_took_is_sent_without_a_look(pair: tuple[Machine, Machine]) -> None:
    """What it took of a dataset that went, or what a look has found since, changes nothing."""
    alpha, _ = pair
    alpha.source._rescan_seconds = 300.0
    drain(alpha)
    alpha.source.send_group(KEY, nullcontext(), 0.0)
    alpha.pools.write("tank/radio", "b", b"2")
    name = "zr_2-00000001_9_1"
    found = alpha.ports["ZfsPort"].snapshot_changed({"tank/radio": None}, name)["tank/radio"]
    assert isinstance(found, Taken)
    new = Snapshot(found.guid, found.createtxg, name, found.created_at)
    before = alpha.source.groups[KEY]
    for taken in ({"tank/radio": new, "tank/gone": new}, {"tank/radio": new}):
        alpha.source.send_group(KEY, nullcontext(), 0.0, taken)
    after = alpha.source.groups[KEY]
    assert after.members["tank/radio"].history.newest == new
    assert after.members["tank/radio"].dataset is before.members["tank/radio"].dataset, "looked"
    assert after.members.keys() == before.members.keys()
    alpha.source.send_group(KEY, nullcontext(), 0.0)
    alpha.source.send_group(KEY, nullcontext(), 0.0, {"tank/radio": new})
    assert alpha.source.groups[KEY].members["tank/radio"].history.newest == new


def test_one_that_failed_tries_again_at_once(pair: tuple[Machine, Machine]) -> None:
    alpha, _ = pair
    alpha.pools.write("tank/radio", "b", b"2")
    alpha.tick()
    for state in alpha.source.lanes.states.values():
        state.failures = 3
    drain(alpha)
    asked = alpha.source.lanes.agenda = _Asked()
    alpha.source.send_group(KEY, nullcontext(), 0.0)
    assert len(asked.keys) == 1


@pytest.mark.parametrize("back", [True, False])
def test_afterwards_every_lane_looks_again(pair: tuple[Machine, Machine], back: bool) -> None:
    """Taken back, or carried out: what was remembered is not true any more."""
    alpha, beta = pair
    before = list(alpha.source.lanes.states.values())
    drain(alpha)
    assert list(alpha.source.lanes.states.values()) == before
    if back:
        alpha.says.ticks = alpha.says.confirms = True
        alpha.turn_round()
    else:
        change(alpha, beta)
    assert not alpha.source.lanes.states


def test_a_tick_of_the_roles_own_is_seen(pair: tuple[Machine, Machine]) -> None:
    """The first of an epoch is taken beside the source's: what it remembers of the group is not
    true then, and the lane that meets it says so, or it would be called behind for ever."""
    alpha, beta = pair
    doubted: list[str] = []
    alpha.source.lanes.doubt = doubted.append
    alpha.send()
    assert doubted == []
    taken = "zr_2-aaaaaaaa_9_20991120T000000Z"
    alpha.zfs.snapshot_changed({"tank/radio/news": None}, taken)
    for state in alpha.source.lanes.states.values():
        state.view = None
    alpha.send()
    assert beta.names("back/zr/alpha/tank/radio/news")[-1] == taken
    assert doubted == ["radio/tank"]
