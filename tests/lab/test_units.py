"""The shipped units under Debian's systemd: they start, protect, restart, and stop cleanly."""

import json
import re
import time
from collections.abc import Iterator

import pytest

from . import Lab
from .contents import common
from .site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
INSTALL = """
    install -m 644 /zr/systemd/*.service /etc/systemd/system/
    install -m 644 /zr/systemd/zr.sysusers.conf /etc/sysusers.d/zr.conf
    install -m 644 /zr/systemd/zr.tmpfiles.conf /etc/tmpfiles.d/zr.conf
    systemd-sysusers; systemd-tmpfiles --create zr.conf; systemctl daemon-reload
"""
UNITS = {
    "alpha": "zr-zfs@tank zr-proof@tank zr",
    "beta": "zr-zfs@back zr-receive@back zr-proof@back zr",
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(name="units", init="systemd") as made:
        made.alpha.sh("zfs create tank/audio && echo first >/tank/audio/interview.wav")
        site = Site(made)
        for node in made.nodes.values():
            node.sh("mkdir -p /etc/sysusers.d /etc/tmpfiles.d;" + INSTALL)
        site.init()
        site.protect(["tank/audio/**"], every="2s")
        for name, units in UNITS.items():
            made.nodes[name].sh(f"systemctl enable --now {units}", timeout_seconds=180)
        yield made


def wait_in_sync(lab: Lab, timeout_seconds: float = 150) -> None:
    lab.alpha.run(
        ["zr", "replicate", "--timeout", str(int(timeout_seconds))],
        timeout_seconds=timeout_seconds + 10,
    )


def test_they_protect(lab: Lab) -> None:
    wait_in_sync(lab)
    assert common(lab.alpha, "tank/audio", lab.beta, "back/zr/alpha/tank/audio")
    facts = json.loads(lab.alpha.run(["zr", "status", "--json"]).text)
    assert [lane["in_sync"] for lane in facts["lanes"]] == [True]


def test_copies_are_proven_with_the_units_rights(lab: Lab) -> None:
    """Also of files that only their owner may read; the proof worker has no other rights."""
    lab.alpha.sh("cd /tank/audio; echo mine >closed; chown 1234 closed; chmod 400 closed")
    lab.alpha.run(["zr", "snapshot"])
    wait_in_sync(lab)
    lab.alpha.run(["zr", "verify"], timeout_seconds=120)
    said = lab.alpha.run(["zr", "drill", "--json"], timeout_seconds=120).text
    assert [c["proof"]["verdict"] for c in json.loads(said)["copies"]] == ["equal"]
    assert "zr-restore-drills/" not in lab.alpha.sh("zfs list -Ho name").text


def test_a_node_from_before_the_proof_worker_gets_it_at_the_restart_of_an_upgrade(lab: Lab) -> None:
    """`make install` ends with this restart; nobody runs `zr init` again."""
    for node, pool in ((lab.alpha, "tank"), (lab.beta, "back")):
        proof = f"zr-proof@{pool}.service"
        node.run(["systemctl", "disable", "--now", proof])
        node.sh("systemctl daemon-reload; systemctl try-restart 'zr-zfs@*' 'zr-proof@*' zr")
        node.sh(f"until systemctl is-active {proof}; do sleep 0.2; done")
    wait_in_sync(lab)
    lab.alpha.run(["zr", "verify"], timeout_seconds=120)


def test_each_process_has_only_its_own_rights(lab: Lab) -> None:
    def user_of(node: str, unit: str) -> str:
        pid = lab.nodes[node].run(["systemctl", "show", "-P", "MainPID", unit]).text.strip()
        return lab.nodes[node].run(["stat", "-c", "%U", f"/proc/{pid}"]).text.strip()

    assert user_of("alpha", "zr") == "zr"
    assert user_of("alpha", "zr-zfs@tank") == "root"
    assert user_of("beta", "zr-receive@back") == "zr-recv"


def test_they_expose_little(lab: Lab) -> None:
    """docs/design/processes.md says what is left open, and why."""
    for unit in (
        "zr.service",
        "zr-zfs@back.service",
        "zr-receive@back.service",
        "zr-proof@back.service",
    ):
        shown = lab.beta.run(["systemd-analyze", "security", "--no-pager", unit]).text
        (score,) = re.findall(r"Overall exposure level for .*: ([0-9.]+)", shown)
        print(f"{unit}: {score}")
        assert float(score) < 2.5, shown


def test_reload_reads_the_policies_again(lab: Lab) -> None:
    """`systemctl reload` is SIGHUP; a wrong policy keeps the old ones, and the daemon runs on."""
    pid = lab.alpha.run(["systemctl", "show", "-P", "MainPID", "zr"]).text
    policy = "/etc/zr/policies/station.toml"
    text = lab.alpha.get(policy).decode()
    for every, seconds in (('"nonsense"', 2), ('"3s"', 3), ('"2s"', 2)):
        lab.alpha.put(policy, text.replace('"2s"', every).encode())
        lab.alpha.run(["systemctl", "reload", "zr"])
        deadline = time.monotonic() + 60
        while True:
            time.sleep(0.5)
            groups = json.loads(lab.alpha.run(["zr", "status", "--json"]).text)["groups"]
            if [group["every_seconds"] for group in groups] == [seconds]:
                break
            assert time.monotonic() < deadline, (every, groups)
    assert lab.alpha.run(["systemctl", "show", "-P", "MainPID", "zr"]).text == pid


def test_a_killed_daemon_is_back_and_goes_on(lab: Lab) -> None:
    for name, unit in (("alpha", "zr"), ("beta", "zr"), ("beta", "zr-receive@back")):
        lab.nodes[name].run(["systemctl", "kill", "-s", "KILL", unit])
    lab.alpha.sh("echo more >>/tank/audio/interview.wav")
    deadline = time.monotonic() + 120
    while lab.alpha.run(["zr", "snapshot"], check=False, timeout_seconds=150).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    wait_in_sync(lab)


def test_a_reboot_needs_nobody(lab: Lab) -> None:
    lab.crash()
    began = time.monotonic()
    lab.boot()
    for node in lab.nodes.values():
        while node.run(["zr", "status"], check=False).returncode:
            assert time.monotonic() - began < 240
            time.sleep(0.1)
    print(f"from power-on to both daemons answering: {time.monotonic() - began:.1f} s")
    lab.alpha.sh("echo after >>/tank/audio/interview.wav")
    wait_in_sync(lab)


def test_stopping_is_clean_and_soon(lab: Lab) -> None:
    lab.alpha.run(["systemctl", "stop", "zr"], timeout_seconds=120)
    shown = lab.alpha.run(["systemctl", "show", "-P", "Result", "zr"]).text.strip()
    assert shown == "success"
    assert lab.alpha.run(["zr", "status"], check=False).returncode == 5
