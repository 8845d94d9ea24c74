"""zr sync: does it return only when the other node has all of it, and can that be checked?"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Fresh
from .looks import versions
from .site import Site

pytestmark = pytest.mark.lab
COPY = "back/zr/alpha/tank/s/a"


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh()
    site.lab.alpha.sh(
        "zfs create tank/s; zfs create tank/s/a; zfs create tank/s/b; zfs create tank/else\n"
        "zfs create -V 16M tank/s/v; echo first | tee /tank/s/a/f /tank/s/b/f >/tank/else/f"
    )
    site.protect(["tank/s/**"], every="1h", keep_alpha=3, keep_beta=3)
    site.start()
    site.settle()
    yield site
    site.stop("alpha")
    site.stop("beta")


def sync(site: Site, *arguments: str) -> dict[str, Any]:
    ended = site.lab.alpha.run(["zr", "sync", "--json", *arguments], timeout_seconds=150)
    (issued,) = json.loads(ended.text)["receipts"]
    return dict(issued)


def refused(site: Site, *arguments: str, node: str = "alpha") -> tuple[int, str]:
    ended = site.lab.nodes[node].run(["zr", *arguments], check=False)
    said = ended.stderr.decode()
    assert "Traceback" not in said
    return ended.returncode, said


def test_what_was_written_before_is_on_beta_when_it_returns(site: Site) -> None:
    for number in range(3):
        site.lab.alpha.sh(f"echo {number} >>/tank/s/a/f")
        issued = sync(site, "/tank/s/a/f")
        (held,) = issued["receipt"]["holdings"]
        there = site.lab.beta.sh(
            f"mkdir -p /mnt/s && mount -t zfs {COPY}@{held['name']} /mnt/s && tail -n1 /mnt/s/f"
            "; umount /mnt/s"
        )
        assert there.text == str(number)


def test_without_a_path_it_is_about_everything(site: Site) -> None:
    site.lab.alpha.sh("echo x >>/tank/s/b/f; dd if=/dev/urandom of=/dev/zvol/tank/s/v count=9")
    issued = sync(site)
    names = [held["dataset"] for held in issued["receipt"]["holdings"]]
    assert names == ["tank/s", "tank/s/a", "tank/s/b", "tank/s/v"]
    assert versions(site.lab.alpha, "tank/s/b")[-1] in versions(site.lab.beta, COPY[:-1] + "b")
    volume = sync(site, "/dev/zvol/tank/s/v")["receipt"]["holdings"]
    assert [held["dataset"] for held in volume] == ["tank/s/v"]


def test_a_receipt_holds_on_both_nodes_and_a_changed_one_on_none(site: Site) -> None:
    issued = sync(site, "/tank/s/a")
    said = site.lab.alpha.run(["zr", "receipt", "show", issued["id"][:8]]).text
    assert said.startswith("Safe on beta: everything written to 1 dataset before ")
    for node in site.lab.nodes.values():
        assert "holds" in node.run(["zr", "receipt", "verify", issued["id"]]).text
        issued["receipt"]["at"] += 60
        node.put("/tmp/receipt.json", json.dumps({"receipts": [issued]}).encode())
        code, why = refused(site, "receipt", "verify", "/tmp/receipt.json", node=node.name)
        assert code == 6
        assert "cannot confirm" in why
        issued["receipt"]["at"] -= 60
    # Retention drops it; what is there is newer, and that is what is said.
    for number in range(5):
        site.lab.alpha.sh(f"echo {number} >>/tank/s/a/f")
        sync(site, "/tank/s/a")
    name = issued["receipt"]["holdings"][0]["name"]
    site.wait(lambda: name not in versions(site.lab.beta, COPY), "retention on beta", 180)
    verify = ["zr", "receipt", "verify", issued["id"]]
    site.wait(
        lambda: "dropped by retention" in site.lab.beta.run(verify, check=False).text, "it is said"
    )


def test_a_cut_link_is_said_and_nothing_is_promised(site: Site) -> None:
    site.lab.cut()
    site.lab.alpha.sh("echo cut >>/tank/s/a/f")
    code, why = refused(site, "sync", "--timeout", "3", "/tank/s/a")
    assert code == 4
    assert "tank/s/a on beta" in why
    site.lab.heal()
    sync(site, "/tank/s/a")


def test_bad_input(site: Site) -> None:
    assert refused(site, "sync", "/proc")[0] == 3
    code, why = refused(site, "sync", "/tank/else/f")
    assert (code, "tank/else is not protected" in why) == (3, True)
    assert refused(site, "sync", "/tank/nothing")[0] == 5
    assert refused(site, "receipt", "show", "feedbeef")[0] == 3
    site.lab.alpha.put("/tmp/rubbish", b"[1, 2")
    assert refused(site, "receipt", "verify", "/tmp/rubbish")[0] == 3
    assert refused(site, "sync", node="beta")[0] == 3


def test_a_conflict_ends_it_at_once(site: Site) -> None:
    site.stop("alpha")
    site.lab.beta.run(["zfs", "snapshot", f"{COPY}@zr_1-00000000_999_20991231T235959Z"])
    site.lab.alpha.sh("echo more >>/tank/s/a/f")
    site.start("alpha")
    site.wait(lambda: bool(site.lane("tank/s/a")["conflict"]), "the conflict", 90)
    code, why = refused(site, "sync", "--timeout", "60", "/tank/s/a")
    assert code == 5
    assert "Both sides went on" in why
    sync(site, "/tank/s/b")
