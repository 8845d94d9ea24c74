"""`zr rescue diff` and `export` on real ZFS, as root, without the daemon: what was set aside by the
steps of core/rejoin.py, typed by hand: a file system, an encrypted one, a volume."""

import json
import re

import pytest

from .conftest import Fresh
from .node import Node

pytestmark = pytest.mark.lab
LABEL = "1-9f3a21cc-0b51e2aa"
BASE = "zr_1-9f3a21cc_1_20261121T091423Z"
BUILD = f"""
    zfs create tank/audio
    echo passphrase >/root/key
    zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///root/key tank/secret
    zfs create -V 16M tank/disk
    for each in audio secret; do
        mkdir /tank/$each/talks; cd /tank/$each/talks
        for name in same changed both gone; do echo $name of both >$name; done
    done
    cd /
    for each in audio secret disk; do zfs snapshot tank/$each@{BASE}; done
    for each in audio secret; do
        cd /tank/$each; mkdir .zr; echo 1-9f3a21cc >.zr/epoch; rm talks/gone
        echo only alpha >talks/changed; echo alphas >talks/both
        head -c 3000000 /dev/urandom >new; echo brought >talks/brought; mv talks/same talks/moved
        chown nobody new; chmod 640 new
    done
    cd /; udevadm settle; dd if=/dev/urandom of=/dev/zvol/tank/disk bs=1M count=1 conv=fsync
    zfs create -p -o canmount=off tank/zr-rescue/{LABEL}
    for each in audio secret disk; do
        zfs snapshot tank/$each@zr-rescue_{LABEL}
        case $each in disk) ;; *) zfs set canmount=noauto tank/$each; zfs umount tank/$each;; esac
        # udev looks at a volume that was written to, and keeps it busy meanwhile.
        until zfs rename tank/$each tank/zr-rescue/{LABEL}/$each; do sleep 0.2; done
        zfs clone tank/zr-rescue/{LABEL}/$each@{BASE} tank/$each
        zfs promote tank/$each
        # With the promotion the encryption root moves, and the key is not loaded any more.
        case $each in secret) zfs load-key tank/$each;; esac
        zfs set readonly=on tank/zr-rescue/{LABEL}/$each
    done
    echo betas >/tank/audio/talks/both; echo brought >/tank/audio/talks/brought
    zfs umount tank/secret
"""


@pytest.fixture(scope="module")
def alpha(fresh: Fresh) -> Node:
    node = fresh().lab.alpha
    node.sh(BUILD, timeout_seconds=200)
    return node


def test_diff_names_what_is_nowhere_else(alpha: Node) -> None:
    said = json.loads(alpha.run(["zr", "rescue", "diff", "--json", LABEL]).text)
    by_name = {one["dataset"]: one for one in said["datasets"]}
    assert sorted(by_name) == ["tank/audio", "tank/disk", "tank/secret"]
    found = {one["path"]: one for one in by_name["tank/audio"]["only"]}
    assert {path: one["change"] for path, one in found.items()} == {
        "new": "added",
        "talks/both": "modified",
        "talks/changed": "modified",
        "talks/moved": "renamed",
    }
    assert [path for path, one in found.items() if one["also_changed"]] == ["talks/both"]
    assert (by_name["tank/audio"]["already"], by_name["tank/audio"]["removed"]) == (1, 1)
    assert by_name["tank/disk"]["volume"]
    shown = alpha.run(["zr", "rescue", "diff", LABEL]).text
    assert "+  new  (3,000,000 bytes)" in shown
    assert "R  talks/same -> talks/moved" in shown


def test_what_is_mounted_nowhere_is_read_all_the_same(alpha: Node) -> None:
    """tank/secret is not mounted, as on a standby: its newest snapshot counts."""
    said = json.loads(alpha.run(["zr", "rescue", "diff", "--json", LABEL]).text)
    (secret,) = [one for one in said["datasets"] if one["dataset"] == "tank/secret"]
    assert {one["path"] for one in secret["only"]} == {
        "new", "talks/both", "talks/brought", "talks/changed", "talks/moved",
    }  # fmt: skip
    assert alpha.sh("zfs get -Ho value mounted tank/secret").text == "no"


def test_export_brings_it_out_with_owner_and_mode(alpha: Node) -> None:
    argv = ["zr", "rescue", "export", LABEL, "--to", "/root/out"]
    first = alpha.run(argv)
    assert "Copied 9 files" in first.text
    stored = f"tank/zr-rescue/{LABEL}/audio@zr-rescue_{LABEL}"
    alpha.sh(f"mkdir -p /mnt/tail; mount -t zfs -o ro {stored} /mnt/tail")
    alpha.sh("cmp /mnt/tail/new /root/out/tank/audio/new")
    alpha.sh("umount /mnt/tail")
    assert alpha.sh("stat -c '%U %a' /root/out/tank/audio/new").text == "nobody 640"
    assert alpha.sh("find /root/out -name epoch", check=False).text == ""
    assert "There already, the same: 9" in alpha.run(argv).text
    alpha.sh("echo mine >/root/out/tank/audio/talks/both; rm /root/out/tank/audio/new")
    again = alpha.run(argv, check=False)
    assert again.returncode == 3
    assert "Copied 1 file" in again.text
    assert alpha.sh("cat /root/out/tank/audio/talks/both").text == "mine"


def test_a_missing_key_hides_one_dataset_and_says_so(alpha: Node) -> None:
    alpha.sh("zfs unload-key -r tank/secret")
    shown = alpha.run(["zr", "rescue", "diff", LABEL], check=False)
    assert shown.returncode == 5
    assert "talks/changed" in shown.text
    told = re.search(r"`(zfs load-key [^`]*)`", shown.stderr.decode())
    assert told, shown.stderr
    assert told[1] == "zfs load-key tank/secret", "the encryption root, not the rescue itself"
    alpha.sh(told[1])
    assert "tank/secret" in alpha.run(["zr", "rescue", "diff", LABEL]).text


def test_of_a_volume_it_says_the_command_that_works(alpha: Node) -> None:
    words = ["zr", "rescue", "export", LABEL, "tank/disk", "--to", "/root/out"]
    refused = alpha.run(words, check=False)
    assert refused.returncode == 3
    command = refused.stderr.decode().partition("To look into it: ")[2].strip()
    alpha.sh(command.replace("NAME", "looked"))
    alpha.sh("udevadm settle; test -e /dev/zvol/tank/looked", check=False)
    alpha.sh("zfs list tank/looked")
