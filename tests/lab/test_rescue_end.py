"""A rescue to its end, on two real nodes with roles: alpha dies with a tail and comes back; what
only it had is listed on both nodes, named, copied out and dropped, and nothing is left of it. The
group has an encrypted dataset, a volume, and mount points that are inherited."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from .contents import common
from .keyboard import ENTER, Keyboard
from .lab import Lab
from .node import Node
from .roles_site import RolesSite
from .site import POOLS

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]
TREE = """
    printf 12345678 >/root/key
    zfs create tank/audio; zfs create tank/audio/news
    zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///root/key \
        tank/audio/secret
    zfs create tank/audio/secret/deep
    zfs create -o mountpoint=/vault tank/audio/vault; zfs create tank/audio/vault/deep
    zfs create -V 16M tank/audio/disk
    echo first >/tank/audio/interview.wav; echo headline >/tank/audio/news/today
    echo hidden >/tank/audio/secret/file; echo kept >/vault/deep/file
"""
TAIL_BYTES = 1_500_000
TAIL = {
    "tank/audio": "/tank/audio/tail",
    "tank/audio/news": "/tank/audio/news/tail",
    "tank/audio/secret": "/tank/audio/secret/tail",
    "tank/audio/secret/deep": "/tank/audio/secret/deep/tail",
    "tank/audio/vault": "/vault/tail",
    "tank/audio/vault/deep": "/vault/deep/tail",
}
ENCRYPTED = ("tank/audio/secret", "tank/audio/secret/deep")
HOLD = "zr_base_0123abcd"
VOLUME = "tank/audio/disk"
TRACES = """
    set +e
    zfs list -Ho name -t all -r {pool} | grep -E 'zr-rescue(-of/[0-9a-f]+)?/|@zr-rescue_'
    # What is being received stands on the newest snapshot, for as long as it comes.
    zfs get -rHo name,value -t snapshot clones {pool} \\
        | sed -E 's#[^\\t,]*/%recv,?##' | awk -F'\\t' '$2 != "" && $2 != "-"'
    zfs list -Ht snapshot -o name -r {pool} | xargs zfs holds -H \\
        | grep -E 'zr_rescue|^[^@]*zr-rescue'
    true
"""


class Returned:
    """Alpha is back, and follows beta; `label` is what was set aside of it."""

    def __init__(self, site: RolesSite) -> None:
        self.site, self.lab = site, site.lab
        self.digests = self._write_tail()
        (found,) = self.listed("alpha")
        self.label: str = found["label"]

    def _write_tail(self) -> dict[str, str]:
        """On alpha alone; then it dies, beta is promoted by a person, and alpha is switched on."""
        site, alpha = self.site, self.lab.alpha
        self.lab.cut()
        for path in TAIL.values():
            alpha.sh(f"head -c {TAIL_BYTES} /dev/urandom >{path}; sync -f {path}")
        alpha.sh(f"dd if=/dev/urandom of=/dev/zvol/{VOLUME} bs=1M count=2 conv=fsync")
        # As what was on its way when the cable went: a hold of zr's own that nobody ends any more.
        alpha.sh(f"zfs snapshot tank/audio@sent; zfs hold {HOLD} tank/audio@sent; zpool sync")
        said = alpha.run(["sha256sum", *TAIL.values()]).text
        alpha.crash()
        self.lab.heal()
        site.zr("beta", *site.told_command("beta"), timeout_seconds=300)
        site.wait(lambda: site.role("beta").get("state") == "primary-alone", "promoted", 120)
        alpha.boot()
        site.wait(lambda: site.states() == ("standby", "primary"), "alpha follows", 600)
        site.wait(lambda: [r["shipped"] for r in self.listed("alpha")] == [True], "sent", 300)
        return {path: digest for digest, path in (line.split() for line in said.splitlines())}

    def listed(self, node: str) -> list[dict[str, Any]]:
        """What `zr rescue list` says there."""
        said = self.site.zr(node, "rescue", "list", "--json").text
        return list(json.loads(said)["rescues"])

    def tails(self, node: str) -> dict[str, dict[str, Any]]:
        """What `zr rescue diff` says there, by dataset."""
        said = json.loads(self.site.zr(node, "rescue", "diff", "--json", self.label).text)
        assert said["of"] == "alpha"
        return {one["dataset"]: one for one in said["datasets"]}

    def traces(self, node: str) -> str:
        """Datasets, snapshots, clones and holds that a rescue leaves in a pool."""
        return self.lab.nodes[node].sh(TRACES.format(pool=POOLS[node])).text


@pytest.fixture(scope="module")
def returned() -> Iterator[Returned]:
    with Lab.up(name="rescueend", init="systemd") as lab:
        site = RolesSite(lab)
        lab.beta.sh("printf 12345678 >/root/key")
        site.set_up(TREE, every="5s")
        # Each raw copy has a key of its own, and asks for it at a prompt.
        for dataset in ENCRYPTED:
            copy = site.place("beta", dataset)
            root = lab.beta.sh(f"zfs get -Ho value encryptionroot,keylocation {copy}").text
            assert root.split() == [copy, "prompt"]
            lab.beta.sh(f"zfs set keylocation=file:///root/key {copy}")
        site.begin()
        site.zr("alpha", "sync", "--timeout", "150", timeout_seconds=180)
        yield Returned(site)


def test_it_is_listed_on_both_nodes_with_its_size(returned: Returned) -> None:
    for node, own in (("alpha", True), ("beta", False)):
        (found,) = returned.listed(node)
        assert (found["label"], found["of"], found["own"]) == (returned.label, "alpha", own)
        assert found["shipped"]
        assert sorted(found["members"]) == sorted((*TAIL, VOLUME))
        least = len(TAIL) * TAIL_BYTES + (2 << 20)
        assert least < found["bytes"] < 2 * least, node
        shown = returned.site.zr(node, "rescue", "list").text
        sent = "to beta" if own else "from alpha"
        row = rf"{returned.label} +alpha +tank/audio and 6 more .*MiB +{sent}"
        assert re.search(row, shown), shown


@pytest.mark.parametrize("node", ["alpha", "beta"])
def test_diff_names_the_tail(returned: Returned, node: str) -> None:
    """On alpha nothing of it is mounted; on beta it serves."""
    tails = returned.tails(node)
    assert sorted(tails) == sorted((*TAIL, VOLUME))
    assert tails[VOLUME]["volume"]
    for dataset in TAIL:
        only = {one["path"]: one for one in tails[dataset]["only"]}
        assert only["tail"]["change"] == "added"
        assert only["tail"]["size_bytes"] == TAIL_BYTES
        # The studio went on with its log on both.
        assert only.keys() - {"log"} == {"tail"}, dataset
    mounted = returned.lab.nodes[node].sh("mount -t zfs | grep -c zr-rescue", check=False)
    assert mounted.text == "0"


def test_export_brings_it_out_and_what_is_back_is_not_named(returned: Returned) -> None:
    beta = returned.lab.beta
    returned.site.zr("beta", "rescue", "export", returned.label, "--to", "/root/rescued")
    for dataset, path in TAIL.items():
        found = beta.sh(f"sha256sum </root/rescued/{dataset}/tail").text.split()[0]
        assert found == returned.digests[path]
        beta.sh(f"cp /root/rescued/{dataset}/tail {path}")
    for tail in returned.tails("beta").values():
        if not tail["volume"]:
            assert tail["already"] == 1
            assert {one["path"] for one in tail["only"]} <= {"log"}


def test_a_volume_of_it_is_looked_into_by_the_command_that_it_says(returned: Returned) -> None:
    for name in ("alpha", "beta"):
        node = returned.lab.nodes[name]
        words = ("rescue", "export", returned.label, VOLUME, "--to", "/root/rescued")
        said = returned.site.zr(name, *words, check=False).stderr.decode()
        command = said.partition("To look into it: ")[2].strip()
        node.sh(command.replace("NAME", "looked"))
        # What it is a clone of is not dropped, and nothing else of the rescue either.
        refused = returned.site.zr(name, "rescue", "drop", returned.label, "--yes", check=False)
        assert refused.returncode == 4, refused
        assert "looked" in refused.stderr.decode()
        assert len(returned.listed(name)[0]["members"]) == len(TAIL) + 1
        # udev may look at a volume that is new, and keeps it busy meanwhile.
        node.sh(f"until zfs destroy {POOLS[name]}/looked; do sleep 0.2; done", timeout_seconds=120)


def test_drop_asks_first(returned: Returned) -> None:
    before = returned.traces("alpha")
    assert before.count("\tzr_rescue\t") == len(TAIL) + 1
    assert f"/audio@sent\t{HOLD}" in before
    silent = returned.site.zr("alpha", "rescue", "drop", returned.label, check=False)
    assert silent.returncode == 3
    assert "--yes" in silent.stderr.decode()
    with Keyboard(returned.lab.alpha, "zr", "rescue", "drop", returned.label) as keyboard:
        keyboard.read_until("Type the label again", timeout_seconds=60)
        keyboard.type("yes" + ENTER)
        assert keyboard.end(timeout_seconds=60) == 3
    assert returned.traces("alpha") == before


def test_dropped_on_one_node_it_is_on_the_other_one_still(returned: Returned) -> None:
    site = returned.site
    site.zr("alpha", "rescue", "drop", returned.label, "--yes", timeout_seconds=300)
    assert returned.listed("alpha") == []
    assert returned.traces("alpha") == ""
    (found,) = returned.listed("beta")
    assert len(found["members"]) == len(TAIL) + 1
    site.zr("beta", "rescue", "drop", returned.label, "--yes", timeout_seconds=300)
    assert returned.listed("beta") == []
    assert returned.traces("beta") == ""


def places(node: Node, dataset: str) -> str:
    return node.sh(f"zfs get -rHo value -t filesystem mountpoint {dataset}").text


def test_the_group_goes_on_and_alpha_serves_again_as_before(returned: Returned) -> None:
    site, lab = returned.site, returned.lab
    lab.beta.sh("echo later >/vault/deep/later; echo later >/tank/audio/secret/deep/later")
    site.zr("beta", "sync", "--timeout", "150", timeout_seconds=180)
    site.switch("beta")
    site.wait(lambda: site.states() == ("primary", "standby"), "changed", 240)
    site.wait(lambda: b" /vault/deep " in lab.alpha.get("/proc/mounts"), "it is mounted")
    assert places(lab.alpha, "tank/audio").split() == [
        "/tank/audio", "/tank/audio/news", "/tank/audio/secret", "/tank/audio/secret/deep",
        "/vault", "/vault/deep",
    ]  # fmt: skip
    for path, digest in returned.digests.items():
        assert lab.alpha.sh(f"sha256sum <{path}").text.split()[0] == digest
    for path in ("/vault/deep/later", "/tank/audio/secret/deep/later"):
        assert site.read(lab.alpha, path) == "later"
    site.zr("alpha", "sync", "--timeout", "150", timeout_seconds=180)
    assert common(lab.alpha, "tank/audio", lab.beta, site.place("beta"))
