"""`zr restore --from peer`: alpha gets back from beta what it has not any more."""

import json

import pytest

from .command import Result
from .conftest import Fresh
from .contents import look
from .interrupt import interrupt
from .looks import ask, get
from .node import Node
from .site import Site

pytestmark = pytest.mark.lab
BUILD = """
zfs create -o mountpoint=/srv tank/srv; zfs create tank/srv/x; zfs create -V 16M tank/vm
mkdir /srv/x/show; echo deep >/srv/x/show/note; head -c 5M /dev/urandom >/srv/x/interview.wav
mkdir -p /srv/deep/er; echo f >/srv/deep/er/f; echo top >/srv/top
head -c 40M /dev/urandom >/srv/big
sha256sum </srv/x/interview.wav >/root/sum
"""


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Site:
    """beta has tank/srv, tank/srv/x and tank/vm; alpha has lost all snapshots, and tank/srv/x."""
    site = fresh()
    site.lab.alpha.sh(BUILD, timeout_seconds=200)
    site.protect(["tank/srv/**", "tank/vm"], every="1h")
    site.start()
    site.settle()
    site.stop("alpha")
    site.lab.alpha.sh(
        "zfs list -Ho name -t snapshot | xargs -n1 zfs holds -H | "
        "while read snap tag rest; do zfs release $tag $snap; done\n"
        # What the daemon has just done with it may end a moment after the daemon.
        "for each in '-r tank/srv/x' tank/srv@% tank/vm@%; do\n"
        "until zfs destroy $each; do sleep 0.2; done; done"
    )
    return site


def restore(node: Node, *words: str, code: int = 0, user: str | None = None) -> Result:
    result = node.run(["zr", "restore", *words], user=user, cwd="/tmp", check=False)
    said = (result.stdout + result.stderr).decode()
    assert result.returncode == code, said
    assert "Traceback" not in said
    return result


def no_scratch(node: Node) -> None:
    assert "zr-restore" not in node.sh("zfs list -Ho name").text
    assert "zr-restore" not in node.sh("cat /proc/mounts; ls /run").text


def test_a_file_of_a_dataset_that_is_gone(site: Site) -> None:
    alpha = site.lab.alpha
    said = restore(alpha, "/srv/x/interview.wav@latest", code=3)
    assert "--from peer" in said.stderr.decode()
    said = restore(
        alpha, "/srv/x/interview.wav@latest", "--from", "local,peer", "--to", "/root", "--json"
    )
    facts = json.loads(said.stdout)
    assert (facts["from"], facts["peer"], facts["dataset"]) == ("peer", "beta", "tank/srv/x")
    assert facts["sha256"] == alpha.get("/root/sum").decode().split()[0]
    assert "scratch dataset tank/zr-restore-" in said.stderr.decode()
    no_scratch(alpha)


def test_a_directory_to_its_old_place(site: Site) -> None:
    alpha = site.lab.alpha
    said = restore(alpha, "/srv/x/show@latest", "--from", "peer", code=3)
    assert "--to ." in said.stderr.decode()
    restore(alpha, "/srv/x/show@latest", "--from", "peer", "--to", "/srv")
    assert alpha.get("/srv/show/note") == b"deep\n"
    alpha.sh("rm -r /srv/deep")
    restore(alpha, "/srv/deep/er/f@latest", "--from", "peer")
    assert alpha.get("/srv/deep/er/f") == b"f\n"
    no_scratch(alpha)
    said = restore(alpha, "/srv@latest", "--from", "peer", "--to", "/root/srv")
    assert "left out" not in said.stderr.decode()
    assert alpha.get("/root/srv/x/show/note") == b"deep\n"
    assert alpha.get("/root/srv/top") == b"top\n"


def test_what_is_not_there_leaves_nothing(site: Site) -> None:
    alpha = site.lab.alpha
    restore(alpha, "/srv/x/never@latest", "--from", "peer", "--to", "/root/n", code=3)
    restore(alpha, "/elsewhere/a@latest", "--from", "peer", code=3)
    restore(alpha, "/srv/top@1999-01-01T00:00", "--from", "peer", "--to", "/root/n", code=3)
    said = restore(alpha, "/srv/top@latest", "--from", "peer", "--dry-run").text
    assert said.startswith("Would restore /srv/top (if it was there")
    restore(alpha, "/srv/top@latest", "--from", "peer", user="nobody", code=5)
    no_scratch(alpha)


def test_whole_datasets(site: Site) -> None:
    lab = site.lab
    said = restore(lab.alpha, "tank/srv/x@latest", "--from", "peer", "--to", "tank/again", "--json")
    snapshot = json.loads(said.stdout)["snapshot"]
    mine = look(lab.alpha, [f"tank/again@{snapshot}"])[f"tank/again@{snapshot}"]
    replica = f"back/zr/alpha/tank/srv/x@{snapshot}"
    assert look(lab.beta, [replica])[replica] == mine
    assert get(lab.alpha, "tank/again", "setuid")["setuid"] == "off"
    restore(lab.alpha, "tank/vm@latest", "--from", "peer", "--to", "tank/vm-again")
    restore(lab.alpha, "tank/vm@latest", "--from", "peer", "--to", "tank/vm-again", code=3)


def test_ctrl_c_leaves_no_scratch(site: Site) -> None:
    alpha = site.lab.alpha
    words = ["zr", "restore", "/srv/big@latest", "--from", "peer", "--to", "/root/big"]
    site.lab.degrade(rate="40mbit")  # so it takes eight seconds
    assert interrupt(alpha, words, "pgrep -f '[z]fs receive'").returncode == 130
    site.lab.degrade()
    no_scratch(alpha)
    assert "big" not in alpha.sh("ls -A /root").text
    restore(alpha, "/srv/big@latest", "--from", "peer", "--to", "/root/big")


DESTROY = """
import json, sys
from zrepl_py.adapters.zfs.scratch import destroy_scratch
from zrepl_py.errors import ZrError
try: destroy_scratch(*sys.argv[1:]); print(json.dumps("gone"))
except ZrError as error: print(json.dumps(error.reason))
"""


def test_only_what_carries_the_mark_is_destroyed(site: Site) -> None:
    alpha = site.lab.alpha
    alpha.sh(
        "zfs create -o canmount=off -o mountpoint=none -o zr:scratch=m1 tank/zr-restore-a\n"
        "zfs create tank/zr-restore-a/zr-restore-b\n"
        "zfs create -o mountpoint=none tank/zr-restore-c\n"
        "zfs create -o mountpoint=none -o zr:scratch=m1 tank/other\n"
        "zfs snapshot tank/zr-restore-a@s"
    )
    for name, mark, said in (
        ("tank/other", "m1", "not-scratch"),  # another name
        ("tank/zr-restore-a", "m2", "not-scratch"),  # another mark
        ("tank/zr-restore-a", "m1", "not-scratch"),  # it has a child
        ("tank/zr-restore-a/zr-restore-b", "m1", "not-scratch"),  # the mark is inherited
        ("tank/zr-restore-c", "m1", "not-scratch"),  # no mark
        ("tank/zr-restore-never", "m1", "gone"),
    ):
        assert ask(alpha, DESTROY, name, mark) == said, name
    alpha.sh("zfs destroy tank/zr-restore-a/zr-restore-b; zfs hold h tank/zr-restore-a@s")
    assert ask(alpha, DESTROY, "tank/zr-restore-a", "m1") == "busy"
    assert "tank/zr-restore-a@s" in alpha.sh("zfs list -Ho name -t snapshot").text
    alpha.sh("zfs release h tank/zr-restore-a@s")
    assert ask(alpha, DESTROY, "tank/zr-restore-a", "m1") == "gone"
    left = alpha.sh("zfs list -Ho name").text.split()
    assert "tank/zr-restore-a" not in left
    assert {"tank/zr-restore-c", "tank/other"} <= set(left)
    alpha.sh("zfs destroy tank/zr-restore-c; zfs destroy tank/other")


def test_beta_sends_nobody_what_is_not_his(site: Site) -> None:
    """beta asks alpha, which keeps nothing of it."""
    said = restore(site.lab.beta, "/srv/top@latest", "--from", "peer", "--to", "/root/x", code=4)
    assert said.stderr.startswith(b"zr: ")


def test_when_beta_is_silent_it_says_so(site: Site) -> None:
    site.stop("beta")
    said = restore(site.lab.alpha, "/srv/top@latest", "--from", "peer", "--to", "/root/x", code=4)
    assert said.stderr.startswith(b"zr: ")
    no_scratch(site.lab.alpha)
