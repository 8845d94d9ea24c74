"""What a change of roles may set: the gate stays closed, and the system is never covered."""

from dataclasses import replace

import pytest

from zrepl_py.adapters.zfs.parse_tree import parse_tree
from zrepl_py.core.gate import (
    check_gate,
    check_mountpoint,
    plan_copied,
    plan_mountpoints,
    plan_restored,
)
from zrepl_py.errors import Bug, Refused, Standing
from zrepl_py.model.observation import Kind
from zrepl_py.model.tree import TreeDataset


@pytest.mark.parametrize(
    "path",
    ["/", "/etc", "/etc/radio", "/usr/share/x", "/var", "/var/lib", "/home", "radio", "",
     "/a/../etc", "//etc", "/srv/", "/./etc", "/boot", "/root"],
)  # fmt: skip
def test_the_system_is_never_covered(path: str) -> None:
    with pytest.raises(Refused) as refused:
        check_mountpoint(path)
    assert refused.value.reason == "bad-mountpoint"


@pytest.mark.parametrize(
    "path", ["/srv/audio", "/tank/audio", "/var/lib/mysql", "/home/anna", "none", "legacy", "/data"]
)
def test_what_people_use_is_taken_over(path: str) -> None:
    check_mountpoint(path)


def test_neither_copying_nor_restoring_opens_the_gate() -> None:
    local = {"canmount": "on", "readonly": "off", "quota": "5", "zr:lane": "x", "volsize": "9"}
    assert plan_copied(local) == {"quota": "5", "zr:lane": "x"}
    carried = {f"zr:orig:{name}": value for name, value in local.items()}
    assert plan_restored(carried | {"zr:lane": "x"}) == {"quota": "5"}


def test_where_replicas_will_be_mounted_is_known_before_they_are() -> None:
    """By what was carried beside the streams; below it as ZFS inherits."""
    original = {"zr:orig:mountpoint": "/audio"}
    below = {"zr:orig:mountpoint": "/archive", "mountpoint": "/old"}
    found = [
        TreeDataset("back/a/raw", 3, Kind.FILESYSTEM, local={}),
        TreeDataset("back/a", 2, Kind.FILESYSTEM, mountpoint="none", local=original),
        TreeDataset("back/a/raw/old", 4, Kind.FILESYSTEM, local=below),
        TreeDataset("back/a/disk", 5, Kind.VOLUME),
        TreeDataset("back/a/holds", 6, Kind.FILESYSTEM, local={"zr:orig:canmount": "off"}),
        TreeDataset("back/a/holds/x", 7, Kind.FILESYSTEM),
        TreeDataset("back/b", 8, Kind.FILESYSTEM, mountpoint="/b"),
        TreeDataset("back/c", 9, Kind.FILESYSTEM, mountpoint="/c", mounted=True),
        TreeDataset("back/d", 10, Kind.FILESYSTEM, mountpoint="none"),
        TreeDataset("back/d/e", 11, Kind.FILESYSTEM, mountpoint="none"),
    ]
    assert plan_mountpoints(found) == {
        "back/a": "/audio",
        "back/a/raw": "/audio/raw",
        "back/a/raw/old": "/archive",
        "back/a/holds/x": "/audio/holds/x",
        "back/b": "/b",
    }
    with pytest.raises(Refused):
        plan_mountpoints([replace(found[1], local={"zr:orig:mountpoint": "/etc"})])


def test_the_gate_is_canmount_and_readonly() -> None:
    values = {"canmount": "noauto", "readonly": "on"}
    assert check_gate(Kind.FILESYSTEM, values) == values
    assert check_gate(Kind.VOLUME, values) == {"readonly": "on"}
    for wrong in ({"mountpoint": "/etc"}, {"readonly": "maybe"}):
        with pytest.raises(Bug):
            check_gate(Kind.FILESYSTEM, wrong)


def got(name: str, **said: str) -> str:
    """Lines as `zfs get -Hp -o name,property,value,source all` prints them."""
    words = {"guid": "11", "type": "filesystem", "mounted": "no", "readonly": "off"} | said
    return "".join(f"{name}\t{word}\t{value}\t-\n" for word, value in words.items())


def test_what_a_dataset_takes_is_without_what_stands_below_it() -> None:
    text = got("tank/a", used="9000", usedbydataset="700", usedbysnapshots="20")
    text += got("tank/b", used="9000", usedbydataset="700")
    assert [found.used_bytes for found in parse_tree(text)] == [720, None]


def test_a_tree_is_read() -> None:
    text = got(
        "tank/a", mounted="yes", canmount="on", written="8192", snapshots_changed="1795000000"
    )
    text += "tank/a\tmountpoint\t/tank/a\tlocal\ntank/a\tzr:note\tone\ttwo\treceived\n"
    text += "tank/a\tzr:other\tx\tinherited from tank\n"
    text += got(
        "tank/a/v", guid="12", type="volume", origin="tank/b@s", mounted="-", readonly="on",
        encryptionroot="tank/a", keystatus="unavailable", written="0", snapshots_changed="-",
    )  # fmt: skip
    assert parse_tree(text) == [
        TreeDataset(
            "tank/a",
            11,
            Kind.FILESYSTEM,
            mounted=True,
            mountpoint="/tank/a",
            written_bytes=8192,
            changed_at=1795000000,
            local={"mountpoint": "/tank/a", "zr:note": "one\ttwo"},
        ),
        TreeDataset(
            "tank/a/v",
            12,
            Kind.VOLUME,
            origin="tank/b@s",
            readonly=True,
            encryption_root="tank/a",
            key_loaded=False,
            written_bytes=0,
        ),
    ]
    for wrong in ("tank/a\tguid\t11\n", got("tank/a", guid="x"), got("tank/a", type="snapshot")):
        with pytest.raises(Standing):
            parse_tree(wrong)
