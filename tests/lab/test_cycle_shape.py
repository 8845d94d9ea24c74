"""Does every selected dataset arrive where it should, equal, unmounted and untouched?

Recursion, exclusion, a volume, encryption without the key on beta, a parent that is not selected,
deep nesting, properties, renames, re-created datasets, foreign snapshots.
"""

from collections.abc import Iterator

import pytest

from .conftest import Fresh
from .contents import common, compare, guids
from .looks import events, get, versions, zr_processes
from .node import Node
from .site import Site, release

pytestmark = pytest.mark.lab
TOP = "back/zr/alpha/"
DEEP = "tank/data/one/two/three/four"
PLAIN = ["tank/data", "tank/data/one", "tank/data/one/two", DEEP, "tank/parent/kid"]
SECRET = ["tank/secret", "tank/secret/inner"]
VOLUME = "tank/data/vol"
MEMBERS = sorted([*PLAIN, "tank/data/one/two/three", *SECRET, VOLUME])
KEY = "echo not-so-secret | "
BUILD = f"""
zfs create tank/data; zfs create tank/data/one; zfs create tank/data/one/two
zfs create tank/data/one/two/three; zfs create {DEEP}
zfs create tank/data/skip; zfs create tank/data/skip/below
zfs create tank/parent; zfs create tank/parent/kid
zfs create -s -V 16M {VOLUME}
{KEY} zfs create -o encryption=on -o keyformat=passphrase tank/secret
zfs create tank/secret/inner
zfs snapshot tank/data@not-ours
zfs set recordsize=16K mountpoint=/srv/one quota=200M exec=off tank/data/one
for d in /tank/data /srv/one /srv/one/two /srv/one/two/three/four /tank/parent/kid /tank/secret \
    /tank/secret/inner /tank/data/skip; do
    head -c 200000 /dev/urandom >$d/noise; mkdir -p $d/box; ln -s noise $d/box/link
    echo hello >$d/box/letter; chmod 750 $d/box; ln $d/box/letter $d/other
    setfattr -n user.mark -v $d $d/noise 2>/dev/null || true
done
until test -b /dev/zvol/{VOLUME}; do sleep 0.1; done
udevadm settle; dd if=/dev/urandom of=/dev/zvol/{VOLUME} bs=64k count=8 oflag=direct status=none
"""


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh()
    site.lab.alpha.sh(BUILD, timeout_seconds=120)
    site.protect(
        ["tank/data/**", "tank/secret/**", "tank/parent/kid"],
        exclude=["tank/data/skip/**"],
        every="2s",
    )
    site.start()
    site.settle()
    yield site
    site.stop("alpha")
    site.stop("beta")


def write_everywhere(site: Site, word: str) -> None:
    paths = "/tank/data /srv/one /srv/one/two /srv/one/two/three/four /tank/parent/kid /tank/secret"
    site.lab.alpha.sh(f"for d in {paths} /tank/secret/inner; do echo {word} >>$d/box/letter; done")


def replicas(site: Site) -> list[str]:
    argv = ["zfs", "list", "-Hr", "-t", "filesystem,volume", "-o", "name", "back/zr"]
    return site.lab.beta.run(argv).text.splitlines()


def test_exactly_the_selected_datasets_arrive(site: Site) -> None:
    placeholders = ["back/zr", "back/zr/alpha", TOP + "tank", TOP + "tank/parent"]
    assert replicas(site) == sorted(placeholders + [TOP + member for member in MEMBERS])
    assert sorted(lane["dataset"] for lane in site.status()["lanes"]) == MEMBERS
    assert get(site.lab.beta, TOP + "tank/parent", "zr:placeholder", "canmount") == {
        "zr:placeholder": "on",
        "canmount": "off",
    }


def test_contents_are_equal(site: Site) -> None:
    write_everywhere(site, "more")
    site.settle()
    for dataset in PLAIN:
        names = common(site.lab.alpha, dataset, site.lab.beta, TOP + dataset)
        assert len(names) >= 2
        size_bytes, differ = compare(site.lab.alpha, dataset, site.lab.beta, TOP + dataset, names)
        assert size_bytes > 200_000
        assert not differ


def test_an_encrypted_dataset_arrives_raw_and_its_key_opens_it(site: Site) -> None:
    beta = site.lab.beta
    for dataset in SECRET:
        facts = get(beta, TOP + dataset, "keystatus", "encryption", "encryptionroot")
        assert facts["keystatus"] == "unavailable"
        # Each was received by itself, so each is an encryption root there, with the same key.
        assert facts["encryptionroot"] == TOP + dataset
        beta.sh(f"{KEY} zfs load-key {TOP}{dataset}")
    try:
        for dataset in SECRET:
            names = common(site.lab.alpha, dataset, beta, TOP + dataset)
            size_bytes, differ = compare(site.lab.alpha, dataset, beta, TOP + dataset, names)
            assert size_bytes > 200_000
            assert not differ
    finally:
        beta.sh(f"zfs unload-key -r {TOP}tank/secret")


def test_a_volume_is_equal_block_for_block(site: Site) -> None:
    name = common(site.lab.alpha, VOLUME, site.lab.beta, TOP + VOLUME)[-1]
    assert digest(site.lab.alpha, VOLUME, name) == digest(site.lab.beta, TOP + VOLUME, name)


def digest(node: Node, volume: str, name: str) -> str:
    clone = f"{node.pool}/clone"
    said = node.sh(
        f"zfs clone -o volmode=dev {volume}@{name} {clone}\n"
        f"until [ -b /dev/zvol/{clone} ]; do sleep 0.1; done\n"
        f"sha256sum </dev/zvol/{clone}\n"
        f"until zfs destroy {clone} 2>/dev/null; do sleep 0.1; done"
    )
    return said.text


def test_replicas_are_not_mounted_and_have_no_properties_of_their_own(site: Site) -> None:
    for member in MEMBERS:
        name = TOP + member
        facts = get(site.lab.beta, name, "mounted", "readonly", "type")
        if facts["type"] == "filesystem":
            assert facts["mounted"] == "no"
        assert facts["readonly"] == "on"
        argv = ["zfs", "get", "-H", "-s", "local,received", "-o", "property", "all", name]
        own = site.lab.beta.run(argv).text.splitlines()
        # What a raw stream or a volume cannot do without is part of the data.
        allowed = ("zr:", "volsize", "volblocksize", "keylocation", "refreservation")
        assert not [p for p in own if not p.startswith(allowed)], (name, own)
    one = get(site.lab.beta, TOP + "tank/data/one", "recordsize", "quota", "mountpoint", "exec")
    assert one == {"recordsize": "131072", "quota": "0", "mountpoint": "none", "exec": "off"}
    original = [f"zr:orig:{p}" for p in ("recordsize", "quota", "mountpoint", "exec")]
    stored = get(site.lab.beta, TOP + "tank/data/one", *original)
    assert list(stored.values()) == ["16384", "209715200", "/srv/one", "off"]
    mounts = site.lab.beta.get("/proc/mounts").decode()
    assert "back/zr" not in mounts


def test_a_change_of_properties_alone_arrives(site: Site) -> None:
    before = versions(site.lab.beta, TOP + "tank/data/one")
    site.lab.alpha.sh("zfs set recordsize=32K tank/data/one; zfs inherit exec tank/data/one")
    wanted = {"zr:orig:recordsize": "32768", "zr:orig:exec": "-"}
    name = TOP + "tank/data/one"
    site.wait(lambda: get(site.lab.beta, name, *wanted) == wanted, "the properties", 90)
    assert versions(site.lab.beta, TOP + "tank/data/one") == before
    assert get(site.lab.beta, name, "recordsize")["recordsize"] == "131072"


def test_the_receive_worker_has_no_rights(site: Site) -> None:
    found = [what for what in zr_processes(site.lab.beta).values() if what["role"]]
    uids = {what["role"]: what["uid"] for what in found}
    number = {name: int(site.lab.beta.run(["id", "-u", name]).text) for name in ("zr", "zr-recv")}
    roots = dict.fromkeys(("zfs", "proof", "warden"), 0)
    assert uids == {"daemon": number["zr"], "receive": number["zr-recv"], **roots}
    for what in found:
        if what["role"] in ("daemon", "receive"):
            assert what["groups"] == []
            assert what["capabilities"] == 0


def test_all_members_of_a_tick_are_taken_in_one_transaction_group(site: Site) -> None:
    write_everywhere(site, "together")
    site.settle()
    argv = ["zfs", "list", "-Hpr", "-t", "snapshot", "-o", "name,createtxg", "tank"]
    lines = (line.split("\t") for line in site.lab.alpha.run(argv).text.splitlines())
    ticks: dict[str, list[str]] = {}
    for name, txg in lines:
        ticks.setdefault(name.split("@")[1], []).append(txg)
    assert max(len(txgs) for txgs in ticks.values()) >= len(MEMBERS) - 2
    assert all(len(set(txgs)) == 1 for name, txgs in ticks.items() if name.startswith("zr_"))


def test_parents_arrive_before_their_children(site: Site) -> None:
    arrived = [event["dataset"] for event in events(site.log("beta"), "received")]
    first = {dataset: arrived.index(dataset) for dataset in MEMBERS}
    for member in MEMBERS:
        above = [other for other in MEMBERS if member.startswith(other + "/")]
        assert all(first[other] < first[member] for other in above)


def test_a_new_dataset_below_a_protected_one_is_picked_up(site: Site) -> None:
    site.lab.alpha.sh("zfs create tank/data/fresh; echo new >/tank/data/fresh/file")
    name = TOP + "tank/data/fresh"
    site.wait(lambda: bool(guids(site.lab.beta, name)), "the new replica", 90)


def test_a_renamed_dataset_keeps_its_replica(site: Site) -> None:
    before = guids(site.lab.beta, TOP + "tank/parent/kid")
    site.lab.alpha.sh(
        "zfs rename tank/parent/kid tank/data/adult; echo on >>/tank/data/adult/noise"
    )
    site.wait(lambda: "tank/data/adult" in replica_names(site), "the lane under its new name", 90)
    site.settle()
    after = guids(site.lab.beta, TOP + "tank/parent/kid")
    assert list(after)[: len(before)] == list(before)
    assert len(after) > len(before)
    assert TOP + "tank/data/adult" not in replicas(site)
    names = common(site.lab.alpha, "tank/data/adult", site.lab.beta, TOP + "tank/parent/kid")
    assert not compare(
        site.lab.alpha, "tank/data/adult", site.lab.beta, TOP + "tank/parent/kid", names[-1:]
    )[1]


def replica_names(site: Site) -> list[str]:
    return [replica["dataset"] for replica in site.status("beta")["replicas"]]


def test_a_dataset_made_again_under_its_name_never_touches_the_old_replica(site: Site) -> None:
    name = TOP + DEEP
    before = guids(site.lab.beta, name)
    release(site.lab.alpha, DEEP)  # else ZFS refuses: zr's hold on the base protects it
    site.lab.alpha.sh(f"zfs destroy -r {DEEP}; zfs create {DEEP}; echo other >/{mount(DEEP)}/file")
    site.wait(lambda: reason(site, DEEP) == "lane-mismatch", "lane-mismatch", 90)
    said = site.lane(DEEP)["error"]["message"]
    assert name in said
    assert "was destroyed and made again" in said
    assert guids(site.lab.beta, name) == before
    # What it says to do helps.
    site.lab.beta.run(["zfs", "rename", name, name + "-old"])
    site.settle()
    assert guids(site.lab.beta, name + "-old") == before
    assert guids(site.lab.beta, name) == guids(site.lab.alpha, DEEP)


def mount(dataset: str) -> str:
    return dataset.replace("tank/data/one", "srv/one")


def reason(site: Site, dataset: str) -> str:
    lanes = [lane for lane in site.status()["lanes"] if lane["dataset"] == dataset]
    return lanes[0]["error"]["reason"] if lanes and lanes[0]["error"] else ""


def test_foreign_snapshots_stay_where_they_are(site: Site) -> None:
    assert "not-ours" in versions(site.lab.alpha, "tank/data")
    assert "not-ours" not in versions(site.lab.beta, TOP + "tank/data")
    site.lab.alpha.run(["zfs", "snapshot", "tank/data/one@theirs"])
    site.lab.beta.run(["zfs", "snapshot", TOP + "tank/data/one@theirs-too"])
    site.lab.alpha.sh("echo x >>/srv/one/noise")
    site.settle()
    assert "theirs" in versions(site.lab.alpha, "tank/data/one")
    here = versions(site.lab.beta, TOP + "tank/data/one")
    assert "theirs-too" in here
    assert here[-1].startswith("zr_")
