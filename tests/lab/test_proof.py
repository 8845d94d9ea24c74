"""`zr verify` and `zr drill`: equal copies are proven, encrypted ones without a key, damage is
found and named, and a drill leaves nothing behind, whatever happens to it."""

import json
from typing import Any

import pytest

from .conftest import Fresh
from .damage import blocks_of, forget, reads, repair, ruin
from .damage_runs import newest
from .looks import zr_processes
from .site import Site

pytestmark = pytest.mark.lab
DRILLS = "tank/zr-restore-drills"
REPLICA = "back/zr/alpha/tank"
BUILD = r"""
zfs create -o acltype=posix tank/a; zfs create tank/a/kid; zfs create -V 24M tank/vm
cd /tank/a; mkdir -p d/e many; head -c 9M /dev/urandom >big; echo hi >d/e/x; ln d/e/x d/hard
ln -s 'd/e/x y' link; mkfifo p; echo odd >"$(printf 'odd name\n\377%%')"
chown 12:34 d; chmod 600 big
truncate -s 30M sparse; for i in $(seq 700); do echo $i >many/a-rather-long-name-$i; done
/opt/zr/bin/python -c 'import os, struct as s
os.setxattr("d/e/x", "user.k", b"v")
entries = [(1, 6, 2**32-1), (2, 6, 12), (4, 4, 2**32-1), (16, 6, 2**32-1), (32, 4, 2**32-1)]
acl = s.pack("<I", 2) + b"".join(s.pack("<HHI", *e) for e in entries)
os.setxattr("d/e/x", "system.posix_acl_access", acl)'
udevadm settle; dd if=/dev/urandom of=/dev/zvol/tank/vm bs=1M count=3 seek=7 conv=fsync status=none
echo 12345678 >/root/pass
zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///root/pass tank/c
echo secret >/tank/c/secret; head -c 9M /dev/urandom >/tank/c/big; echo gone >/tank/c/gone
zfs create -V 16M tank/c/vm; udevadm settle
dd if=/dev/urandom of=/dev/zvol/tank/c/vm bs=1M count=3 seek=7 conv=fsync status=none
"""


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Site:
    site = fresh()
    site.lab.alpha.sh(BUILD, timeout_seconds=200)
    site.protect(["tank/a/**", "tank/vm", "tank/c/**"], every="1h")
    site.start()
    site.settle()
    return site


def prove(site: Site, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """Dataset → what came of its copy."""
    done = site.lab.alpha.run(["zr", *words, "--json"], check=False, timeout_seconds=300)
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == code, said
    assert "Traceback" not in said
    return {copy["dataset"]: copy for copy in json.loads(done.text)["copies"]}


def scratch(site: Site) -> list[str]:
    names = site.lab.alpha.sh("zfs list -Ho name").text.split()
    return [name for name in names if name.startswith(DRILLS + "/")]


def test_equal_copies_are_proven_and_both_nodes_know_it(site: Site) -> None:
    copies = prove(site, "verify")
    assert {copy["proof"]["verdict"] for copy in copies.values()} == {"equal"}
    assert copies.keys() == {"tank/a", "tank/a/kid", "tank/vm", "tank/c", "tank/c/vm"}
    assert copies["tank/a"]["proof"]["entries"] == 712
    assert copies["tank/a"]["proof"]["left_out"] == ["acls"]
    assert copies["tank/c"]["proof"]["size_bytes"] > 9 << 20
    for node in ("alpha", "beta"):
        facts = site.status(node)["lanes" if node == "alpha" else "replicas"]
        assert {lane["proof"]["verdict"] for lane in facts} == {"equal"}
        assert all(lane["proof"]["compared_seconds"] < 300 for lane in facts)
        said = site.lab.nodes[node].run(["zr", "status"]).text
        assert "unproven" not in said
        assert said.count("compared") == len(copies)


def close(site: Site) -> None:
    """No key is loaded on either node. What was just read may be busy for a moment still."""
    for words in ("unmount", "unload-key"):
        site.lab.alpha.sh(f"until zfs {words} tank/c; do sleep 0.2; done")
    shown = site.lab.beta.sh(f"zfs get -rHo value keystatus {REPLICA}/c").text.split()
    assert set(shown) <= {"unavailable", "-"}


def test_encrypted_copies_are_proven_without_any_key(site: Site) -> None:
    """After a history of increments; by a drill too, which leaves nothing."""
    alpha = site.lab.alpha
    for number in range(3):
        alpha.sh(
            f"cd /tank/c; rm -f gone; echo {number} >>secret; mkdir d{number}; ln big d{number}/b\n"
            f"dd if=/dev/urandom of=big bs=1M seek={number} count=1 conv=notrunc status=none\n"
            "fallocate -p -o 2M -l 1M big; /opt/zr/bin/python -c "
            f'\'import os; os.setxattr("secret", "user.k", os.urandom(1500))\'; echo {number} >gone'
        )
        site.settle()
    close(site)
    for way in ("verify", "drill"):
        copies = prove(site, way, "tank/c", "tank/c/vm")
        proofs = [copy["proof"] for copy in copies.values()]
        assert [proof["verdict"] for proof in proofs] == ["equal", "equal"]
        assert all(proof["left_out"] == [] for proof in proofs)
        assert all(proof["digest"] for proof in proofs)
    assert site.lane("tank/c")["proof"]["restored_seconds"] < 300
    assert scratch(site) == []
    alpha.sh("zfs load-key tank/c; zfs mount tank/c")


RESUME = """
import json, sys
from zrepl_py.adapters.zfs.digestsealed import SealedReading
from zrepl_py.model.proof import START, Position
whole, wrong = list(SealedReading(sys.argv[1], START).records()), []
for count, record in enumerate(whole, 1):
    after = Position(b"/".join(record.components).decode(), record.index + 1)
    if list(SealedReading(sys.argv[1], after).records()) != whole[count:]:
        wrong.append(record.line)
print(json.dumps([len(whole), sum("/spill" in r.line for r in whole), wrong]))
"""


def test_a_reading_of_an_encrypted_copy_goes_on_behind_every_record(site: Site) -> None:
    """With ZFS's own ways to begin a send in the middle."""
    beta = site.lab.beta
    beta.put("/tmp/resume.py", RESUME.encode())
    for name in ("c", "c/vm"):
        words = ["/opt/zr/bin/python", "/tmp/resume.py", newest(beta, f"{REPLICA}/{name}")]
        said = beta.run(words, env={"PYTHONPATH": "/zr"}, timeout_seconds=120).text
        records, spills, wrong = json.loads(said)
        assert records > 3
        assert spills == (name == "c")
        assert wrong == []


def test_an_encrypted_directory_that_is_ruined_is_named_and_the_rest_is_compared(
    site: Site,
) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    number = int(alpha.run(["stat", "-c", "%i", "/tank/c/d1"]).text)
    spots = ruin(beta, *blocks_of(beta, newest(beta, f"{REPLICA}/c"), number))
    proof = prove(site, "verify", "tank/c", code=6)["tank/c"]["proof"]
    assert [(d["path"], d["what"]) for d in proof["differences"]] == [
        (f"object-{number:015d}", "EIO")
    ]
    repair(beta, spots)
    assert prove(site, "verify", "tank/c")["tank/c"]["proof"]["verdict"] == "equal"


def test_an_encrypted_copys_damage_is_named_by_object(site: Site) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    site.settle()
    number = int(alpha.run(["stat", "-c", "%i", "/tank/c/big"]).text)
    blocks = blocks_of(beta, newest(beta, f"{REPLICA}/c"), number)
    block = next(b for b in blocks if b.offset >= 5 << 20)
    spots = ruin(beta, block)
    proof = prove(site, "verify", "tank/c", code=6)["tank/c"]["proof"]
    assert [(d["path"], d["side"], d["offset"]) for d in proof["differences"]] == [
        (f"object-{number:015d}", "target", 4 << 20)
    ]
    said = alpha.run(["zr", "verify", "tank/c"], check=False).text
    assert f"object {number} cannot be read on beta: EIO from byte 4,194,304 on" in said
    assert f"damaged on beta: object {number}." in alpha.run(["zr", "status"]).text
    assert "DAMAGED" in beta.run(["zr", "status"]).text
    repair(beta, spots)
    assert prove(site, "verify", "tank/c")["tank/c"]["proof"]["verdict"] == "equal"


def test_a_drill_compares_lists_too_and_measures(site: Site) -> None:
    copies = prove(site, "drill", "tank/a", "tank/vm")
    for copy in copies.values():
        assert copy["proof"]["verdict"] == "equal"
        assert copy["proof"]["restore_seconds"] > 0
        assert copy["proof"]["left_out"] == []
    assert scratch(site) == []  # also the volume: it has no device that udev could look at
    assert site.lane("tank/a")["proof"]["restored_seconds"] < 300
    assert DRILLS not in site.lab.alpha.sh("cat /proc/mounts").text


def test_a_copy_that_was_changed_is_found(site: Site) -> None:
    """Another snapshot of the same name cannot be compared; a change of content is named."""
    alpha, beta = site.lab.alpha, site.lab.beta
    assert get_written(site) == "0", "reading a replica changes nothing of it"
    done = alpha.run(["zr", "verify", "--snapshot", "never", "tank/a"], check=False)
    assert done.returncode == 3
    assert beta.sh("cat /proc/mounts | grep zr/alpha || true").text == ""


def get_written(site: Site) -> str:
    return site.lab.beta.sh(f"zfs get -Hpo value written {REPLICA}/a").text


def test_a_drill_that_dies_with_its_daemon_is_swept_at_the_next_start(site: Site) -> None:
    alpha = site.lab.alpha
    config = alpha.get("/etc/zr/zr.toml").decode()
    alpha.put("/etc/zr/zr.toml", (config + '\n[proof]\nrate = "1MiB"\n').encode())
    alpha.run(["zr", "reload"])
    site.wait(
        lambda: any(k["dataset"] == "tank/a" and k["committed"] for k in site.status()["lanes"]),
        "beta was asked",
    )
    alpha.run(["zr", "drill", "tank/a", "--background"])
    landed = f"zfs list -Ht snapshot -o name -r {DRILLS} || true"
    site.wait(lambda: "@" in alpha.sh(landed).text, "a scratch dataset, received")
    alpha.sh("zfs create -o mountpoint=none -o zr:scratch=x tank/zr-restore-drills/zr-restore-mine")
    site.daemons["alpha"].signal(9)
    site.daemons["alpha"].wait(timeout_seconds=30)
    assert len(scratch(site)) == 2
    alpha.put("/etc/zr/zr.toml", config.encode())
    site.wait(lambda: not zr_processes(alpha), "its workers end with it", 60)
    site.start("alpha")
    left = [f"{DRILLS}/zr-restore-mine"]
    site.wait(lambda: scratch(site) == left, "what the drill left is gone, and nothing else")
    alpha.sh(f"zfs destroy {left[0]}")


def test_damage_is_named_by_file_and_seen_to_be_gone(site: Site) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    site.settle()
    number = int(alpha.run(["stat", "-c", "%i", "/tank/a/big"]).text)
    snapshot = newest(beta, f"{REPLICA}/a")
    block = next(b for b in blocks_of(beta, snapshot, number) if b.offset >= 5 << 20)
    spots = ruin(beta, block)
    assert not reads(beta, snapshot, "big"), "else it is no damage"
    forget(beta)
    proof = prove(site, "verify", "tank/a", code=6)["tank/a"]["proof"]
    assert proof["verdict"] == "damaged"
    assert [(d["path"], d["side"], d["offset"]) for d in proof["differences"]] == [
        ("big", "target", 4 << 20)
    ]
    assert "DAMAGED" in alpha.run(["zr", "status"]).text
    shown = ["zr", "events", "--lines", "200", "--json"]
    site.wait(lambda: "copy-damaged" in alpha.run(shown).text, "it is told of")
    repair(beta, spots)
    assert prove(site, "verify", "tank/a")["tank/a"]["proof"]["verdict"] == "equal"
    assert "DAMAGED" not in alpha.run(["zr", "status"]).text


def test_a_volumes_damage_is_found(site: Site) -> None:
    beta = site.lab.beta
    blocks = blocks_of(beta, newest(beta, f"{REPLICA}/vm"), 1)
    spots = ruin(beta, blocks[len(blocks) // 2])
    proof = prove(site, "verify", "tank/vm", code=6)["tank/vm"]["proof"]
    assert [(d["path"], d["wrong"], d["offset"]) for d in proof["differences"]] == [
        (".", "unreadable", 8 << 20)
    ]
    repair(beta, spots)


def test_a_ruined_directory_is_named_and_the_walk_goes_on(site: Site) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    number = int(alpha.run(["stat", "-c", "%i", "/tank/a/many"]).text)
    snapshot = newest(beta, f"{REPLICA}/a")
    blocks = blocks_of(beta, snapshot, number)
    assert blocks, "a directory of its own blocks"
    spots = ruin(beta, *blocks)
    assert not reads(beta, snapshot, "many")
    forget(beta)
    proof = prove(site, "verify", "tank/a", code=6)["tank/a"]["proof"]
    assert [(d["path"], d["what"]) for d in proof["differences"]] == [("many", "names:EIO")]
    assert proof["entries"] == 712, "what is here was all read"
    repair(beta, spots)
    assert prove(site, "verify", "tank/a")["tank/a"]["proof"]["verdict"] == "equal"
