"""Wrong policies, names, rights and circumstances on one node: a sentence, and an exit code.

Exit codes are those of zrepl_py/errors.py; a traceback is never shown, whatever happens.
"""

from collections.abc import Iterator

import pytest

from .command import Result
from .conftest import Fresh
from .contents import guids
from .interrupt import interrupt
from .looks import PYTHON, pid_of, pids_of, serving, zr_processes
from .node import Node
from .site import Site

pytestmark = pytest.mark.lab
REFUSED, STANDING = 3, 5
POLICY = "/etc/zr/policies/station.toml"
LIBRARY = "/usr/lib/python3/dist-packages/libzfs_core"
BEGUN = "/run/zr-has-begun"
BEGIN = f"""
import sys
from zrepl_py.cli.main import main
sys.argv[0] = "zr"
open({BEGUN!r}, "w").close()
sys.exit(main())
"""
"""What `zr` does, and a sign that from now on an interruption can be caught: before, nobody can say
how far the interpreter is."""


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Site:
    """Without daemons; those who start one stop it."""
    site = fresh()
    site.lab.alpha.sh("zfs create tank/a; echo first >/tank/a/file")
    site.protect(["tank/a"], every="1h")
    return site


@pytest.fixture
def alpha(site: Site) -> Iterator[Node]:
    yield site.lab.alpha
    for name, daemon in list(site.daemons.items()):
        if daemon.poll() is None:
            site.stop(name)


def zr(node: Node, *words: str, code: int, user: str | None = None) -> str:
    """Run it to its end; what it said on standard error."""
    result: Result = node.run(["zr", *words], user=user, check=False, timeout_seconds=60)
    said = (result.stdout + result.stderr).decode()
    assert result.returncode == code, said
    assert "Traceback" not in said
    # Workers of a second daemon may have found those of the first one before they were ended.
    lines = result.stderr.decode().splitlines(keepends=True)
    own = [line for line in lines if not line.startswith(("zr worker: ", "The worker for "))]
    assert own[0].startswith("zr: "), said
    return "".join(own)


# --- policies


def test_an_unknown_key_is_named_with_its_file_its_line_and_the_nearest_key(alpha: Node) -> None:
    good = alpha.get(POLICY)
    alpha.put(POLICY, good.replace(b"exclude =", b"exlude =").replace(b"min_free", b"minfree"))
    try:
        for words in (["policy", "check"], ["daemon"]):
            said = zr(alpha, *words, code=STANDING)
            assert f"{POLICY}, line 7" in said
            assert "policy.exlude: this key is not known; did you mean exclude" in said
            assert "limits.minfree: this key is not known; did you mean min_free" in said
    finally:
        alpha.put(POLICY, good)


def test_a_dataset_that_does_not_exist_is_said_and_the_others_go_on(
    site: Site, alpha: Node
) -> None:
    site.protect(["tank/a", "tank/nowhere", "tank/neither/**"], every="1h")
    site.start()
    site.settle()
    said = alpha.run(["zr", "status"]).text
    assert "Policy station names tank/nowhere, which does not exist." in said
    assert "Policy station names tank/neither/**, which does not exist." in said
    assert site.lane("tank/a")["in_sync"]
    assert [lane["dataset"] for lane in site.status()["lanes"]] == ["tank/a"]
    site.protect(["tank/a"], every="1h")


def test_names_with_blanks_and_colons_work_and_too_long_ones_are_refused_alone(
    site: Site, alpha: Node
) -> None:
    odd = "tank/n/with blanks : and-colons_1.2"
    fits = "tank/n/" + "w" * 193  # 200 bytes, and 214 as a replica: just enough
    long = "tank/n/" + "x" * 200
    too_long = "tank/n/" + "y" * 235
    for dataset in ("tank/n", odd, fits, long, too_long):
        alpha.run(["zfs", "create", "-o", "mountpoint=none", dataset])
    site.protect(["tank/n/**"], every="1h")
    site.start()
    good = {"tank/n", odd, fits}
    site.wait(lambda: good <= in_sync(site), "the good names", 90)
    site.wait(lambda: reason(site, long) == "bad-name", "why the long one is not sent", 90)
    for dataset in good:
        assert guids(site.lab.beta, f"back/zr/alpha/{dataset}") == guids(alpha, dataset)
    lanes = {lane["dataset"]: lane for lane in site.status()["lanes"]}
    assert set(lanes) == {*good, long}
    assert lanes[long]["error"]["reason"] == "bad-name"
    assert "shorten the replica's prefix: 214 bytes" in lanes[long]["error"]["message"]
    assert "255 bytes" in site.status()["groups"][0]["refused"][too_long]
    shown = alpha.run(["zr", "status"]).text
    assert f"Not protected at all: {too_long}." in shown
    assert f"{too_long} is NOT protected" in shown
    site.protect(["tank/a"], every="1h")


def in_sync(site: Site) -> set[str]:
    return {lane["dataset"] for lane in site.status()["lanes"] if lane["in_sync"]}


def reason(site: Site, dataset: str) -> str:
    error = site.lane(dataset)["error"]
    return error["reason"] if error else ""


# --- who and when


def test_a_second_daemon_is_refused_and_the_first_one_lives(site: Site, alpha: Node) -> None:
    site.start("alpha")
    before = serving(alpha)
    said = zr(alpha, "daemon", code=REFUSED)
    assert "in use by the process with pid" in said
    assert serving(alpha) == before
    seen = guids(alpha, "tank/a")
    alpha.sh("echo more >>/tank/a/file; zr snapshot")
    site.wait(lambda: guids(alpha, "tank/a") != seen, "a tick of the first one", 60)


def test_without_a_daemon_the_commands_say_how_to_start_it(alpha: Node) -> None:
    for words in (["status"], ["snapshot"], ["replicate"]):
        said = zr(alpha, *words, code=STANDING)
        assert "The daemon does not answer" in said
        assert "systemctl start zr" in said


def test_a_user_without_rights_is_told_what_to_do(site: Site, alpha: Node) -> None:
    said = zr(alpha, "daemon", code=STANDING, user="nobody")
    assert "Permission denied" in said
    said = zr(alpha, "init", "--name", "x", "--pool", "tank", code=STANDING, user="nobody")
    assert "must be run as root" in said
    site.start("alpha")
    said = zr(alpha, "status", code=STANDING, user="nobody")
    assert "You may not talk to the daemon" in said


# --- what a node may lack


@pytest.mark.parametrize("adapter", ["libzfs_core", "command"])
def test_without_the_kernels_module_it_says_so(alpha: Node, adapter: str) -> None:
    """The module cannot be unloaded while the lab's pool is imported; its device can be hidden."""
    alpha.sh("mv /dev/zfs /dev/zfs.hidden")
    try:
        said = zr(alpha, "daemon", "--adapter", adapter, code=STANDING)
    finally:
        alpha.sh("mv /dev/zfs.hidden /dev/zfs")
    assert "OpenZFS is not loaded in this kernel" in said
    assert "modprobe zfs" in said


def test_without_the_binding_it_says_which_package_is_missing(alpha: Node) -> None:
    alpha.sh(f"mv {LIBRARY} {LIBRARY}.hidden")
    try:
        said = zr(alpha, "daemon", code=STANDING)
    finally:
        alpha.sh(f"mv {LIBRARY}.hidden {LIBRARY}")
    assert "python3-pyzfs" in said


# --- being interrupted


@pytest.mark.parametrize("number", [2, 15])
def test_a_daemon_that_is_asked_to_end_ends_in_order(site: Site, alpha: Node, number: int) -> None:
    site.start("alpha")
    daemon = site.daemons["alpha"]
    daemon.signal(number)
    assert daemon.wait(timeout_seconds=90) == 0
    said = site.log("alpha")
    assert "daemon-stopped" in said
    assert "Traceback" not in said
    assert zr_processes(alpha) == {}


def test_a_daemon_that_is_interrupted_while_it_starts_shows_no_traceback(
    site: Site, alpha: Node
) -> None:
    for hundredths in range(2, 130, 12):
        when = f"rm {BEGUN} && sleep {hundredths / 100:.2f}"
        ended = interrupt(alpha, [PYTHON, "-c", BEGIN, "daemon"], when)
        said = (ended.stdout + ended.stderr).decode()
        assert ended.returncode in (0, 130), said
        assert "Traceback" not in said, said
        site.wait(lambda: not zr_processes(alpha), "its workers end with it", 60)


def test_ctrl_c_at_a_terminal_reaches_the_workers_too(site: Site, alpha: Node) -> None:
    """A terminal interrupts the whole process group: the warden gets the signal as well."""
    site.start("alpha")
    daemon = site.daemons["alpha"]
    assert pid_of(alpha, "zfs")
    daemon.signal(2, group=True)
    assert daemon.wait(timeout_seconds=90) == 0
    assert "Traceback" not in site.log("alpha")
    assert not pids_of(alpha, "zfs")
