"""What happens to a site in years: does the protection go on, and does no copy ever go by itself?

Each row of the long haul that no other file has: pools and datasets renamed, promoted, destroyed,
keys and quotas changed, a day without beta.
"""

from collections.abc import Iterator

import pytest

from .conftest import Fresh
from .contents import common, compare, guids
from .looks import events, versions
from .site import Site, release

pytestmark = pytest.mark.lab
TOP = "back/zr/alpha/"
FIRST, SECOND = "first-secret", "second-secret"


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh()
    site.lab.alpha.sh(
        f"""
        for d in y y/plain y/clone y/gone y/limits; do zfs create tank/$d; echo 1 >/tank/$d/f; done
        printf {FIRST} | zfs create -o encryption=on -o keyformat=passphrase tank/y/secret
        zfs create tank/y/secret/kid
        echo 1 | tee /tank/y/secret/f >/tank/y/secret/kid/f
        """
    )
    site.protect(["tank/y/**"], every="1h")
    site.start()
    site.settle()
    yield site
    site.stop("alpha")
    site.stop("beta")


def assert_equal(site: Site, dataset: str, copy: str = "") -> None:
    copy = copy or TOP + dataset
    names = common(site.lab.alpha, dataset, site.lab.beta, copy)
    assert names[-1] == versions(site.lab.alpha, dataset)[-1]
    size_bytes, differ = compare(site.lab.alpha, dataset, site.lab.beta, copy, names)
    assert size_bytes > 0
    assert not differ


def test_a_day_without_beta(site: Site) -> None:
    site.lab.beta.crash()
    for hour in range(24):
        site.lab.alpha.sh(f"echo {hour} >>/tank/y/plain/f")
        site.lab.alpha.step_clock(3600)
        site.lab.alpha.run(["zr", "snapshot"])
    said = site.lab.alpha.run(["zr", "status"]).text
    assert "would be lost" in said
    site.lab.beta.boot()
    site.lab.beta.step_clock(86_400)
    site.start("beta")
    site.settle()
    assert len(versions(site.lab.beta, TOP + "tank/y/plain")) >= 24
    assert_equal(site, "tank/y/plain")


def test_a_key_is_changed(site: Site) -> None:
    site.lab.alpha.sh(f"printf {SECOND} | zfs change-key tank/y/secret")
    site.lab.alpha.sh("echo 2 | tee -a /tank/y/secret/f >>/tank/y/secret/kid/f")
    site.settle()
    for dataset in ("tank/y/secret", "tank/y/secret/kid"):
        site.lab.beta.sh(f"printf {SECOND} | zfs load-key {TOP}{dataset}")
        try:
            assert_equal(site, dataset)
        finally:
            # Whoever has read it may still be at the end of it.
            site.lab.beta.sh(f"until zfs unload-key {TOP}{dataset}; do sleep 0.2; done")


def test_recordsize_and_quota_are_changed(site: Site) -> None:
    site.lab.alpha.sh(
        "zfs set recordsize=16K quota=64M tank/y/limits\n"
        "head -c 300000 /dev/urandom >/tank/y/limits/f"
    )
    site.settle()
    site.lab.alpha.sh("zfs set recordsize=1M quota=none tank/y/limits; echo on >>/tank/y/limits/f")
    site.settle()
    assert_equal(site, "tank/y/limits")


def test_somebodys_unfinished_receive_stops_nobody(site: Site) -> None:
    """ZFS snapshots no such dataset; all others of the group must be snapshotted all the same."""
    site.lab.alpha.sh(
        "head -c 1000000 /dev/urandom >/tank/y/limits/f; zfs snapshot tank/y/limits@by-hand\n"
        "zfs send tank/y/limits@by-hand | head -c 100000 | zfs receive -s tank/y/foreign || true\n"
        "zfs list tank/y/foreign; echo more >>/tank/y/plain/f"
    )
    before = versions(site.lab.alpha, "tank/y/plain")
    site.wait(lambda: refused(site) != [], "the event")
    assert len(versions(site.lab.alpha, "tank/y/plain")) == len(before) + 1
    assert "receive that has not ended" in refused(site)[0]
    site.lab.alpha.sh("zfs receive -A tank/y/foreign; zfs destroy tank/y/limits@by-hand")
    site.settle()
    assert_equal(site, "tank/y/plain")


def refused(site: Site) -> list[str]:
    """What was told of datasets that cannot be protected; a tick looks for new ones first."""
    site.lab.alpha.run(["zr", "snapshot"])
    return [event["message"] for event in events(site.log("alpha"), "dataset-refused")]


def test_a_destroyed_dataset_keeps_its_replica(site: Site) -> None:
    before = guids(site.lab.beta, TOP + "tank/y/gone")
    assert before

    def destroyed() -> bool:  # refused while a snapshot of it is held or being sent
        release(site.lab.alpha, "tank/y/gone")
        return not site.lab.alpha.sh("zfs destroy -r tank/y/gone", check=False).returncode

    site.wait(destroyed, "zfs destroy")
    site.lab.alpha.run(["zr", "snapshot"], check=False)
    site.wait(lambda: events(site.log("alpha"), "dataset-gone") != [], "dataset-gone")
    site.settle()
    assert guids(site.lab.beta, TOP + "tank/y/gone") == before


def test_the_pool_is_renamed(site: Site) -> None:
    before = guids(site.lab.beta, TOP + "tank/y/plain")
    site.stop("alpha")
    alpha = site.lab.alpha
    # Whoever asks ZFS for something at this moment keeps the pool busy.
    alpha.sh("until zpool export tank; do sleep 0.2; done; zpool import -d /dev tank silo")
    for path in ("/etc/zr/zr.toml", "/etc/zr/policies/station.toml"):
        alpha.put(path, alpha.get(path).replace(b"tank", b"silo"))
        site.lab.beta.put(
            "/etc/zr/policies/station.toml", alpha.get("/etc/zr/policies/station.toml")
        )
    site.lab.beta.run(["zr", "reload"])
    site.start("alpha")
    alpha.sh("echo renamed >>/silo/y/plain/f")
    site.settle()
    after = guids(site.lab.beta, TOP + "tank/y/plain")
    assert list(after)[: len(before)] == list(before)
    assert len(after) > len(before)
    assert_equal(site, "silo/y/plain", TOP + "tank/y/plain")
    assert site.status()["sentence"].startswith("If this node died now")


def test_a_promoted_clone_takes_snapshots_and_cursor_with_it(site: Site) -> None:
    """ZFS moves both to the clone; the dataset goes on from what it is a clone of now."""
    top = "silo/y"
    site.lab.alpha.sh(f"echo 2 >>/{top}/clone/f")
    site.settle()
    copy = TOP + "tank/y/clone"
    before = guids(site.lab.beta, copy)
    newest = versions(site.lab.alpha, f"{top}/clone")[-1]
    site.lab.alpha.sh(
        f"zfs clone {top}/clone@{newest} {top}/heir; zfs promote {top}/heir; sync\n"
        f"echo of the clone >>/{top}/clone/f; echo of the heir >>/{top}/heir/f"
    )
    site.settle()
    after = guids(site.lab.beta, copy)
    assert list(after)[: len(before)] == list(before)  # the same replica, not sent anew
    assert len(after) > len(before)
    assert_equal(site, f"{top}/clone", copy)

    def heirs() -> list[str]:
        known = site.status("beta")["replicas"]
        return [r["replica"] for r in known if r["dataset"] == f"{top}/heir" and r["replica"]]

    site.wait(lambda: len(heirs()) == 1, "beta names the replica of the heir")
    (heir,) = heirs()
    assert heir.startswith(TOP + "tank/y/heir_")  # below its parent's replica
    assert_equal(site, f"{top}/heir", heir)
