"""Scenarios of research/failover.md §5.2 on two real nodes, by their numbers: kernel, systemd,
network and power are real. Each ends with the checker: no file with a receipt is missing on the
primary, and nothing that was written is nowhere (tests/lab/role_ledger.py)."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.lab.role_scene import MOMENTS, SERVING, Scene, begun, enter
from tests.lab.roles_site import RolesSite
from tests.lab.test_fence import WRITER

pytestmark = [pytest.mark.lab, pytest.mark.scenario, pytest.mark.timeout(900)]
HIDDEN = "/tank/audio/news"
COPY = """
    mkdir -p /copy/run
    # What the daemon replaces meanwhile cannot be copied.
    until cp -a /var/lib/zr /copy/state; do rm -rf /copy/state; done
    sed 's/^listen = .*/listen = "0.0.0.0:7677"/' /etc/zr/zr.toml >/copy/zr.toml
    printf '[paths]\\nstate = "/copy/state"\\nrun = "/copy/run"\\n' >>/copy/zr.toml
    chown -R zr:zr /copy
"""


@pytest.fixture(scope="module")
def site() -> Iterator[RolesSite]:
    with begun("scenarios") as made:
        yield made


@pytest.fixture
def scene(site: RolesSite) -> Scene:
    scene = enter(site)
    scene.alpha.put("/root/writer.py", WRITER.encode())  # not in the state that may be loaded
    return scene


def test_12_the_primary_is_paused_and_beta_promoted_meanwhile(scene: Scene) -> None:
    """What it had written before is kept, and it never serves beside the other for long."""
    lab = scene.lab
    lab.cut()
    scene.ledger.write("alpha", "before-the-pause")
    lab.alpha.freeze()
    try:
        lab.heal()
        scene.force("beta")
        scene.ledger.write("beta", "on-beta")
    finally:
        lab.alpha.thaw()
    scene.end("beta")
    assert scene.rescues("alpha")
    scene.switch("beta")
    scene.end("alpha")


@pytest.mark.parametrize("seconds", [86400.0, -86400.0, 3600.0])
def test_13_the_clock_jumps(scene: Scene, seconds: float) -> None:
    """Nobody else becomes primary by it, and no snapshot goes."""
    before = set(scene.alpha.sh("zfs list -Ho name -t snapshot tank/audio/news").text.split())
    scene.alpha.step_clock(seconds)
    for _ in range(15):
        alpha, beta = scene.site.states()
        assert alpha in SERVING
        assert beta not in (*SERVING, "promoting")
        time.sleep(1)
    scene.alpha.step_clock(-seconds)
    after = set(scene.alpha.sh("zfs list -Ho name -t snapshot tank/audio/news").text.split())
    assert before <= after
    scene.await_states("primary", "standby")  # alone it would confirm nothing
    scene.ledger.sync("alpha")
    scene.end("alpha")


def test_14_both_lose_power_and_the_stale_one_starts_first(scene: Scene) -> None:
    """repmgr #801: two servers, containers with `restart: always`, the stale one boots first."""
    for node in scene.lab.nodes.values():
        node.sh("mkdir -p /etc/systemd/system/multi-user.target.wants; sync")
    scene.lab.crash()
    scene.beta.boot()
    scene.await_state("beta", "unknown")
    time.sleep(20)
    assert scene.site.role("beta")["state"] == "unknown"
    assert scene.is_closed("beta")
    scene.alpha.boot()
    scene.end("alpha")


def test_14_the_stale_one_was_the_primary_once(scene: Scene) -> None:
    """Beta was promoted and wrote; then both lose power, and alpha, which was primary, is first."""
    scene.die("alpha", "tail")
    scene.force("beta")
    scene.ledger.write("beta", "on-beta")
    scene.beta.crash()
    scene.alpha.boot()
    scene.await_state("alpha", "unknown")
    time.sleep(20)
    assert scene.site.role("alpha")["state"] == "unknown"
    assert scene.is_closed("alpha")
    code, said = scene.refuse("alpha", "promote")
    assert (code, "was-primary" in said or "--peer-is-down" in said) == (3, True), said
    scene.beta.boot()
    scene.end("beta")
    assert scene.rescues("alpha")


@pytest.mark.parametrize("node", ["alpha", "beta"])
def test_16_a_daemon_is_killed_during_a_switchover(scene: Scene, node: str) -> None:
    """systemd starts it again; in the end there is one primary, one standby."""
    scene.begin_switchover("alpha")
    scene.await_state(node, *MOMENTS[node])
    scene.lab.nodes[node].sh("systemctl kill -s KILL zr")
    scene.await_state(node, "primary", "primary-alone", "standby", "demoted", "catching-up")
    time.sleep(5)
    scene.end_as_it_came()


@pytest.mark.parametrize("node", ["alpha", "beta"])
def test_16_power_is_lost_during_a_switchover(scene: Scene, node: str) -> None:
    scene.begin_switchover("alpha")
    scene.await_state(node, *MOMENTS[node])
    scene.lab.nodes[node].crash()
    time.sleep(3)
    scene.lab.nodes[node].boot()
    scene.end_as_it_came()


def test_16_the_link_is_cut_during_a_switchover(scene: Scene) -> None:
    """Before the commit point alpha goes on, after it beta; nobody beside the other."""
    scene.begin_switchover("alpha")
    scene.await_state("alpha", *MOMENTS["alpha"])
    scene.lab.cut()
    for _ in range(30):
        # Alpha is asked again: it may have given the address up before beta had it.
        assert not all(scene.has_address(node) for node in ("alpha", "beta", "alpha"))
        time.sleep(1)
    scene.lab.heal()
    scene.end_as_it_came()


def test_17_power_is_lost_during_a_promotion(scene: Scene) -> None:
    """A person says again that the other one is down; then it goes on."""
    scene.die("alpha", "tail")
    command = scene.command_of("beta")
    scene.beta.start(["zr", *command])
    scene.await_state("beta", "promoting", *SERVING)
    scene.beta.crash()
    scene.beta.boot()
    scene.await_state("beta", "unknown")
    scene.site.zr("beta", "promote", "--peer-is-down", timeout_seconds=300)
    scene.await_state("beta", *SERVING)
    scene.ledger.write("beta", "on-beta")
    scene.alpha.boot()
    scene.end("beta")
    assert scene.rescues("alpha")


def test_17_power_is_lost_during_the_rejoin(scene: Scene) -> None:
    """The tail is in one of two places, whenever that is; the next start goes on."""
    scene.die("alpha", "tail")
    scene.force("beta")
    scene.alpha.boot()
    scene.await_state("alpha", "diverged", "rescuing", "catching-up", "standby")
    scene.alpha.crash()
    scene.alpha.boot()
    scene.end("beta")
    assert len(scene.rescues("alpha")) == 1


def test_20_a_program_stands_in_a_dataset(scene: Scene) -> None:
    """The dry run names it, and changes nothing; the switchover ends it."""
    program = scene.alpha.start(["sleep", "600"], cwd=HIDDEN)
    said = json.loads(scene.site.zr("alpha", "switchover", "--dry-run", "--json").stdout)
    named = [(h["pid"], h["command"], h["dataset"]) for h in said["holders"]]
    assert (program.pid, "sleep", "tank/audio/news") in named
    shown = scene.site.zr("alpha", "switchover", "--dry-run").text
    assert f"sleep (pid {program.pid}) in tank/audio/news" in shown
    scene.await_states("primary", "standby")  # a look that comes late is a moment's silence
    assert program.poll() is None
    scene.switch("alpha")
    assert program.poll() is not None
    scene.end("beta")
    scene.switch("beta")
    scene.end("alpha")


def test_22_a_container_keeps_the_file_system_in_a_namespace_of_its_own(scene: Scene) -> None:
    """`zfs unmount` would say 0; what it has written until its end is all on beta."""
    fork = ["unshare", "-m", "--propagation", "private"]
    writer = scene.alpha.start([*fork, "python3", "/root/writer.py", f"{HIDDEN}/f", "write"])
    scene.site.wait(
        lambda: scene.alpha.sh(f"grep -qa '[0-9]' {HIDDEN}/f", check=False).returncode == 0, "f"
    )
    last = int(scene.site.read(scene.alpha, f"{HIDDEN}/f").strip("\0 \n"))
    scene.switch("alpha")
    assert writer.poll() is not None
    assert not scene.is_mounted("alpha")
    assert int(scene.site.read(scene.beta, f"{HIDDEN}/f").strip("\0 \n")) >= last
    scene.end("beta")
    scene.switch("beta")
    scene.end("alpha")


def test_23_somebody_has_unmounted_lazily(scene: Scene) -> None:
    """No list of mounts shows it any more, and the writer goes on: it is found."""
    writer = scene.alpha.start(["python3", "/root/writer.py", f"{HIDDEN}/lazy", "write"])
    scene.site.wait(
        lambda: scene.alpha.sh(f"test -s {HIDDEN}/lazy", check=False).returncode == 0, "lazy"
    )
    scene.alpha.sh(f"umount -l {HIDDEN}")
    scene.switch("alpha")
    assert writer.poll() is not None
    assert not scene.is_mounted("alpha")
    scene.end("beta")
    scene.switch("beta")
    scene.end("alpha")


def test_42_a_container_starts_by_itself_on_the_standby(scene: Scene) -> None:
    """`restart: always`, its folder as a bind mount: nothing of it lands in the group."""
    write = f"while date +%s >>{HIDDEN}/container; do sleep 0.1; done; exit 1"
    unit = "[Unit]\nStartLimitIntervalSec=0\n"  # else systemd gives it up after five times
    unit += f"[Service]\nExecStart=/bin/sh -c '{write.replace('%', '%%')}'\nRestart=always\n"
    unit += "RestartSec=100ms\n[Install]\nWantedBy=multi-user.target\n"
    scene.beta.put("/etc/systemd/system/container.service", unit.encode())
    scene.beta.sh("systemctl enable container; sync")
    scene.beta.crash()
    scene.beta.boot()
    scene.await_states("primary", "standby")
    time.sleep(5)
    assert not scene.is_mounted("beta")
    assert scene.beta.sh(f"test -e {HIDDEN}/container", check=False).returncode != 0
    scene.switch("alpha")
    scene.end("beta")
    scene.site.wait(
        lambda: scene.beta.sh(f"test -s {HIDDEN}/container", check=False).returncode == 0,
        "it writes",
    )
    scene.beta.sh("systemctl disable --now container")
    scene.switch("beta")
    scene.end("alpha")


def test_48_a_copy_of_betas_machine_is_started(scene: Scene) -> None:
    """Its identity, its state and its pool, as a copied virtual machine has them: alpha listens to
    the one that was there first, and says so."""
    scene.beta.sh(COPY)
    copy = scene.beta.start(["zr", "daemon", "--config", "/copy/zr.toml"])
    scene.site.wait(lambda: scene.site.status("alpha")["twice"] == ["beta"], "it is seen", 120)
    twice = "Two machines say that they are beta"
    scene.site.wait(lambda: twice in scene.site.zr("alpha", "status").text, "it is said")
    asked = ["zr", "status", "--config", "/copy/zr.toml"]
    named = "station: "
    scene.site.wait(lambda: named in scene.beta.run(asked, check=False).text, "the copy's role")
    said = scene.beta.run(asked, check=False).text
    assert "primary" not in said.split(named)[1].split(",")[0], said
    scene.await_states("primary", "standby")
    scene.switch("alpha")
    scene.end("beta")
    copy.signal(15)
    copy.wait(timeout_seconds=60)
    scene.beta.sh("rm -rf /copy")
    scene.switch("beta")
    scene.end("alpha")
