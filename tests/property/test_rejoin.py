"""A node's tail is set aside: from every interrupted prefix to the same end, with nothing lost."""

from collections.abc import Callable
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.rescue_world import RescueWorld
from zrepl_py.core.rejoin import has_tail, plan_rejoin, plan_shipping
from zrepl_py.model.observation import Kind
from zrepl_py.model.rescue import Blocked, Close, GiveProperties, MoveAside, Settled, Step


def tree() -> RescueWorld:
    world = RescueWorld()
    world.add("tank/audio", 3, 2)
    world.add("tank/audio/raw", 2, 0)
    world.add("tank/db", 2, 1, encrypted=True)
    world.add("tank/db/wal", 2, 1, unsnapped=5)
    world.add("tank/vm", 1, 0, kind=Kind.VOLUME)
    world.add("tank/new", 0, 1, wanted=False)
    return world


def unwritten() -> RescueWorld:
    world = RescueWorld()
    world.add("tank/audio", 3, 0)
    world.add("tank/db", 2, 0)
    return world


def written_after_the_last() -> RescueWorld:
    world = RescueWorld()
    world.add("tank/audio", 3, 0, unsnapped=1)
    return world


def run(world: RescueWorld) -> list[Step]:
    done: list[Step] = []
    while not isinstance(step := plan_rejoin(world.view()), Settled):
        assert not isinstance(step, Blocked), step
        done.append(step)
        world.perform(step)
        assert len(done) < 200, "it does not come to an end"
    return done


WORLDS = (tree, unwritten, written_after_the_last)


@pytest.mark.parametrize("make", WORLDS, ids=lambda f: f.__name__)
def test_from_every_prefix_it_comes_to_the_same_end(make: Callable[[], RescueWorld]) -> None:
    whole = make()
    steps = run(whole)
    for cut in range(len(steps) + 1):
        for half in (False, True):
            world = make()
            for number in range(cut):
                step = plan_rejoin(world.view())
                assert not isinstance(step, Blocked | Settled)
                world.perform(step, half=half and number == cut - 1)
            world.closed = False  # the machine starts: it has to be proven anew
            run(world)
            assert world.shape() == whole.shape(), (cut, half)


@pytest.mark.parametrize("make", WORLDS, ids=lambda f: f.__name__)
def test_nothing_is_lost_and_the_primarys_increment_fits(make: Callable[[], RescueWorld]) -> None:
    world = make()
    before = world.contents()
    run(world)
    assert before <= world.contents()
    for name, (base, wanted) in world.members.items():
        if base is None or not wanted:
            assert name not in world.tree
        else:
            assert world.tree[name].snapshots[-1].guid == base
            assert world.tree[name].unsnapped == 0
    assert not any(has_tail(world.view(), member) for member in world.view().members)


def test_run_again_it_does_nothing() -> None:
    world = tree()
    run(world)
    settled = plan_rejoin(world.view())
    assert isinstance(settled, Settled)
    assert len(settled.labels) == 1
    assert plan_rejoin(world.view()) == settled


def test_without_a_tail_nothing_at_all_is_done() -> None:
    assert run(unwritten()) == []


def test_a_second_tail_gets_a_rescue_of_its_own() -> None:
    world = tree()
    run(world)
    first = world.contents()
    world.tree["tank/audio"].unsnapped = 3  # somebody wrote on the standby
    world.members["tank/new"] = (None, False)
    run(world)
    assert first <= world.contents()
    settled = plan_rejoin(world.view())
    assert isinstance(settled, Settled)
    assert len(settled.labels) == 2
    assert world.tree["tank/audio"].local["compression"] == "zstd"


def test_what_is_shipped_is_the_tail_as_an_increment() -> None:
    world = tree()
    run(world)
    shipments = plan_shipping(world.view(), frozenset())
    assert {s.dataset.rpartition("/")[2] for s in shipments} == {
        "audio", "raw", "db", "wal", "vm", "new",
    }  # fmt: skip
    origins = {s.dataset.rpartition("/")[2]: s.origin for s in shipments}
    assert (origins["audio"] or "").startswith("tank/audio@")
    assert origins["new"] is None, "what had nothing in common goes whole"
    assert plan_shipping(world.view(), frozenset(s.snapshot.guid for s in shipments)) == ()


def test_nothing_is_touched_before_it_is_proven_closed() -> None:
    assert isinstance(plan_rejoin(tree().view()), Close)


def test_parents_come_back_before_their_children_and_only_roots_are_moved() -> None:
    steps = run(tree())
    moved = [step.name for step in steps if isinstance(step, MoveAside)]
    assert moved == ["tank/audio", "tank/db", "tank/new", "tank/vm"]
    given = [step.name for step in steps if isinstance(step, GiveProperties)]
    assert given == sorted(given)


def blocked(change: Callable[[RescueWorld], None]) -> str:
    world = tree()
    change(world)
    before = deepcopy(world.shape())
    plan = plan_rejoin(world.view())
    assert isinstance(plan, Blocked)
    assert world.shape() == before
    assert plan.way_out
    return plan.reason


def test_what_is_in_the_way_is_said_before_anything_is_touched() -> None:
    def other(world: RescueWorld) -> None:
        world.add("tank/audio/cache", 1, 0)
        del world.members["tank/audio/cache"]

    def unrelated(world: RescueWorld) -> None:
        world.members["tank/new"] = (None, True)

    def bookmark_only(world: RescueWorld) -> None:
        del world.tree["tank/audio"].snapshots[2]

    def key_above(world: RescueWorld) -> None:
        del world.members["tank/db"]

    def clone_inside(world: RescueWorld) -> None:
        audio = world.tree["tank/audio"]
        world.tree["tank/vm"].origin = (audio.guid, audio.snapshots[0].guid)

    def long_name(world: RescueWorld) -> None:
        world.add("tank/" + "x" * 200, 1, 1)

    def no_parent(world: RescueWorld) -> None:
        world.add("tank/new/below", 1, 0)

    assert blocked(other) == "rescue-others-inside"
    assert blocked(unrelated) == "rescue-unrelated"
    assert blocked(bookmark_only) == "rescue-no-common-snapshot"
    assert blocked(key_above) == "rescue-key-above"
    assert blocked(clone_inside) == "rescue-clone-inside"
    assert blocked(long_name) == "rescue-name-too-long"
    assert blocked(no_parent) == "rescue-no-parent"


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a/c", "a/c/d"]), st.integers(1, 3),
                          st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=4),
       st.integers(0, 30))  # fmt: skip
def test_any_tree_and_any_crash(members: list[tuple[str, int, int, int]], cut: int) -> None:
    def make() -> RescueWorld:
        world = RescueWorld()
        for name, common, tail, unsnapped in sorted(members):
            above = f"tank/{name}".rpartition("/")[0]
            if above in world.tree and f"tank/{name}" not in world.tree:
                world.add(f"tank/{name}", common, tail, unsnapped=unsnapped)
        return world

    whole, world = make(), make()
    before = whole.contents()
    run(whole)
    for _ in range(cut):
        step = plan_rejoin(world.view())
        if isinstance(step, Settled):
            break
        assert not isinstance(step, Blocked)
        world.perform(step)
    run(world)
    assert world.shape() == whole.shape()
    assert before <= world.contents()
