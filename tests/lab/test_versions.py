"""`zr versions`, `zr where`, `zr diff` on real ZFS: births, change times, rights, replicas, peers.

The snapshots are made by hand under the names that ticks would have given them, or by the daemon
where another node is asked.
"""

import json
from typing import Any

import pytest

from .bench_versions import make_snapshots
from .command import Result
from .conftest import Fresh
from .node import Node
from .site import Site

pytestmark = pytest.mark.lab
USER = "nobody"
HOME = "/tank/home/radio"
ODD = "na me: café @ home.txt"


def name(number: int) -> str:
    return f"zr_1-00000000_{number}_2099112{number // 60 // 24}T00{number:02d}00Z"


def snapshot(node: Node, number: int) -> None:
    node.run(["zfs", "snapshot", f"tank/home/radio@{name(number)}"])


BUILD = (
    "zfs create -p tank/home/radio; cd /tank/home/radio; echo one >letter; cp letter a.tmp",
    "echo two >letter; mkdir -m 700 private; echo secret >private/key; echo draft >draft.wav",
    "rm a.tmp; mv draft.wav final.wav; echo 3 >private/key",
    "mkdir sub; mv final.wav sub/; echo x >letter.new; mv letter.new letter",
    "mv letter away; cp away other; touch busy",
    "mv away letter; touch busy; echo 1 >'na me: café @ home.txt'",
    "rm sub/final.wav; touch busy",
)


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Site:
    return fresh()


@pytest.fixture(scope="module")
def alpha(site: Site) -> Node:
    """Seven snapshots; a second between them, so that clocks that tick coarsely tell them apart."""
    node = site.lab.alpha
    for number, change in enumerate(BUILD):
        node.sh(f"cd {HOME} 2>/dev/null || cd /; {change}; sleep 0.05")
        snapshot(node, number)
    site.protect(["tank/home/**"], every="1h")
    return node


def zr(node: Node, *words: str, user: str | None = USER, code: int = 0, cwd: str = HOME) -> Result:
    result = node.run(["zr", *words], user=user, cwd=cwd, check=False)
    said = (result.stdout + result.stderr).decode()
    assert result.returncode == code, said
    assert "Traceback" not in said
    return result


def facts(node: Node, *words: str, user: str | None = USER, cwd: str = HOME) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(zr(node, *words, "--json", user=user, cwd=cwd).stdout)
    return answer


def runs(answer: dict[str, Any]) -> list[tuple[str, int, int]]:
    """(file's name, first, last) of each version."""
    return [
        (
            version["path"].rpartition("/")[2],
            int(version["first"]["snapshot"].split("_")[2]),
            int(version["last"]["snapshot"].split("_")[2]),
        )
        for version in answer["versions"]
    ]


@pytest.mark.parametrize("user", [USER, None])
def test_each_version_once(alpha: Node, user: str | None) -> None:
    answer = facts(alpha, "versions", "letter", user=user)
    # It was called `away` in 4, and came back: a rename is a change of it.
    assert runs(answer)[0][1:] == (5, 6)
    assert [v["size_bytes"] for v in answer["versions"]][-1] == 4
    assert runs(answer)[-1] == ("letter", 0, 0)
    assert answer["now"] == "same"


def test_the_command_that_is_shown_restores_that_version(alpha: Node) -> None:
    answer = facts(alpha, "versions", "letter", user=None)
    oldest = answer["versions"][-1]["restore"]
    said = alpha.sh(f"cd /; {oldest}").text
    assert "4 bytes" in said
    path = said.split()[1]
    assert alpha.get(path) == b"one\n"
    alpha.run(["rm", path])


def test_a_renamed_file_is_followed(alpha: Node) -> None:
    answer = facts(alpha, "versions", "sub/final.wav", user=None)
    assert [run[0] for run in runs(answer)] == ["final.wav", "final.wav", "draft.wav"]
    assert answer["versions"][1]["path"] == f"{HOME}/final.wav"
    answer = facts(alpha, "versions", "draft.wav", user=None)
    assert answer["renamed_to"] == f"{HOME}/final.wav"


def test_a_deleted_file(alpha: Node) -> None:
    said = zr(alpha, "versions", "sub/final.wav", user=None).text
    assert "Deleted between" in said
    assert f"zr restore {HOME}/sub/final.wav@{name(5)}" in said
    # It may have been renamed into a directory that this user may not look into.
    said = zr(alpha, "versions", "sub/final.wav").text
    assert "Deleted" not in said
    assert "cannot be told: not every directory could be searched." in said


def test_an_ordinary_user_sees_what_it_may_see(alpha: Node) -> None:
    assert [v["size_bytes"] for v in facts(alpha, "versions", "private/key", user=None)["versions"]]
    refused = zr(alpha, "versions", "private/key", code=5).stderr.decode()
    assert "cannot be seen" in refused
    refused = zr(alpha, "diff", f"private@{name(2)}", name(3), code=5).stderr.decode()
    assert "no right" in refused
    said = zr(alpha, "diff", f".@{name(1)}", name(2), code=5)
    assert "R  draft.wav -> final.wav" in said.text
    assert "private" in said.stderr.decode()
    assert "key" not in said.text


def test_nothing_stays_mounted_after_a_look_of_root(alpha: Node) -> None:
    alpha.sh("rm -rf /var/cache/zr")
    mounted = alpha.sh("grep -c @ /proc/mounts || true").text
    assert facts(alpha, "versions", "letter", user=None)["looked_into"] > 0
    # What was looked at in .zfs may go by itself meanwhile, after its five minutes.
    assert int(alpha.sh("grep -c @ /proc/mounts || true").text) <= int(mounted)
    again = facts(alpha, "versions", "letter", user=None)
    assert again["looked_into"] == 0


def test_a_cache_that_others_could_write_is_not_believed(alpha: Node) -> None:
    facts(alpha, "versions", "letter", user=None)
    alpha.sh("chmod 777 /var/cache/zr/versions")
    assert facts(alpha, "versions", "letter", user=None)["looked_into"] > 0
    alpha.sh("chmod 700 /var/cache/zr/versions; echo nonsense | tee /var/cache/zr/versions/*.json")
    assert facts(alpha, "versions", "letter", user=None)["looked_into"] > 0


def test_a_snapshot_of_the_same_name_is_another_one(alpha: Node) -> None:
    alpha.sh("zfs create tank/twice; echo a >/tank/twice/f; zfs snapshot tank/twice@" + name(0))
    first = facts(alpha, "versions", "f", user=None, cwd="/tank/twice")
    alpha.sh(f"zfs destroy tank/twice@{name(0)}; echo bb >/tank/twice/f")
    alpha.run(["zfs", "snapshot", f"tank/twice@{name(0)}"])
    second = facts(alpha, "versions", "f", user=None, cwd="/tank/twice")
    sizes = [first["versions"][0]["size_bytes"], second["versions"][0]["size_bytes"]]
    assert sizes == [2, 3]


def test_hundreds_of_snapshots_need_few_looks(alpha: Node) -> None:
    make_snapshots(alpha, 300)
    first = facts(alpha, "versions", "file", "--no-ask", user=None, cwd="/tank/many")
    assert (first["snapshots"], len(first["versions"])) == (300, 1)
    assert first["looked_into"] == 2
    alpha.sh("grep -l tank/many /var/cache/zr/versions/*.list")  # ZFS need not list them again
    alpha.sh("echo more >>/tank/many/file; zfs snapshot tank/many@by-hand")
    second = facts(alpha, "versions", "file", "--no-ask", user=None, cwd="/tank/many")
    assert [v["snapshots"] for v in second["versions"]] == [1, 300]
    assert second["looked_into"] == 1


def test_names_of_all_kinds(alpha: Node) -> None:
    assert runs(facts(alpha, "versions", ODD))[0][1:] == (5, 6)
    command = facts(alpha, "versions", ODD, user=None)["versions"][0]["restore"]
    alpha.sh(f"cd {HOME}; {command}; rm na*Z")


def test_a_bare_name_is_found_wherever_it_was(alpha: Node) -> None:
    answer = facts(alpha, "versions", "busy", cwd="/")
    assert answer["path"] == f"{HOME}/busy"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["versions", "never"], 3, "is in no snapshot"),
        (["versions", "/etc/hostname"], 3, "not on a mounted ZFS dataset"),
        (["versions", "sub"], 3, "is a directory"),
        (["versions", "letter@latest"], 3, "If latest is a time"),
        (["where", "never"], 3, "is in no snapshot"),
        (["diff", "letter"], 3, "there is no @"),
        (["diff", "letter@25:00"], 3, "no time of day"),
        (["diff", f"never@{name(1)}", name(2)], 3, "There is no never"),
        (["versions"], 2, "Missing argument"),
    ],
)
def test_what_is_refused(alpha: Node, words: list[str], code: int, said: str) -> None:
    assert said in zr(alpha, *words, code=code).stderr.decode()


def test_diff_of_a_text_and_of_a_dataset(alpha: Node) -> None:
    said = zr(alpha, "diff", f"letter@{name(0)}", name(1)).text
    assert said.splitlines()[-2:] == ["-one", "+two"]
    answer = facts(alpha, "diff", f"tank/home/radio@{name(3)}", name(4), user=None)
    changes = {(d["change"], d["path"]) for d in answer["differences"]}
    assert changes == {("renamed", "away"), ("added", "other"), ("added", "busy")}
    answer = facts(alpha, "diff", f"tank/home/radio@{name(6)}", user=None)
    assert answer["same"] is True
    # A dataset that is mounted in it is no part of it.
    alpha.sh("zfs create tank/home/radio/below; chmod 700 /tank/home/radio/below")
    answer = facts(alpha, "diff", f"tank/home/radio@{name(6)}", user=None)
    assert [(d["change"], d["path"]) for d in answer["differences"]] == [("added", "below")]
    alpha.run(["zfs", "destroy", "tank/home/radio/below"])


def test_another_node_is_asked_and_its_replica_is_looked_into(site: Site, alpha: Node) -> None:
    site.start()
    site.settle()
    answer = facts(alpha, "where", f"{HOME}/letter", user=None)
    copies = {copy["node"]: copy for copy in answer["copies"]}
    assert copies["alpha"]["known"] == "here"
    assert copies["beta"]["known"] == "asked"
    assert copies["beta"]["snapshots"] > 0
    assert answer["newest_safe_on"] == ["alpha", "beta"]
    asked_by_user = facts(alpha, "where", f"{HOME}/letter")
    known = [copy["known"] for copy in asked_by_user["copies"]]
    assert known == ["here", "acknowledged"]
    beta = site.lab.beta
    there = facts(beta, "versions", f"{HOME}/letter", user=None, cwd="/")
    assert there["node"] == "alpha"
    mine = facts(alpha, "versions", "letter", user=None)
    assert [v["inode"] for v in there["versions"]] == [v["inode"] for v in mine["versions"]]
    assert "not known here" in zr(beta, "where", f"{HOME}/letter", user=None, cwd="/").text
    site.stop("beta")
    answer = facts(alpha, "where", f"{HOME}/letter", user=None)
    copies = {copy["node"]: copy for copy in answer["copies"]}
    assert copies["beta"]["known"] == "silent"
    assert copies["beta"]["trouble"]
