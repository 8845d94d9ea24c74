"""Roles on two real nodes: switched over and back without loss, promoted after a death, and the
dead one's return: what only it had is kept, and nobody ever serves beside the other."""

import json
from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.lab.contents import common
from tests.lab.roles_site import ADDRESS, RolesSite

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def site() -> Iterator[RolesSite]:
    with Lab.up(name="roles", init="systemd") as lab:
        site = RolesSite(lab)
        site.set_up()
        site.begin()
        yield site


def lines(site: RolesSite, node: str) -> list[str]:
    return site.lab.nodes[node].run(["cat", "/tank/audio/log"]).text.splitlines()


def has_address(site: RolesSite, node: str) -> bool:
    return f" {ADDRESS}/" in site.lab.nodes[node].run(["ip", "-o", "addr"]).text


def test_the_first_primary_serves_and_the_other_follows(site: RolesSite) -> None:
    # A look that comes late is a moment's silence.
    site.wait(lambda: site.states() == ("primary", "standby"), "as they were set up")
    assert has_address(site, "alpha")
    assert not has_address(site, "beta")
    site.wait(lambda: len(lines(site, "alpha")) > 5, "the studio records")


def test_a_switchover_loses_nothing_and_the_other_way_an_increment_fits(site: RolesSite) -> None:
    """Scenario 10."""
    site.switch("alpha")
    site.wait(lambda: site.states() == ("standby", "primary"), "changed", 180)
    site.wait(lambda: has_address(site, "beta"), "beta has the address")
    assert not has_address(site, "alpha")
    before = [line for line in lines(site, "beta") if line.endswith("alpha")]
    assert len(before) > 5
    assert lines(site, "beta")[: len(before)] == before
    site.wait(lambda: lines(site, "beta")[-1].endswith("beta"), "the studio records on beta")
    site.wait(lambda: site.in_sync("beta"), "alpha follows", 120)
    assert common(site.lab.beta, site.place("beta"), site.lab.alpha, "tank/audio")
    assert site.lab.alpha.sh("mount -t zfs | grep -c audio", check=False).text.strip() == "0"


def test_and_back_again(site: RolesSite) -> None:
    site.switch("beta")
    site.wait(lambda: site.states() == ("primary", "standby"), "changed back", 180)
    site.wait(lambda: lines(site, "alpha")[-1].endswith("alpha"), "recorded on alpha")


def test_a_dead_primary_is_followed_by_the_standby_and_its_tail_is_kept(site: RolesSite) -> None:
    """Scenarios 1 and 11: alpha dies with a tail that beta has not, and comes back."""
    lab = site.lab
    site.wait(lambda: site.in_sync("alpha"), "all is on beta", 120)
    lab.cut()
    lab.alpha.sh("echo only here >/tank/audio/tail; sync; zpool sync")
    lab.alpha.crash()
    lab.heal()
    site.zr("beta", *site.told_command("beta"), timeout_seconds=300)
    site.wait(lambda: site.role("beta").get("state") == "primary-alone", "promoted", 120)
    site.wait(lambda: has_address(site, "beta"), "beta has the address")
    assert site.read(lab.beta, "/tank/audio/interview.wav") == "first"
    lab.alpha.boot()
    site.wait(lambda: site.states() == ("standby", "primary"), "alpha follows again", 300)
    (rescue,) = json.loads(site.zr("alpha", "rescue", "list", "--json").text)["rescues"]
    found = lab.alpha.sh("zfs list -Ho name -r tank/zr-rescue").text.split()
    kept = next(name for name in found if name.endswith("/audio"))
    snapshot = lab.alpha.sh(f"zfs list -Ht snapshot -o name -d1 {kept} | tail -1").text.strip()
    lab.alpha.sh(f"mkdir -p /mnt/rescue; mount -t zfs -o ro {snapshot} /mnt/rescue")
    assert site.read(lab.alpha, "/mnt/rescue/tail") == "only here"
    lab.alpha.sh("umount /mnt/rescue")
    assert rescue["label"]
    site.wait(lambda: site.in_sync("beta"), "the delta went over", 120)
    assert common(lab.beta, site.place("beta"), lab.alpha, "tank/audio")
