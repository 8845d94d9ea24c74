"""`zr restore` on real ZFS, by an ordinary user, without the daemon.

The snapshots are made by hand under the names that ticks would have given them, so the times are
known: two of yesterday, in the time zone of the policy.
"""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from .command import Result
from .conftest import Fresh
from .interrupt import interrupt
from .looks import get
from .node import Node
from .site import Site

pytestmark = pytest.mark.lab
USER = "nobody"
ODD = "na me: café @ home.txt"
ZONE = ZoneInfo("Europe/Berlin")
BUILD = """
zfs create tank/home; zfs create tank/home/radio; cd /tank/home/radio
echo monday >letter; mkdir -p old/deep; echo buried >old/deep/treasure
truncate -s 64M sparse; printf end | dd of=sparse bs=1 seek=67108861 conv=notrunc status=none
dd if=/dev/urandom of=sparse bs=128k seek=100 count=4 conv=notrunc status=none
head -c 3000000 /dev/urandom >interview.wav; ln -s letter link; chmod 600 interview.wav
echo hidden >secret; chmod 600 secret; chown 0:0 secret
chown -R nobody letter old sparse interview.wav; chown nobody /tank/home/radio
"""


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


@pytest.fixture(scope="module")
def alpha(fresh: Fresh) -> Node:
    site = fresh()
    node = site.lab.alpha
    noon = datetime.fromtimestamp(node.now(), ZONE).replace(hour=12, minute=0)
    node.step_clock(noon.timestamp() - node.now())  # else midnight may come between two tests
    node.sh(BUILD)
    node.put(f"/tank/home/radio/{ODD}", "café".encode())
    site.protect(["tank/home/**"], every="1h")
    in_berlin(site)
    first, second = moments(node)
    node.run(["zfs", "snapshot", "-r", f"tank/home@zr_1-00000000_1_{stamp(first)}"])
    node.sh("cd /tank/home/radio; echo tuesday >letter; rm -r old; echo cut >interview.wav")
    node.run(["zfs", "snapshot", "-r", f"tank/home@zr_1-00000000_2_{stamp(second)}"])
    node.sh("cd /tank/home/radio; echo wednesday >letter; mkdir /tank/out; chown nobody /tank/out")
    return node


def in_berlin(site: Site) -> None:
    path = "/etc/zr/policies/station.toml"
    for node in site.lab.nodes.values():
        text = node.get(path).decode()
        zone = 'timezone = "Europe/Berlin"\n'
        node.put(path, text.replace("[policy]\n", "[policy]\n" + zone).encode())


def moments(node: Node) -> tuple[datetime, datetime]:
    """Yesterday 09:15 and 18:30 in Berlin, as the node's clock sees it."""
    yesterday = datetime.fromtimestamp(node.now(), ZONE) - timedelta(days=1)
    return (
        yesterday.replace(hour=9, minute=15, second=0, microsecond=0),
        yesterday.replace(hour=18, minute=30, second=0, microsecond=0),
    )


def restore(
    node: Node, *words: str, user: str | None = USER, code: int = 0, cwd: str = "/tank/home/radio"
) -> Result:
    result = node.run(["zr", "restore", *words], user=user, cwd=cwd, check=False)
    said = (result.stdout + result.stderr).decode()
    assert result.returncode == code, said
    assert "Traceback" not in said
    return result


def read(node: Node, path: str) -> bytes:
    return node.get(path)


def test_a_file_comes_back_as_it_was_with_its_digest(alpha: Node) -> None:
    old = alpha.sh(
        f"sha256sum </tank/home/radio/.zfs/snapshot/{name(alpha, 0)}/interview.wav"
    ).text.split()[0]
    said = restore(alpha, "interview.wav@yesterday 10:00", "--to", "/tank/out", "--json")
    facts = json.loads(said.stdout)
    assert facts["sha256"] == old
    assert facts["size_bytes"] == 3_000_000
    assert facts["snapshot"] == name(alpha, 0)
    assert facts["done"] is True
    digest = alpha.run(["sha256sum", facts["path"]]).text.split()[0]
    assert digest == old
    assert alpha.run(["stat", "-c", "%U %a", facts["path"]]).text == "nobody 600"


def name(node: Node, which: int) -> str:
    return f"zr_1-00000000_{which + 1}_{stamp(moments(node)[which])}"


def test_bare_times_are_those_of_the_policys_time_zone(alpha: Node) -> None:
    for words, wanted in {
        "letter@yesterday 09:14": None,
        "letter@yesterday 09:15": b"monday\n",
        "letter@yesterday 18:29:59": b"monday\n",
        "letter@yesterday 18:30": b"tuesday\n",
        "letter@latest": b"tuesday\n",
        f"letter@{name(alpha, 0)}": b"monday\n",
        f"letter@{moments(alpha)[0].astimezone(UTC):%Y-%m-%dT%H:%MZ}": b"monday\n",
    }.items():
        alpha.sh("rm -f /tank/out/letter*")
        if wanted is None:
            said = restore(alpha, words, "--to", "/tank/out", code=3)
            first = moments(alpha)[0].astimezone(ZONE)  # +01:00, and +02:00 in summer
            assert first.isoformat(timespec="seconds") in said.stderr.decode()
            continue
        restore(alpha, words, "--to", "/tank/out/letter")
        assert read(alpha, "/tank/out/letter") == wanted


def test_an_existing_file_is_never_overwritten(alpha: Node) -> None:
    before = read(alpha, "/tank/home/radio/letter")
    alpha.sh("echo mine >/tank/out/taken; chown nobody /tank/out/taken")
    said = restore(alpha, "letter@yesterday 09:15", "--to", "/tank/out/taken", code=3)
    assert "exists already; nothing is overwritten" in said.stderr.decode()
    assert read(alpha, "/tank/out/taken") == b"mine\n"
    restore(alpha, "letter@yesterday 09:15", code=3)
    assert read(alpha, "/tank/home/radio/letter") == before


def test_a_file_of_a_deleted_directory(alpha: Node) -> None:
    restore(alpha, "old/deep/treasure@yesterday 09:15", "--to", "/tank/out")
    assert read(alpha, "/tank/out/treasure") == b"buried\n"
    restore(alpha, "old/deep/treasure@yesterday 09:15")  # where it was: the directories too
    assert read(alpha, "/tank/home/radio/old/deep/treasure") == b"buried\n"
    assert alpha.run(["stat", "-c", "%U", "/tank/home/radio/old/deep"]).text == "nobody"
    said = restore(alpha, "old/deep/treasure@yesterday 18:30", "--to", "/tank/out/other", code=3)
    assert "treasure" in said.stderr.decode()


def test_dry_run_changes_nothing(alpha: Node) -> None:
    before = alpha.sh("ls -lRi --time-style=full-iso /tank/out /tank/home/radio").text
    said = restore(alpha, "letter@yesterday 09:15", "--to", "/tank/out/dry", "--dry-run")
    assert said.text.startswith("Would restore /tank/out/dry (7 bytes)")
    facts = restore(alpha, "letter@latest", "--to", "/tank/out/dry", "--dry-run", "--json")
    assert json.loads(facts.stdout)["done"] is False
    assert alpha.sh("ls -lRi --time-style=full-iso /tank/out /tank/home/radio").text == before


def test_holes_stay_holes(alpha: Node) -> None:
    restore(alpha, "sparse@yesterday 09:15", "--to", "/tank/out")
    alpha.run(["zpool", "sync", "tank"])
    size, blocks = alpha.run(["stat", "-c", "%s %b", "/tank/out/sparse"]).text.split()
    assert int(size) == 64 << 20
    assert int(blocks) * 512 < 4 << 20
    alpha.run(["cmp", "/tank/out/sparse", "/tank/home/radio/sparse"])


def test_names_with_blanks_signs_and_letters_of_all_kinds(alpha: Node) -> None:
    restore(alpha, f"{ODD}@yesterday 09:15", "--to", "/tank/out")
    assert read(alpha, f"/tank/out/{ODD}") == "café".encode()


def test_nobody_reads_by_restoring_what_he_may_not_read(alpha: Node) -> None:
    said = restore(alpha, "secret@yesterday 09:15", "--to", "/tank/out/leak", code=5)
    assert "You had no right to read secret" in said.stderr.decode()
    assert not alpha.sh("ls /tank/out | grep leak", check=False).text
    restore(alpha, "secret@yesterday 09:15", "--to", "/tank/out/rootonly", user=None)
    assert alpha.run(["stat", "-c", "%a", "/tank/out/rootonly"]).text == "600"


@pytest.mark.parametrize("snapdir", ["hidden", "visible"])
def test_it_does_not_matter_whether_snapdir_is_visible(alpha: Node, snapdir: str) -> None:
    alpha.run(["zfs", "set", f"snapdir={snapdir}", "tank/home/radio"])
    assert get(alpha, "tank/home/radio", "snapdir")["snapdir"] == snapdir
    restore(alpha, "letter@latest", "--to", f"/tank/out/{snapdir}")
    assert read(alpha, f"/tank/out/{snapdir}") == b"tuesday\n"


def test_what_is_not_on_zfs_is_refused_with_a_sentence(alpha: Node) -> None:
    said = restore(alpha, "/etc/hostname@latest", "--to", "/tank/out/x", code=3).stderr.decode()
    assert said.startswith("zr: /etc is not on a mounted ZFS dataset")


def test_a_link_comes_back_as_a_link(alpha: Node) -> None:
    restore(alpha, "link@latest", "--to", "/tank/out")
    assert alpha.run(["readlink", "/tank/out/link"]).text == "letter"


def test_in_place_keeps_what_was_there(alpha: Node) -> None:
    before = read(alpha, "/tank/home/radio/letter")
    said = restore(alpha, "letter@yesterday 09:15", "--in-place", "--json")
    assert read(alpha, "/tank/home/radio/letter") == b"monday\n"
    assert read(alpha, json.loads(said.stdout)["kept"]) == before
    alpha.sh("cd /tank/home/radio; mv -f letter.before-restore-* letter")


def test_to_standard_output(alpha: Node) -> None:
    said = restore(alpha, "letter@yesterday 09:15", "--to", "-")
    assert said.stdout == b"monday\n"
    assert "sha256" in said.stderr.decode()
    words = "cd /tank/home/radio; zr restore 'interview.wav@yesterday 09:15' --to -"
    assert alpha.sh(f"{words} | head -c 10 | wc -c").text.split() == ["10"]


def test_a_bare_name_is_found_wherever_it_was(alpha: Node) -> None:
    restore(alpha, "treasure@yesterday 09:15", "--to", "/tank/out/found", cwd="/")
    assert read(alpha, "/tank/out/found") == b"buried\n"
    alpha.sh("zfs create tank/home/other; echo x >/tank/home/other/letter")
    alpha.sh("chmod 755 /tank/home/other; zfs snapshot tank/home/other@" + name(alpha, 1))
    said = restore(alpha, "letter@latest", "--to", "/tank/out/which", cwd="/", code=3)
    assert "/tank/home/other/letter, /tank/home/radio/letter" in said.stderr.decode()
    assert not alpha.sh("ls /tank/out | grep which", check=False).text


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("25:99", "There is no time of day"),
        ("2026-02-30T10:00", "There is no day"),
        ("next christmas", "is not a time that zr understands"),
        ("2999-01-01T00:00", "is in the future"),
        ("1950-01-01T00:00", "no snapshots of before 1971"),
        ("99999999999 weeks ago", ""),
        ("2026-03-29T02:30", "never happened"),
        ("2026-10-25T02:30", "happened twice"),
        ("2000-01-01T00:00", "09:15"),
        ("", "does not say which time"),
        ("zr_1-00000000_77_20200101T000000Z", ""),
    ],
)
def test_impossible_times(alpha: Node, moment: str, words: str) -> None:
    said = restore(alpha, f"letter@{moment}", "--to", "/tank/out/never", code=3).stderr.decode()
    assert said.startswith("zr: ")
    assert words in said
    assert not alpha.sh("ls /tank/out | grep never", check=False).text


def test_ctrl_c_leaves_nothing_half_done(alpha: Node) -> None:
    alpha.sh(
        "head -c 300M /dev/urandom >/tank/home/radio/big; chown nobody /tank/home/radio/big\n"
        "zfs snapshot tank/home/radio@zr_1-00000000_3_20261121T000000Z",
        timeout_seconds=120,
    )
    before = alpha.sh("ls -A /tank/out").text
    old = "/tank/home/radio/big@zr_1-00000000_3_20261121T000000Z"
    words = ["zr", "restore", old, "--to", "/tank/out/big"]
    ended = interrupt(alpha, words, "ls -l /proc/$0/fd | grep -q /tank/out/#", user=USER)
    assert ended.returncode == 130
    said = (ended.stdout + ended.stderr).decode()
    assert said.strip() == "zr: interrupted; nothing was left half-done."
    assert alpha.sh("ls -A /tank/out").text == before


def test_what_was_taken_while_the_clock_was_ahead_is_named(alpha: Node) -> None:
    """The second of three is labelled two days too late: what was asked for may be in it."""
    alpha.sh("zfs create tank/home/ahead; chown nobody /tank/home/ahead")
    first, last = moments(alpha)
    for number, moment in enumerate((first, first + timedelta(days=2), last), 1):
        alpha.sh(f"echo {number} >/tank/home/ahead/note")
        alpha.run(["zfs", "snapshot", f"tank/home/ahead@zr_1-00000000_{number}_{stamp(moment)}"])
    doubted = f"zr_1-00000000_2_{stamp(first + timedelta(days=2))}"
    words, cwd = "note@yesterday 12:00", "/tank/home/ahead"
    said = restore(alpha, words, "--to", "/tank/out/note", cwd=cwd).stderr.decode()
    assert read(alpha, "/tank/out/note") == b"1\n"
    assert f"a clock was wrong around then, or after: {doubted} was taken later" in said
    tried = restore(alpha, words, "--to", "/tank/out/note1", "--json", "--dry-run", cwd=cwd)
    facts = json.loads(tried.stdout)
    assert facts["later_snapshot"] == doubted
    restore(alpha, f"note@{doubted}", "--to", "/tank/out/note2", cwd=cwd)
    assert read(alpha, "/tank/out/note2") == b"2\n"
    after = restore(alpha, "note@yesterday 19:00", "--to", "/tank/out/note3", cwd=cwd)
    assert "clock" not in after.stderr.decode()
    assert read(alpha, "/tank/out/note3") == b"3\n"
