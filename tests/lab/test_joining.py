"""`zr init`, `zr pair`, `zr unpair` and `zr reseed`, on two nodes whose daemons run meanwhile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from . import Lab
from .command import Result
from .contents import common, compare
from .looks import versions
from .node import Node
from .site import Site

pytestmark = pytest.mark.lab
DATASET, COPY = "tank/audio", "back/zr/alpha/tank/audio"
INNER = "tank/audio/old"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Lab.up(name="joining") as lab:
        lab.alpha.sh(f"zfs create {DATASET}; zfs create {INNER}; echo first >/{DATASET}/a.wav")
        site = Site(lab)
        yield site
        for name in site.daemons:
            assert "Traceback" not in site.log(name)


def zr(node: Node, *words: str, code: int = 0, stdin: str = "") -> Result:
    done = node.run(["zr", *words], stdin=stdin.encode(), check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert b"Traceback" not in done.stderr
    return done


def pair(host: Node, guest: Node, *options: str, wrong: int = 0, fails: int = 0) -> str:
    """The code that `host` shows is typed on `guest`; returns what the guest was told last."""
    showing = host.start(["zr", "pair", *options])
    shown = showing.wait_for_output(b"Waiting", timeout_seconds=60).decode()
    (code,) = re.findall(r"\d{3}-\d{3}-\d{3}", shown)
    for _ in range(wrong):
        typed = f"{(int(code.replace('-', '')) + 1) % 10**9:09d}"
        said = zr(guest, "pair", host.name, *options, stdin=f"{typed}\n", code=3)
    if wrong < 3:
        said = zr(guest, "pair", host.name, *options, stdin=f"{code}\n", code=fails)
    assert showing.wait(timeout_seconds=60) == (3 if wrong == 3 or fails else 0)
    return (said.stdout + said.stderr).decode()


def state_of(node: Node) -> str:
    return node.sh(
        "zfs list -Ho name,guid; zfs get -rH -s local,received all; zfs allow tank; "
        "ls -lR /etc/zr /var/lib/zr; getent passwd zr zr-recv",
        check=False,
    ).text


# --- zr init


def test_init_says_what_is_wrong_and_does_nothing(site: Site) -> None:
    alpha = site.lab.alpha
    before = state_of(alpha)
    assert (
        "must be run as root"
        in alpha.run(["zr", "init"], user="nobody", check=False).stderr.decode()
    )
    assert b"zpool import nowhere" in zr(alpha, "init", "--pool", "nowhere", code=5).stderr
    assert b"not an address" in zr(alpha, "init", "--listen", "here", code=5).stderr
    assert b"must be of letters" in zr(alpha, "init", "--name", "a b", code=5).stderr
    zr(alpha, "init", "--peer", "beta", code=2)
    zr(alpha, "init", "--target", "alpha", code=2)
    shown = zr(alpha, "init", "--target", "beta", "--dry-run").stdout.decode()
    assert 'datasets = ["tank/**"]' in shown
    assert f"#   {DATASET}" in shown
    assert state_of(alpha) == before


def test_init_prepares_and_then_has_nothing_to_do(site: Site) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    properties = alpha.run(["zfs", "get", "-rHp", "-s", "local,received", "all", "tank"]).text
    refused = zr(alpha, "init", "--target", "beta", code=3)
    assert b"write /etc/zr/zr.toml" in refused.stdout
    assert b"--yes" in refused.stderr
    assert alpha.sh("ls /etc/zr", check=False).text.split() == []
    said = zr(alpha, "init", "--target", "beta", "--yes").stdout.decode()
    assert "rm /etc/zr/policies/main.toml && zr reload" in said
    zr(beta, "init", "--replicas", "back/zr", "--json", code=3)
    zr(beta, "init", "--replicas", "back/zr", "--json", "--yes")
    wrong = zr(beta, "init", "--target", "alpha", "--yes", code=3)
    assert b"beta seems to be the target" in wrong.stderr
    for node in (alpha, beta):
        assert "Nothing to do" in zr(node, "init").stdout.decode()
    assert alpha.run(["zfs", "get", "-rHp", "-s", "local,received", "all", "tank"]).text == (
        properties
    )
    refused = zr(alpha, "init", "--name", "gamma", "--pool", "tank", code=3)
    assert b"name is alpha" in refused.stderr
    for node in (alpha, beta):  # tests should not wait for a minute
        node.sh("sed -i 's/every = .*/every = \"2s\"/' /etc/zr/policies/*.toml", check=False)


# --- zr pair


def test_a_node_that_is_not_paired_snapshots_all_the_same(site: Site) -> None:
    site.start()
    site.wait(lambda: len(versions(site.lab.alpha, DATASET)) > 0, "a snapshot", 90)
    facts = site.status()
    assert facts["unpaired"] == ["beta"]
    assert facts["unsent"] == ["tank", DATASET, INNER]
    assert "would be lost whole" in facts["sentence"]
    assert "Not paired with beta" in facts["sentence"]


def test_three_wrong_codes_end_it(site: Site) -> None:
    said = pair(site.lab.beta, site.lab.alpha, wrong=3)
    assert "does not fit" in said
    assert site.status()["unpaired"] == ["beta"]


def test_paired_while_the_daemons_run(site: Site) -> None:
    said = pair(site.lab.beta, site.lab.alpha, wrong=1)
    assert "The daemon has read it" in said
    site.settle()
    for node in site.lab.nodes.values():
        assert b"peer-lost" not in zr(node, "events").stdout
    assert (
        b"is paired with beta already"
        in zr(site.lab.alpha, "pair", "beta", code=4, stdin="482739506\n").stderr
    )
    assert site.status()["unpaired"] == []
    assert common(site.lab.alpha, DATASET, site.lab.beta, COPY)
    policy = site.lab.beta.get("/etc/zr/policies/main.toml")
    assert policy == site.lab.alpha.get("/etc/zr/policies/main.toml")


def test_pairing_again_changes_nothing(site: Site) -> None:
    before = state_of(site.lab.alpha)
    said = pair(site.lab.alpha, site.lab.beta)  # the other way round
    assert "wrote" not in said
    assert [line for line in before.splitlines() if "/etc/zr" in line] == [
        line for line in state_of(site.lab.alpha).splitlines() if "/etc/zr" in line
    ]


def test_a_node_with_a_new_key_is_refused_until_a_person_says_so(site: Site) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    count = len(common(alpha, DATASET, beta, COPY))
    beta.sh("rm /etc/zr/node.key /etc/zr/node.pem; zr init --yes; zr reload")
    assert "Another certificate of beta" in pair(beta, alpha, fails=3)
    pair(beta, alpha, "--replace")
    alpha.sh(f"echo more >>/{DATASET}/a.wav")
    site.settle()
    assert len(common(alpha, DATASET, beta, COPY)) > count


def test_unpaired_means_nothing_is_sent(site: Site) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    shown = zr(alpha, "unpair", "beta").stdout.decode()
    assert "removed /etc/zr/peers/beta.pem" in shown
    assert "[peers.beta]" not in alpha.get("/etc/zr/zr.toml").decode()
    assert site.status()["unpaired"] == ["beta"]
    zr(alpha, "unpair", "beta", code=3)
    pair(beta, alpha)
    site.settle()
    assert common(alpha, DATASET, beta, COPY)


# --- zr reseed


def test_reseed_keeps_the_old_replica_and_begins_anew(site: Site) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    old = versions(beta, f"{COPY}/old")
    guid = beta.run(["zfs", "get", "-Ho", "value", "guid", f"{COPY}/old"]).text
    zr(beta, "reseed", "tank/nothing", code=5)
    zr(alpha, "reseed", INNER, code=3)
    zr(beta, "reseed", "--although-healthy", DATASET, code=3)  # another replica is below it
    site.settle()
    assert b"Nothing seems wrong" in zr(beta, "reseed", INNER, "--yes", code=3).stderr
    zr(beta, "reseed", INNER, "--dry-run", "--although-healthy")
    lane = beta.run(["zfs", "get", "-Ho", "value", "zr:lane", f"{COPY}/old"]).text.strip()
    words = ("--although-healthy", "--yes", "--json")
    facts = json.loads(zr(beta, "reseed", lane, *words).stdout)
    assert facts["replica"] == f"{COPY}/old"
    assert facts["done"]
    assert versions(beta, facts["aside"])[: len(old)] == old
    zr(alpha, "reload")
    site.settle()
    new = beta.run(["zfs", "get", "-Ho", "value", "guid", f"{COPY}/old"]).text
    assert new != guid
    names = common(alpha, INNER, beta, f"{COPY}/old")
    assert names
    assert not compare(alpha, INNER, beta, f"{COPY}/old", names[-1:])[1]
    assert versions(beta, facts["aside"])[: len(old)] == old


def test_reseed_with_all_below(site: Site) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    facts = json.loads(
        zr(beta, "reseed", COPY, "--recursive", "--although-healthy", "--yes", "--json").stdout
    )
    assert facts["also"] == [f"{COPY}/old"]
    assert versions(beta, f"{facts['aside']}/old")
    zr(alpha, "reload")
    site.settle()
    for name, copy in ((DATASET, COPY), (INNER, f"{COPY}/old")):
        assert common(alpha, name, beta, copy)


# --- a node that was replaced


def test_a_replaced_target_gets_everything_again(site: Site) -> None:
    """A new machine in beta's place: another uuid and key, nothing of the old one but its name."""
    alpha, beta = site.lab.alpha, site.lab.beta
    site.stop("beta")
    beta.sh("rm -rf /etc/zr /var/lib/zr; zfs rename back/zr back/of-the-old-machine")
    zr(beta, "init", "--replicas", "back/zr", "--yes")
    site.start("beta")
    assert "Another certificate of beta" in pair(beta, alpha, fails=3)
    pair(beta, alpha, "--replace")
    site.settle()
    for name, copy in ((DATASET, COPY), (INNER, f"{COPY}/old")):
        names = common(alpha, name, beta, copy)
        assert not compare(alpha, name, beta, copy, names[-1:])[1]


def test_a_node_that_was_never_paired_can_be_renamed(site: Site) -> None:
    beta = site.lab.beta
    site.stop("beta")
    beta.sh("rm -rf /etc/zr /var/lib/zr; umask 077; zr init --yes --name debian")
    beta.sh("sed -i 's/debian/gamma/' /etc/zr/zr.toml")
    assert "call this node gamma" in zr(beta, "init", "--yes").stdout.decode()
    assert "Nothing to do" in zr(beta, "init").stdout.decode()
    assert b"Node gamma" in zr(beta, "init").stdout
    beta.run(["ls", "/etc/zr/peers", "/etc/zr/policies"], user="zr")
