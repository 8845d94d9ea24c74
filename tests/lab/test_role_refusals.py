"""Orders that must not be carried out, on two real nodes: each is refused with the documented
reason, exit code and way out, and changes nothing. Issue 6's bad input; scenarios 28 to 30, 38."""

import time
from collections.abc import Iterator

import pytest

from tests.lab.role_scene import SERVING, Scene, begun, enter
from tests.lab.roles_site import GROUP, RolesSite

pytestmark = [pytest.mark.lab, pytest.mark.scenario, pytest.mark.timeout(900)]
REFUSED, PASSING, STANDING = 3, 4, 5
KEYED = "back/zr/alpha/tank/audio/secret"
MOMENT = "2026-11-21T09:14:23Z"
NO_KEY = f"""
    mv /root/key /root/away
    until zfs get -Ho value keystatus {KEYED} | grep -qx unavailable; do
        zfs unload-key -a || sleep 0.2
    done
    sync
"""
SUSPENDED = "grep -qs SUSPENDED /proc/spl/kstat/zfs/back/state"


@pytest.fixture(scope="module")
def site() -> Iterator[RolesSite]:
    with begun("refusals") as made:
        yield made


@pytest.fixture
def scene(site: RolesSite) -> Scene:
    return enter(site)


def forced(fenced: str = "alpha", on: str = "beta", moment: str = MOMENT) -> list[str]:
    words = ["--on", on, "--force", "--i-fenced", fenced, "--accept-loss", moment]
    return ["promote", GROUP, *words]


def test_28_promoted_on_the_primary(scene: Scene) -> None:
    code, said = scene.refuse("alpha", "promote")
    assert (code, "alpha is already the primary of station" in said) == (REFUSED, True), said
    assert "zr switchover" in said
    code, said = scene.refuse("alpha", *forced("beta", "alpha"))
    assert (code, "already the primary" in said) == (REFUSED, True), said
    scene.end("alpha")


def test_30_forced_while_the_peer_lives(scene: Scene) -> None:
    """Also with the right moment, and whatever the person says of fencing."""
    code, said = scene.refuse("beta", "promote")
    assert (code, "zr switchover" in said) == (REFUSED, True), said
    code, said = scene.refuse("beta", *forced())
    assert (code, "zr switchover" in said) == (REFUSED, True), said
    scene.await_states("primary", "standby")  # a look that comes late is a moment's silence
    scene.end("alpha")


def test_an_order_for_the_other_node_or_another_group(scene: Scene) -> None:
    code, said = scene.refuse("beta", "switchover")
    assert (code, "not the primary" in said) == (REFUSED, True), said
    code, said = scene.refuse("beta", "promote", "elsewhere")
    assert (code, "No group elsewhere" in said, "station" in said) == (REFUSED, True, True), said
    code, said = scene.refuse("alpha", "promote", "--first")
    assert (code, "has its roles already" in said) == (REFUSED, True), said
    code, said = scene.refuse("alpha", "rejoin")
    assert (code, "Nothing is to be done" in said) == (REFUSED, True), said
    code, said = scene.refuse("alpha", "resolve", "--keep", "alpha")
    assert (code, "not split" in said) == (REFUSED, True), said
    scene.end("alpha")


def test_29_promoted_twice_and_with_words_that_do_not_fit(scene: Scene) -> None:
    """The peer is dead. Every word counts; of two at the same time one takes over."""
    scene.die("alpha", "tail")
    right = scene.command_of("beta")
    moment = right[right.index("--accept-loss") + 1]
    for words, reason in (
        (forced(moment=MOMENT), "another newest whole tick"),
        (forced("beta", moment=moment), "It is alpha that must not write"),
        (forced(on="alpha", moment=moment), "another node or group"),
    ):
        code, said = scene.refuse("beta", *words)
        assert (code, reason in said) == (REFUSED, True), said
        assert moment in said, "the right command is printed"
    assert scene.site.role("beta")["state"] not in (*SERVING, "promoting")
    first = scene.beta.start(["zr", *right])
    code, said = scene.refuse("beta", *right)
    assert code in (0, REFUSED, PASSING), said
    assert first.wait(timeout_seconds=300) in (0, REFUSED, PASSING)
    scene.await_state("beta", *SERVING)
    code, said = scene.refuse("beta", *right)
    assert (code, "already the primary" in said) == (REFUSED, True), said
    code, said = scene.refuse("beta", "switchover")
    assert (code, "alpha does not answer" in said) == (PASSING, True), said
    scene.alpha.boot()
    scene.end("beta")
    scene.switch("beta")
    scene.end("alpha")


def test_38_keys_are_missing_on_beta_at_a_switchover(scene: Scene) -> None:
    """It does not happen, and says which key: alpha serves as before, and stops nothing."""
    running = scene.alpha.sh("systemctl show -p MainPID studio").text
    scene.beta.sh(NO_KEY)
    code, said = scene.refuse("alpha", "switchover")
    assert (code, "key" in said, KEYED in said) == (PASSING, True, True), said
    assert scene.alpha.sh("systemctl show -p MainPID studio").text == running
    scene.beta.sh("mv /root/away /root/key")
    scene.end("alpha")


def test_a_file_in_betas_mount_point_at_a_switchover(scene: Scene) -> None:
    """It does not happen, and says where: it would be hidden, and beta refuses to mount there."""
    running = scene.alpha.sh("systemctl show -p MainPID studio").text
    scene.beta.sh("mkdir -p /tank/audio; touch /tank/audio/stray")
    code, said = scene.refuse("alpha", "switchover")
    assert (code, "/tank/audio" in said, "'stray'" in said) == (PASSING, True, True), said
    assert scene.alpha.sh("systemctl show -p MainPID studio").text == running
    found = scene.beta.run(["zr", "doctor", "--json"], check=False)
    assert "mountpoint-in-use" in found.text
    scene.beta.sh("rm /tank/audio/stray")
    scene.end("alpha")


def test_38_keys_are_missing_on_beta_at_a_promotion(scene: Scene) -> None:
    """It stops before anything is open, says which key, and goes on when that is there."""
    scene.beta.sh(NO_KEY)
    scene.die("alpha", "tail")
    code, said = scene.refuse("beta", *scene.command_of("beta"))
    assert code != 0
    assert "key" in said
    assert KEYED in said
    assert scene.site.role("beta")["state"] == "promoting"
    assert scene.is_closed("beta")
    scene.beta.sh("mv /root/away /root/key")
    scene.await_state("beta", *SERVING)
    scene.alpha.boot()
    scene.end("beta")
    scene.switch("beta")
    scene.end("alpha")


def test_a_pool_that_hangs(scene: Scene) -> None:
    """Two disks of three are gone: what could not be written to is not promoted."""
    scene.die("alpha", "tail")
    scene.beta.pull_disk(1)
    scene.beta.pull_disk(2, noticed=False)
    scene.beta.start(["sh", "-c", "zpool sync back"])
    ends = time.monotonic() + 60
    time.sleep(10)
    while time.monotonic() < ends and scene.beta.sh(SUSPENDED, check=False).returncode:
        time.sleep(1)
    code, said = scene.refuse("beta", "promote")
    assert code in (PASSING, STANDING), said
    assert "pool" in said.lower()
    code, said = scene.refuse("beta", *forced())
    assert code in (REFUSED, PASSING, STANDING), said
    assert scene.site.role("beta")["state"] not in SERVING
    for disk in (1, 2):
        scene.beta.plug_disk(disk)
    scene.beta.crash()
    scene.beta.boot()
    scene.alpha.boot()
    scene.end("alpha")
