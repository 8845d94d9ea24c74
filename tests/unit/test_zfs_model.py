"""ModelZfs beyond the kit: streams as bytes, determinism, a suspended pool."""

from collections.abc import Callable

import pytest

from zrepl_py.errors import Passing
from zrepl_py.testing.model_zfs import ModelZfs
from zrepl_py.testing.model_zfs_state import ModelPools


def machine(seed: int) -> ModelZfs:
    pools = ModelPools({"tank": 1 << 20}, seed=seed)
    pools.make_dataset("tank/a")
    pools.write("tank/a", "f", b"x" * 100_000)
    return ModelZfs(pools)


def test_the_same_seed_gives_the_same_guids() -> None:
    first, second, third = (
        machine(seed).snapshot_changed({"tank/a": None}, "zr_1") for seed in (1, 1, 2)
    )
    assert first == second != third


def test_streams_without_pipes() -> None:
    source, target = machine(1), machine(2)
    source.snapshot_changed({"tank/a": None}, "zr_1")
    made = source.observe_snapshot("tank/a@zr_1")
    assert made is not None
    stream = source.stream_of("tank/a@zr_1", None, raw=False, resume=None)
    assert stream == source.stream_of("tank/a@zr_1", None, raw=False, resume=None)
    with pytest.raises(Passing):
        target.receive_stream(
            "tank/r@zr_1", stream[:80_000], to_guid=made.guid, from_guid=0, raw=False
        )
    point = target.observe_resume("tank/r")
    assert point is not None
    rest = source.stream_of("tank/a@zr_1", None, raw=False, resume=(point.object, point.offset))
    assert len(rest) < len(stream)
    target.receive_stream("tank/r@zr_1", rest, to_guid=made.guid, from_guid=0, raw=False)
    found = target.pools.version("tank/r@zr_1")
    assert found is not None
    assert found.files["f"].content == b"x" * 100_000


def test_a_suspended_pool_says_so() -> None:
    zfs = machine(1)
    zfs.pools.pools["tank"].health = "SUSPENDED"
    assert zfs.observe_pool("tank").health == "SUSPENDED"
    verbs: tuple[Callable[[], object], ...] = (
        lambda: zfs.snapshot_changed({"tank/a": None}, "zr_1"),
        lambda: zfs.hold(["tank/a@zr_1"], "zr_base_0"),
        lambda: zfs.observe_history("tank/a"),
        lambda: zfs.observe_resume("tank/a"),
        lambda: zfs.create_placeholder("tank/b"),
        lambda: zfs.destroy_snapshots({"tank/a@zr_1": 1}),
    )
    for verb in verbs:
        with pytest.raises(Passing) as caught:
            verb()
        assert caught.value.reason == "pool-suspended"


def test_a_machine_that_was_crashed_keeps_its_disks() -> None:
    zfs = machine(1)
    zfs.snapshot_changed({"tank/a": None}, "zr_1")
    again = ModelZfs(zfs.pools)
    assert again.observe_history("tank/a") == zfs.observe_history("tank/a")
