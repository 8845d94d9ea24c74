"""`zr restore` on beta, from the replicas that it keeps, also when alpha's pool is gone."""

import json

import pytest

from .command import Result
from .conftest import Fresh
from .contents import look
from .looks import get, versions
from .node import Node
from .site import Site

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Site:
    """beta has everything of alpha's tank/srv (at /srv), and alpha is off."""
    site = fresh()
    alpha = site.lab.alpha
    alpha.sh(
        "zfs create -o mountpoint=/srv -o acltype=posix tank/srv; zfs create tank/srv/x\n"
        "zfs create -V 16M tank/srv/vm; mkdir /srv/x/show; echo deep >/srv/x/show/note\n"
        "head -c 1000000 /dev/urandom >/srv/x/interview.wav; chown 12:34 /srv/x/interview.wav\n"
        "echo top >/srv/top; cp -p /bin/true /srv/x/tool; chmod 4755 /srv/x/tool"
    )
    alpha.sh(
        "echo 12345678 >/root/pass; zfs create -o encryption=on -o keyformat=passphrase "
        "-o keylocation=file:///root/pass tank/srv/c; echo deep >/srv/c/secret"
    )
    alpha.sh(
        "zfs create -o mountpoint=/data -o canmount=off tank/d; zfs create tank/d/radio\n"
        "zfs create tank/d/radio/deep; echo a >/data/radio/note; echo b >/data/radio/deep/note"
    )
    site.protect(["tank/srv/**", "tank/d/radio/**"], every="1h")
    site.start()
    site.settle()
    alpha.sh("sha256sum </srv/x/interview.wav >/srv/sum; rm -r /srv/x/*")
    site.settle()
    site.stop("beta")
    site.sum = alpha.get("/srv/sum").decode().split()[0]  # type: ignore[attr-defined]
    site.lab.alpha.crash()
    return site


def restore(node: Node, *words: str, code: int = 0, user: str | None = None) -> Result:
    result = node.run(["zr", "restore", *words], user=user, cwd="/root" if not user else "/tmp",
                      check=False)  # fmt: skip
    said = (result.stdout + result.stderr).decode()
    assert result.returncode == code, said
    assert "Traceback" not in said
    return result


def first(beta: Node) -> str:
    return versions(beta, "back/zr/alpha/tank/srv/x")[0]


def test_a_file_by_its_old_path(site: Site) -> None:
    beta = site.lab.beta
    said = restore(beta, f"/srv/x/interview.wav@{first(beta)}", "--to", "/root", "--json")
    facts = json.loads(said.stdout)
    assert (facts["node"], facts["dataset"]) == ("alpha", "tank/srv/x")
    assert facts["sha256"] == site.sum  # type: ignore[attr-defined]
    assert beta.sh("stat -c %u:%g /root/interview.wav").text == "12:34"
    restore(beta, f"tank/srv/x/interview.wav@{first(beta)}", "--to", "/root/two")
    restore(beta, f"interview.wav@{first(beta)}", "--to", "/root/three")
    beta.sh("cmp /root/interview.wav /root/two; cmp /root/two /root/three")
    said = restore(beta, "/srv/x/interview.wav@latest", "--to", "/root/none", code=3)
    assert "There is no interview.wav" in said.stderr.decode()


def test_where_its_directory_is_not_here_a_place_must_be_said(site: Site) -> None:
    beta = site.lab.beta
    said = restore(beta, f"/srv/x/interview.wav@{first(beta)}", code=3).stderr.decode()
    assert "--to ." in said
    assert not beta.sh("ls / | grep srv/x", check=False).text


def test_a_directory_over_two_replicas(site: Site) -> None:
    beta = site.lab.beta
    said = restore(beta, f"/srv@{first(beta)}", "--to", "/root/srv")
    assert beta.get("/root/srv/top") == b"top\n"
    assert beta.get("/root/srv/x/show/note") == b"deep\n"
    assert beta.sh("stat -c %a /root/srv/x/tool").text == "755"
    assert "set-user-id" in said.stderr.decode()


def test_nothing_of_it_stays_mounted_and_the_replica_is_untouched(site: Site) -> None:
    beta = site.lab.beta
    assert "zr/alpha" not in beta.sh("cat /proc/mounts").text
    assert "zr-restore" not in beta.sh("ls -A /run").text
    for name in ("tank/srv", "tank/srv/x"):
        assert get(beta, f"back/zr/alpha/{name}", "written")["written"] == "0"
        assert get(beta, f"back/zr/alpha/{name}", "mounted")["mounted"] == "no"


def test_an_encrypted_replica_needs_its_key(site: Site) -> None:
    beta = site.lab.beta
    said = restore(beta, "/srv/c/secret@latest", "--to", "/root/secret", code=5).stderr.decode()
    assert "zfs load-key" in said
    beta.put("/root/pass", b"12345678\n")
    beta.sh("zfs load-key -L file:///root/pass back/zr/alpha/tank/srv/c")
    restore(beta, "/srv/c/secret@latest", "--to", "/root/secret")
    assert beta.get("/root/secret") == b"deep\n"
    # Whoever has read it may still be at the end of it.
    beta.sh("until zfs unload-key back/zr/alpha/tank/srv/c; do sleep 0.2; done")


def test_a_mount_point_that_beta_was_never_told(site: Site) -> None:
    """tank/d, which is not replicated, has it."""
    beta = site.lab.beta
    said = restore(beta, "/data/radio/deep/note@latest", "--to", "/root/note", "--json")
    assert json.loads(said.stdout)["dataset"] == "tank/d/radio/deep"
    assert beta.get("/root/note") == b"b\n"
    restore(beta, "/data/radio@latest", "--to", "/root/radio")
    assert beta.sh("cd /root/radio; cat note deep/note").text == "a\nb"
    restore(beta, "/data/radio/never@latest", "--to", "/root/never", code=3)


def test_only_root_reads_replicas(site: Site) -> None:
    beta = site.lab.beta
    said = restore(beta, f"/srv/top@{first(beta)}", "--to", "/tmp", user="nobody", code=5)
    assert "Only root" in said.stderr.decode()


def test_a_dataset_and_a_volume_beside_the_replicas(site: Site) -> None:
    beta = site.lab.beta
    when = first(beta)
    restore(beta, f"tank/srv/x@{when}", "--to", "back/srv-x")
    seen = look(beta, [f"back/srv-x@{when}", f"back/zr/alpha/tank/srv/x@{when}"])
    assert len(set(seen.values())) == 1
    assert get(beta, "back/srv-x", "setuid", "mounted") == {"setuid": "off", "mounted": "no"}
    restore(beta, "tank/srv/vm@latest", "--to", "back/vm")
    restore(beta, f"tank/srv/x@{when}", "--to", "back/zr/alpha/more", code=3)
