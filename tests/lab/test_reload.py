"""The configuration changes while everything runs: does it count at once, and an error change
nothing?"""

import json
from collections.abc import Iterator

import pytest

from .conftest import Fresh
from .looks import versions
from .site import Site
from .test_cycle_cuts import assert_equal, partials

pytestmark = pytest.mark.lab
POLICY = "/etc/zr/policies/station.toml"


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh()
    site.lab.alpha.sh("for d in r r/a r/b; do zfs create tank/$d; echo first >/tank/$d/f; done")
    site.protect(["tank/r/a"], every="1h")
    site.start()
    site.settle()
    yield site
    site.stop("alpha")
    site.stop("beta")


def reload_both(site: Site) -> None:
    for node in site.lab.nodes.values():
        assert json.loads(node.run(["zr", "reload", "--json"]).text) == {"policies": ["station"]}


def test_a_dataset_that_is_added_is_protected_at_once(site: Site) -> None:
    pid = site.daemons["alpha"].pid
    site.protect(["tank/r/*"], every="1h")
    reload_both(site)
    site.wait(lambda: versions(site.lab.alpha, "tank/r/b") != [], "a first snapshot")
    site.settle()
    assert_equal(site, "tank/r/b")
    assert site.daemons["alpha"].pid == pid
    assert site.daemons["alpha"].poll() is None
    assert "daemon-stopped" not in site.log("alpha")


def test_a_wrong_policy_changes_nothing(site: Site) -> None:
    good = site.lab.alpha.get(POLICY)
    site.lab.alpha.put(POLICY, good + b"\n[polizy]\nx = 1\n")
    refused = site.lab.alpha.run(["zr", "reload"], check=False)
    assert refused.returncode == 5
    assert "polizy" in refused.stderr.decode()
    site.daemons["alpha"].signal(1)
    site.wait(lambda: site.log("alpha").count("reload-refused") == 2, "SIGHUP is refused too")
    site.lab.alpha.sh("echo more >>/tank/r/a/f")
    site.settle()
    assert_equal(site, "tank/r/a")
    site.lab.alpha.put(POLICY, good)
    before = site.log("alpha").count('"reloaded"')
    site.daemons["alpha"].signal(1)
    site.wait(lambda: site.log("alpha").count('"reloaded"') > before, "the next SIGHUP")


def test_what_is_opened_at_the_start_needs_a_restart(site: Site) -> None:
    good = site.lab.alpha.get("/etc/zr/zr.toml")
    site.lab.alpha.put("/etc/zr/zr.toml", good.replace(b'name = "alpha"', b'name = "gamma"', 1))
    refused = site.lab.alpha.run(["zr", "reload"], check=False)
    assert refused.returncode == 3
    assert "systemctl restart zr" in refused.stderr.decode()
    site.lab.alpha.put("/etc/zr/zr.toml", good)


def test_an_address_that_is_taken_brings_the_old_one_back(site: Site) -> None:
    good = site.lab.beta.get("/etc/zr/zr.toml")
    site.lab.beta.put("/etc/zr/zr.toml", good.replace(b"10.77.0.2:7676", b"10.99.9.9:7676", 1))
    refused = site.lab.beta.run(["zr", "reload"], check=False)
    assert refused.returncode == 5
    assert "Cannot listen" in refused.stderr.decode()
    site.lab.beta.put("/etc/zr/zr.toml", good)
    site.lab.alpha.sh("echo more >>/tank/r/b/f")
    site.settle()
    assert_equal(site, "tank/r/b")


def test_a_stream_under_way_goes_on_where_it_was(site: Site) -> None:
    site.lab.beta.sh("echo 1 >/sys/module/zfs/parameters/zfs_txg_timeout")
    site.lab.degrade(rate="6mbit")  # so it would take 40 seconds
    site.lab.alpha.sh("head -c 30000000 /dev/urandom >/tank/r/a/noise")
    site.lab.alpha.run(["zr", "snapshot"])
    site.wait(lambda: partials(site, "back/zr/alpha/tank/r/a")[0] > 1 << 20, "some of it")
    site.lab.alpha.run(["zr", "reload"])
    site.lab.heal()
    site.settle()
    assert '"lane-resumed"' in site.log("alpha")
    assert_equal(site, "tank/r/a")
