"""`kill -9` of `zr restore --from peer`, wherever it is: nothing half-done can be seen, what it
leaves is named by `zr doctor`, and the same command ends what was begun."""

from __future__ import annotations

import json

import pytest

from .conftest import Fresh
from .interrupt import interrupt
from .node import Node
from .site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
BUILD = """
zfs create -o mountpoint=/srv tank/srv; zfs create tank/srv/x
head -c 24M /dev/urandom >/srv/x/big; mkdir /srv/x/many
for i in $(seq 24); do head -c 1M /dev/urandom >/srv/x/many/f$i; done
cd /srv/x; find . -type f | sort | xargs sha256sum >/root/sums
"""


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Site:
    """alpha's snapshots are gone: all must come from beta."""
    site = fresh()
    site.lab.alpha.sh(BUILD, timeout_seconds=200)
    site.protect(["tank/srv/**"], every="1h")
    site.start()
    site.settle()
    site.stop("alpha")
    site.lab.alpha.sh(
        "zfs list -Ho name -t snapshot | xargs -n1 zfs holds -H | "
        "while read snap tag rest; do zfs release $tag $snap; done\n"
        # What the daemon has just done with it may end a moment after the daemon.
        "until zfs destroy -r tank/srv/x; do sleep 0.2; done\n"
        "until zfs destroy tank/srv@%; do sleep 0.2; done"
    )
    return site


def kill(node: Node, when: str, *words: str) -> None:
    """Only zr itself; what it started ends because nobody speaks to it any more."""
    ended = interrupt(node, ["zr", "restore", *words, "--from", "peer"], when, number=9)
    assert ended.returncode == -9
    node.sh("while pgrep -f '[z]fs (send|receive)'; do sleep 0.1; done", timeout_seconds=60)


def scratch(node: Node) -> set[str]:
    names = node.sh("zfs list -Ho name").text.split()
    return {name for name in names if name.rpartition("/")[2].startswith("zr-restore-")}


def named_by_doctor(node: Node) -> set[str]:
    done = node.run(["zr", "doctor", "--json"], check=False, timeout_seconds=120)
    findings = json.loads(done.text)["findings"]
    left = json.dumps([f for f in findings if f["id"] == "scratch-left"])
    return {name for name in scratch(node) if name in left}


def check_quiet(node: Node) -> None:
    """Nothing is mounted, and what is left is known."""
    assert "zr-restore" not in node.sh("cat /proc/mounts").text
    assert named_by_doctor(node) == scratch(node)


def test_killed_while_the_dataset_comes(site: Site) -> None:
    alpha = site.lab.alpha
    site.lab.degrade(rate="16mbit")  # so it takes twelve seconds
    alpha.sh("mkdir -p /root/out")
    for seconds in (0.5, 1.5, 3.0, 5.0):
        when = f"pgrep -f '[z]fs receive' && sleep {seconds}"
        kill(alpha, when, "/srv/x/big@latest", "--to", "/root/out/big")
        assert alpha.sh("ls -A /root/out").text == ""
        check_quiet(alpha)
    site.lab.degrade()
    alpha.run(["zr", "restore", "/srv/x/big@latest", "--from", "peer", "--to", "/root/out/big"])
    alpha.sh("grep ' ./big$' /root/sums >/root/one; cd /root/out; sha256sum -c /root/one")
    assert scratch(alpha) == set()
    assert alpha.sh("ls -A /root/out").text == "big"


def test_killed_while_files_are_written(site: Site) -> None:
    """The copy is here already, as a scratch dataset; the tree grows under a hidden name."""
    alpha = site.lab.alpha
    words = ("/srv/x/many@latest", "--to", "/root/tree/many")
    alpha.sh("mkdir -p /root/tree")
    seen = set()
    for files in (1, 7, 12, 17):  # of 24: the last ones are there before anybody can look
        kill(alpha, f"[ $(ls /root/tree/.zr-restore-*/ | wc -l) -ge {files} ]", *words)
        assert not alpha.sh("ls /root/tree").text, "only hidden names until all is whole"
        seen |= scratch(alpha)
        check_quiet(alpha)
    assert seen, "a scratch dataset was left, so that the next one had to take it away"
    done = alpha.run(["zr", "restore", *words, "--from", "peer"])
    assert b"is left from a restore that was killed; it goes" in done.stderr
    alpha.sh("grep many/ /root/sums >/root/some; cd /root/tree; sha256sum -c /root/some")
    assert scratch(alpha) == set()
    assert alpha.sh("ls -A /root/tree").text == "many"
    assert not named_by_doctor(alpha)


def test_killed_while_a_new_dataset_is_made(site: Site) -> None:
    alpha = site.lab.alpha
    site.lab.degrade(rate="40mbit")
    when = "pgrep -f '[z]fs receive' && sleep 2"
    kill(alpha, when, "tank/srv/x@latest", "--to", "tank/back")
    site.lab.degrade()
    shown = alpha.sh("zfs list -Ho name -t all -r tank | grep back || true").text
    assert "@" not in shown, "no snapshot, so nobody takes it for the copy"
    if shown:
        said = alpha.run(
            ["zr", "restore", "tank/srv/x@latest", "--from", "peer", "--to", "tank/back"],
            check=False,
        )
        assert said.returncode == 3
        assert b"Traceback" not in said.stderr
        alpha.sh("zfs destroy -r tank/back")
    alpha.run(["zr", "restore", "tank/srv/x@latest", "--from", "peer", "--to", "tank/back"])
    alpha.sh("mkdir /mnt/back; mount -t zfs -o zfsutil tank/back /mnt/back")
    alpha.sh("cd /mnt/back; sha256sum -c /root/sums; cd /; umount /mnt/back")
