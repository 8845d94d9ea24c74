"""What a change of roles may set: the gate stays closed, and the system is never covered."""

import pytest

from zrepl_py.adapters.zfs.parse_tree import parse_local, parse_tree
from zrepl_py.core.gate import check_gate, check_mountpoint, plan_copied, plan_restored
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


def test_the_gate_is_canmount_and_readonly() -> None:
    values = {"canmount": "noauto", "readonly": "on"}
    assert check_gate(Kind.FILESYSTEM, values) == values
    assert check_gate(Kind.VOLUME, values) == {"readonly": "on"}
    for wrong in ({"mountpoint": "/etc"}, {"readonly": "maybe"}):
        with pytest.raises(Bug):
            check_gate(Kind.FILESYSTEM, wrong)


LISTED = (
    "tank/a\t11\tfilesystem\t-\tyes\toff\ton\t-\t-\t/tank/a\n"
    "tank/a/v\t12\tvolume\ttank/b@s\t-\ton\t-\ttank/a\tunavailable\t-\n"
)


def test_a_tree_is_read() -> None:
    local = parse_local("tank/a\tmountpoint\t/tank/a\ntank/a\tzr:note\tone\ttwo\n")
    assert parse_tree(LISTED, local) == [
        TreeDataset(
            "tank/a",
            11,
            Kind.FILESYSTEM,
            mounted=True,
            mountpoint="/tank/a",
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
        ),
    ]
    for wrong in ("tank/a\t11\n", LISTED.replace("11", "x")):
        with pytest.raises(Standing):
            parse_tree(wrong, {})
    with pytest.raises(Standing):
        parse_local("tank/a\tmountpoint\n")
