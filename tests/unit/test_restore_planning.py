"""The pure parts of `zr restore`: names, companions, and where replicas were mounted."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zrepl_py.adapters.host.datasetcopy import DatasetOrder, render_receive_argv
from zrepl_py.core.copies import (
    Copy,
    find_copies,
    find_copies_below,
    find_likely_copies,
    old_path,
    plan_copies,
)
from zrepl_py.core.restoring import (
    From,
    could_be_dataset,
    is_bare,
    parse_sources,
    render_kept_name,
    render_staging_name,
)
from zrepl_py.core.times import Instant, Latest, Named
from zrepl_py.core.versions import Chosen, choose_companion
from zrepl_py.errors import Refused
from zrepl_py.model.observation import Dataset, Kind

UTC = ZoneInfo("UTC")
PARENT = "back/zr"


def tick(seq: int, clock: str) -> str:
    return f"zr_1-9f3a21cc_{seq}_20261121T{clock}00Z"


def test_sources() -> None:
    assert parse_sources("local") == (From.LOCAL,)
    assert parse_sources("peer, local,peer") == (From.PEER, From.LOCAL)
    for wrong in ("", "moon", "local,", "offsite"):
        with pytest.raises(Refused) as caught:
            parse_sources(wrong)
        assert caught.value.reason == "bad-source"


def test_what_can_be_a_dataset() -> None:
    assert could_be_dataset("tank/audio")
    assert could_be_dataset("tank")
    for path in ("/tank/audio", "./tank", "../tank", ".", "..", "a//b", "caf\xe9/b", "tank#x"):
        assert not could_be_dataset(path)
    assert is_bare("a.wav")
    assert not is_bare("b/a.wav")
    assert not is_bare("..")


def test_kept_names() -> None:
    assert render_kept_name("a.wav", 1_700_000_000) == "a.wav.before-restore-20231114T221320Z"
    assert render_kept_name("a", 1_700_000_000, 1).endswith("Z-2")
    with pytest.raises(Refused):
        render_kept_name("x" * 230, 1_700_000_000)


@given(st.lists(st.text()), st.lists(st.text()))
def test_staging_names_tell_orders_apart(one: list[str], other: list[str]) -> None:
    assert (render_staging_name(one) == render_staging_name(other)) == (one == other)
    assert len(render_staging_name(one)) == 28


def test_the_companion_of_an_instant_is_the_newest_from_then_or_before() -> None:
    lead = Chosen(tick(8, "0915"), 0)
    names = [tick(3, "0910"), tick(7, "0914"), tick(9, "0916")]
    at = Instant(1_795_252_500)  # 2026-11-21 09:15 UTC
    assert choose_companion(names, at, lead, UTC) == Chosen(tick(7, "0914"), at.at - 60)
    found = choose_companion(names, Latest(), lead, UTC)
    assert found is not None
    assert found.name == tick(9, "0916")
    assert choose_companion([tick(9, "0916")], at, lead, UTC) is None
    assert choose_companion([], Latest(), lead, UTC) is None


def test_the_companion_of_a_named_tick_goes_by_its_number() -> None:
    wanted = Named(tick(8, "0915"))
    lead = Chosen(wanted.snapshot, 0)
    # The clock had stepped back: tick 7 carries a later time than tick 8.
    names = [tick(3, "0910"), tick(7, "0930"), tick(9, "0916")]
    found = choose_companion(names, wanted, lead, UTC)
    assert found is not None
    assert found.name == tick(7, "0930")
    same = choose_companion([*names, wanted.snapshot], wanted, lead, UTC)
    assert same is not None
    assert same.name == wanted.snapshot
    assert choose_companion([tick(9, "0916")], wanted, lead, UTC) is None


def test_a_foreign_snapshot_has_only_companions_of_its_name() -> None:
    wanted, lead = Named("before-upgrade"), Chosen("before-upgrade", None)
    assert choose_companion(["before-upgrade"], wanted, lead, UTC) == lead
    assert choose_companion([tick(1, "0915")], wanted, lead, UTC) is None


def replica(name: str, kind: Kind = Kind.FILESYSTEM, **original: str) -> Dataset:
    own = {f"zr:orig:{key}": value for key, value in original.items()} | {"zr:lane": name}
    return Dataset(f"{PARENT}/{name}", 1, kind, user_properties=own)


def copies(*datasets: Dataset) -> dict[str, Copy]:
    places = [Dataset(PARENT, 1, Kind.FILESYSTEM), Dataset(f"{PARENT}/alpha", 1, Kind.FILESYSTEM)]
    return {c.dataset: c for c in plan_copies(PARENT, [*places, *datasets])}


def test_where_replicas_were_mounted() -> None:
    found = copies(
        Dataset(f"{PARENT}/alpha/tank", 1, Kind.FILESYSTEM),  # a placeholder
        replica("alpha/tank/plain"),
        replica("alpha/tank/srv", mountpoint="/srv"),
        replica("alpha/tank/srv/x"),
        replica("alpha/tank/srv/x/y", mountpoint="/elsewhere/"),
        replica("alpha/tank/none", mountpoint="none"),
        replica("alpha/tank/none/below"),
        replica("alpha/tank/off", canmount="off"),
        replica("alpha/tank/off/below"),
        replica("alpha/tank/vm", Kind.VOLUME),
    )
    assert {name: copy.mountpoint for name, copy in found.items()} == {
        "tank/plain": "/tank/plain",
        "tank/srv": "/srv",
        "tank/srv/x": "/srv/x",
        "tank/srv/x/y": "/elsewhere",
        "tank/none": None,
        "tank/none/below": None,
        "tank/off": None,
        "tank/off/below": "/tank/off/below",
        "tank/vm": None,
    }
    assert found["tank/srv"].source == "alpha"
    assert found["tank/srv"].stored == "back/zr/alpha/tank/srv"
    assert found["tank/srv"].properties == {"mountpoint": "/srv"}


def test_a_path_leads_to_the_deepest_replica() -> None:
    found = copies(replica("alpha/tank/srv", mountpoint="/srv"), replica("alpha/tank/srv/x"))
    every = list(found.values())
    assert find_copies(every, "/srv/x/a.wav") == [(found["tank/srv/x"], ("a.wav",))]
    assert find_copies(every, "/srv/xa.wav") == [(found["tank/srv"], ("xa.wav",))]
    assert find_copies(every, "/srv") == [(found["tank/srv"], ())]
    assert find_copies(every, "/other/a") == []
    assert find_copies(every, "tank/srv/x/d/a.wav") == [(found["tank/srv/x"], ("d", "a.wav"))]
    assert old_path(found["tank/srv/x"], ("d", "a.wav")) == "/srv/x/d/a.wav"


def test_the_replica_of_a_pool_s_root() -> None:
    found = copies(replica("alpha/tank"), replica("alpha/root", mountpoint="/"))
    every = list(found.values())
    assert find_copies(every, "/tank/a") == [(found["tank"], ("a",))]
    assert find_copies(every, "/etc/hosts") == [(found["root"], ("etc", "hosts"))]
    assert old_path(found["root"], ()) == "/"


def test_replicas_below_a_directory() -> None:
    found = copies(
        replica("alpha/tank/srv", mountpoint="/srv"),
        replica("alpha/tank/srv/x"),
        replica("alpha/tank/far", mountpoint="/srv/d/far"),
        replica("gamma/tank/srv/z", mountpoint="/srv/z"),
    )
    every, top = list(found.values()), found["tank/srv"]
    below = find_copies_below(every, top, ())
    assert [(c.dataset, at) for c, at in below] == [
        ("tank/far", ("d", "far")),
        ("tank/srv/x", ("x",)),
    ]
    assert [c.dataset for c, _ in find_copies_below(every, top, ("d",))] == ["tank/far"]


def test_where_nothing_is_known_the_last_component_leads() -> None:
    """tank was mounted at /data and is not replicated: only its children are."""
    found = copies(
        replica("alpha/tank/radio"),
        replica("alpha/tank/radio/deep"),
        replica("alpha/tank/own", mountpoint="/own"),
        replica("alpha/tank/own/radio"),
        replica("alpha/tank/vm", Kind.VOLUME),
    )
    every = list(found.values())
    assert {n for n, c in found.items() if c.guessed} == {
        "tank/radio", "tank/radio/deep", "tank/vm",
    }  # fmt: skip
    assert find_copies(every, "/data/radio/deep/a.wav") == []
    assert [
        (c.dataset, inside) for c, inside in find_likely_copies(every, "/data/radio/deep/a")
    ] == [
        ("tank/radio/deep", ("a",)),
        ("tank/radio", ("deep", "a")),
    ]
    assert find_likely_copies(every, "/data/other/a") == []


def test_two_nodes_with_the_same_path() -> None:
    both = [replica(f"{node}/tank/a", mountpoint="/srv") for node in ("alpha", "gamma")]
    every = plan_copies(PARENT, both)
    assert {copy.source for copy, _ in find_copies(every, "/srv/f")} == {"alpha", "gamma"}


def test_a_dataset_comes_back_unmounted_and_never_shadows() -> None:
    own = {"mountpoint": "/srv", "quota": "1G", "acltype": "posix", "recordsize": "16384"}
    order = DatasetOrder("tank/a", "s", 1, Kind.FILESYSTEM, False, "tank/b", own)
    argv = render_receive_argv(order)
    assert argv == [
        *("zfs", "receive", "-u", "-o", "acltype=posix", "-o", "recordsize=16384"),
        *("-o", "canmount=noauto", "--", "tank/b@s"),
    ]
    foreign = render_receive_argv(
        DatasetOrder("back/zr/alpha/a", "s", 1, Kind.FILESYSTEM, False, "back/b", {}, foreign=True)
    )
    assert "setuid=off" in foreign
    assert "devices=off" in foreign
    volume = DatasetOrder("tank/v", "s", 1, Kind.VOLUME, False, "tank/w", own)
    assert render_receive_argv(volume) == ["zfs", "receive", "-u", "--", "tank/w@s"]


def test_a_replica_with_another_name_is_shown_as_its_source_calls_it() -> None:
    lane = {"zr:lane": "c1c2c3c4-0000-5000-8000-000000000000"}
    found = copies(
        replica("alpha/tank/a", mountpoint="/srv"),
        Dataset(f"{PARENT}/alpha/tank/a/new_c1c2c3c4", 1, Kind.FILESYSTEM, user_properties=lane),
        replica("alpha/tank/a/new_c1c2c3c4/below"),
        replica("alpha/tank/a/other_c1c2c3c4"),
    )
    assert {name: copy.mountpoint for name, copy in found.items()} == {
        "tank/a": "/srv",
        "tank/a/new": "/srv/new",
        "tank/a/new/below": "/srv/new/below",
        "tank/a/other_c1c2c3c4": "/srv/other_c1c2c3c4",
    }
    assert found["tank/a/new"].stored == "back/zr/alpha/tank/a/new_c1c2c3c4"
