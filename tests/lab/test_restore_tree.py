"""`zr restore` of whole directories and datasets on real ZFS."""

import json
import secrets

import pytest

from .command import Result
from .conftest import Fresh
from .contents import look
from .interrupt import interrupt
from .looks import ask, get
from .node import Node

pytestmark = pytest.mark.lab
USER = "nobody"
S1, S2 = "zr_1-00000000_1_20261120T080000Z", "zr_1-00000000_2_20261120T090000Z"
BUILD = f"""
zfs create -o acltype=posix -o xattr=sa tank/svc; cd /tank/svc
mkdir -p radio/deep radio/private; cd radio
head -c 3000000 /dev/urandom >interview.wav; ln interview.wav deep/same.wav
truncate -s 64M sparse; printf end | dd of=sparse bs=1 seek=60000000 conv=notrunc status=none
ln -s ../nowhere link; mkfifo -m 620 pipe; mknod null c 1 3; mknod sock s 2>/dev/null || true
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
echo tool >tool; chmod 4755 tool; chown 12:34 deep; chmod 2750 deep
echo secret >private/secret; chmod 700 private
touch -d '2001-02-03 04:05:06.123456789' interview.wav deep
python3 -c '
import os
os.setxattr("interview.wav", "user.title", b"Interview")
acl = bytes.fromhex("02000000" "01000600ffffffff" "020004000c000000" "04000400ffffffff"
                    "10000600ffffffff" "20000400ffffffff")
os.setxattr("interview.wav", "system.posix_acl_access", acl)
os.setxattr("deep", "system.posix_acl_default", acl)'
zfs create -o mountpoint=/tank/svc/radio/child tank/child
echo inner >child/inner
zfs create -o mountpoint=/tank/svc/radio/late tank/late
zfs create -V 16M tank/vol
zfs create -o acltype=posix tank/out; chmod 1777 /tank/out
until [ -b /dev/zd0 ]; do :; done
dd if=/dev/urandom of=/dev/zd0 bs=1M count=4 status=none; sync
zfs snapshot tank/svc@{S1} tank/child@{S1} tank/vol@{S1}
echo newer >child/inner; rm -r deep; echo newer >tool
zfs snapshot tank/svc@{S2} tank/vol@{S2}
"""


@pytest.fixture(scope="module")
def alpha(fresh: Fresh) -> Node:
    node = fresh().lab.alpha
    node.sh("set -e\n" + BUILD, timeout_seconds=200)
    return node


def restore(
    node: Node, *words: str, user: str | None = None, code: int = 0, cwd: str = "/tank/svc"
) -> Result:
    result = node.run(["zr", "restore", *words], user=user, cwd=cwd, check=False)
    said = (result.stdout + result.stderr).decode()
    assert result.returncode == code, said
    assert "Traceback" not in said
    return result


LOOK = r"""
import hashlib, json, os, stat, sys
found = {}
for folder, names, files in os.walk(sys.argv[1]):
    for name in [*names, *files]:
        path = os.path.join(folder, name); s = os.lstat(path); what = ""
        if stat.S_ISREG(s.st_mode): what = hashlib.sha256(open(path, "rb").read()).hexdigest()
        if stat.S_ISLNK(s.st_mode): what = os.readlink(path)
        xattrs = {k: os.getxattr(path, k, follow_symlinks=False).hex()
                  for k in os.listxattr(path, follow_symlinks=False)}
        size = 0 if stat.S_ISDIR(s.st_mode) else s.st_size
        found[os.path.relpath(path, sys.argv[1])] = [s.st_mode, s.st_uid, s.st_gid, size,
            s.st_mtime_ns, s.st_rdev, 0 if stat.S_ISDIR(s.st_mode) else s.st_nlink, what, xattrs]
print(json.dumps(found))
"""


def test_a_directory_comes_back_whole_with_the_dataset_in_it(alpha: Node) -> None:
    said = restore(alpha, f"radio@{S1}", "--to", "/tank/out/all", "--privileged", "--json")
    facts = json.loads(said.stdout)
    old = ask(alpha, LOOK, f"/tank/svc/.zfs/snapshot/{S1}/radio")
    new = ask(alpha, LOOK, "/tank/out/all")
    child = {k: new.pop(k) for k in list(new) if k.startswith("child")}
    assert new == {k: v for k, v in old.items() if not k.startswith("child")}
    assert set(child) == {"child", "child/inner"}
    assert alpha.get("/tank/out/all/child/inner") == b"inner\n"
    assert [p["path"] for p in facts["left_out"]] == ["/tank/svc/radio/late"]
    assert facts["lost"] == []
    assert facts["counts"]["files"] == 6
    blocks = alpha.sh("zpool sync; stat -c %b /tank/out/all/sparse").text
    assert int(blocks) * 512 < 4 << 20
    assert alpha.sh("ls -A /tank/out").text == "all"


def test_without_privileged_special_things_are_left_out_and_named(alpha: Node) -> None:
    said = restore(alpha, f"radio@{S1}", "--to", "/tank/out/safe")
    assert "null" in said.stderr.decode()
    assert "tool" in said.stderr.decode()
    assert "/tank/svc/radio/late: dataset tank/late has no snapshot" in said.stderr.decode()
    assert alpha.sh("stat -c %a /tank/out/safe/tool").text == "755"
    assert not alpha.sh("ls /tank/out/safe | grep null", check=False).text


def test_a_user_gets_what_he_could_read(alpha: Node) -> None:
    said = restore(alpha, f"radio@{S1}", "--to", "/tank/out/mine", "--json", user=USER, code=5)
    facts = json.loads(said.stdout)
    left = [part["path"] for part in facts["left_out"]]
    assert "/tank/out/mine/private" in left
    assert "/tank/out/mine/deep" in left
    assert alpha.sh("stat -c %U /tank/out/mine/interview.wav").text == "nobody"
    assert not alpha.sh("ls /tank/out/mine | grep -e private", check=False).text


def test_in_place_a_directory_with_a_mount_below_is_refused(alpha: Node) -> None:
    said = restore(alpha, f"radio@{S1}", "--in-place", code=3).stderr.decode()
    assert "mounted at or below /tank/svc/radio" in said
    restore(alpha, f"radio/deep@{S1}", "--in-place")
    assert alpha.sh("ls /tank/svc/radio/deep").text == "same.wav"
    alpha.sh("echo mine >/tank/svc/radio/deep/mine")
    facts = json.loads(restore(alpha, f"radio/deep@{S1}", "--in-place", "--json").stdout)
    assert alpha.sh("ls /tank/svc/radio/deep").text == "same.wav"
    assert alpha.get(facts["kept"] + "/mine") == b"mine\n"


def test_the_root_of_a_dataset(alpha: Node) -> None:
    restore(alpha, f"/tank/svc@{S2}", "--to", "/tank/out/root")
    assert alpha.sh("ls /tank/out/root").text == "radio"
    restore(alpha, f".@{S2}", "--to", "/tank/out/dot", "--dry-run")
    assert not alpha.sh("ls /tank/out | grep dot", check=False).text


def test_an_interrupted_restore_goes_on(alpha: Node) -> None:
    alpha.sh(
        "mkdir /tank/svc/many; cd /tank/svc/many\n"
        "for i in $(seq 40); do head -c 4M /dev/urandom >f$i; done\n"
        "zfs snapshot tank/svc@before-many",
        timeout_seconds=120,
    )
    words = ["zr", "restore", "/tank/svc/many@before-many", "--to", "/tank/out/many"]
    ended = interrupt(alpha, words, "[ $(ls /tank/out/.zr-restore-*/ | wc -l) -gt 5 ]")
    assert ended.returncode == 130
    said = (ended.stdout + ended.stderr).decode()
    assert "the same command goes on from there" in said
    assert not alpha.sh("ls /tank/out | grep many", check=False).text
    again = json.loads(alpha.run([*words, "--json"], timeout_seconds=200).text)
    assert again["counts"]["files"] == 40
    alpha.sh("diff -r /tank/svc/many /tank/out/many")
    assert not alpha.sh("ls -A /tank/out | grep zr-restore", check=False).text


def test_a_dataset_comes_back_as_a_new_one(alpha: Node) -> None:
    said = restore(alpha, f"tank/svc@{S1}", "--to", "tank/svc-old", "--json")
    facts = json.loads(said.stdout)
    assert facts["kind"] == "dataset"
    seen = look(alpha, [f"tank/svc@{S1}", f"tank/svc-old@{S1}"])
    assert seen[f"tank/svc@{S1}"] == seen[f"tank/svc-old@{S1}"]
    own = get(alpha, "tank/svc-old", "mounted", "acltype", "canmount")
    assert own == {"mounted": "no", "acltype": "posix", "canmount": "noauto"}
    said = restore(alpha, f"tank/svc@{S1}", "--to", "tank/svc-old", code=3)
    assert "exists already" in said.stderr.decode()
    restore(alpha, f"tank/svc@{S1}", "--to", "tank/no/where", code=5)
    restore(alpha, f"tank/svc@{S1}", code=3)
    restore(alpha, f"tank/svc@{S1}", "--to", "/tank/out/x", code=3)


def test_a_volume_comes_back_as_a_new_one(alpha: Node) -> None:
    restore(alpha, f"tank/vol@{S1}", "--to", "tank/vol-dry", "--dry-run")
    assert "tank/vol-dry" not in alpha.sh("zfs list -Ho name").text
    restore(alpha, f"tank/vol@{S1}", "--to", "tank/vol-old")
    alpha.sh("until [ -b /dev/zd16 ]; do :; done; cmp /dev/zd0 /dev/zd16", timeout_seconds=120)


def test_an_encrypted_dataset_keeps_its_key(alpha: Node) -> None:
    key = secrets.token_hex(16)
    alpha.sh(
        f"echo {key} >/root/pass; zfs create -o encryption=on -o keyformat=passphrase "
        "-o keylocation=file:///root/pass tank/crypt; echo deep >/tank/crypt/secret\n"
        f"zfs snapshot tank/crypt@{S1}"
    )
    said = restore(alpha, f"tank/crypt@{S1}", "--to", "tank/crypt-old")
    assert "zfs load-key tank/crypt-old" in said.stderr.decode()
    alpha.sh("zfs load-key -L file:///root/pass tank/crypt-old; zfs mount tank/crypt-old")
    assert alpha.get("/tank/crypt-old/secret") == b"deep\n"


def test_ctrl_c_leaves_no_dataset(alpha: Node) -> None:
    alpha.sh(
        "head -c 200M /dev/urandom >/tank/svc/big; zfs snapshot tank/svc@big", timeout_seconds=200
    )
    words = ["zr", "restore", "tank/svc@big", "--to", "tank/cut"]
    assert interrupt(alpha, words, "pgrep -f '[z]fs receive'").returncode == 130
    # The receive learns that nobody speaks to it any more; what it has begun goes with it.
    alpha.sh("while pgrep -f '[z]fs receive'; do sleep 0.1; done")
    alpha.sh("until ! zfs list tank/cut 2>/dev/null; do sleep 0.1; done")
